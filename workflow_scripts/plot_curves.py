"""Draw the training curves of one run.

Inputs: the run's metrics.jsonl and resolved spec. Output: curves.png.

Example:
    python workflow_scripts/plot_curves.py --spec "$(cat results/demo/runs/sft_clean/spec.json)" \
        --metrics results/demo/runs/sft_clean/metrics.jsonl --out curves.png
"""

import argparse
import json
from pathlib import Path

from winnow.core.config.runs import ResolvedRun
from winnow.core.entry import run
from winnow.core.study import parse


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--spec", required=True, help="the resolved run, as JSON")
    parser.add_argument("--metrics", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    return parser.parse_args()


def main() -> None:
    """Draw and write."""
    args = parse_args()
    spec = parse(ResolvedRun, json.loads(args.spec), "--spec")

    # Drawing takes a second to import: arguments are checked first.
    from winnow.reporting.figures import save_curves  # noqa: PLC0415
    from winnow.reporting.panels import panels_of, read_series  # noqa: PLC0415

    panels = panels_of(spec, args.metrics)
    save_curves(args.out, f"{spec.name}, seed {spec.seed}", panels, read_series(args.metrics, panels))


if __name__ == "__main__":
    run(main, environment="report")
