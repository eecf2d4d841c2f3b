"""Put Base, SFT and DPO side by side: numbers with n and intervals, and paired differences to base and parent.

Inputs: metrics.json and rows.jsonl of each run and of base_<modality> (evaluate_run.py), what was measured of their
reviews and of people's (measure_responses.py), metrics.jsonl and manifest.json of each training. Outputs:
comparison.png, differences.png and decisions.png in the plots folder and, last, comparison.json.

Example:
    python workflow_scripts/compare_runs.py --spec '{"study": "demo", "modalities": ["clean"], "runs": [...]}' \
        --metrics base_clean=results/demo/evaluation/heldout/base_clean/metrics.json ... \
        --rows base_clean=results/demo/evaluation/heldout/base_clean/rows.jsonl ... \
        --measured results/demo/evaluation/heldout/measured.jsonl \
        --measured-manifest results/demo/evaluation/heldout/measured.manifest.json \
        --training sft_clean=results/demo/runs/sft_clean/metrics.jsonl ... \
        --training-manifests sft_clean=results/demo/runs/sft_clean/manifest.json ... \
        --comparison results/demo/comparison/comparison.json --plots results/demo/comparison
"""

import argparse
import json
from pathlib import Path

from winnow.core.config.runs import ResolvedRun
from winnow.core.entry import run
from winnow.core.errors import WinnowError
from winnow.core.files import read_json, write_json
from winnow.core.log import log
from winnow.core.named_paths import named_paths
from winnow.core.study import parse


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--spec", required=True, help="study, modalities and resolved runs, as JSON")
    parser.add_argument("--metrics", nargs="+", required=True, metavar="RUN=PATH")
    parser.add_argument("--rows", nargs="+", required=True, metavar="RUN=PATH")
    parser.add_argument("--measured", type=Path, required=True, help="measured.jsonl; empty where none was generated")
    parser.add_argument("--measured-manifest", type=Path, required=True)
    parser.add_argument("--training", nargs="*", default=[], metavar="RUN=PATH")
    parser.add_argument("--training-manifests", nargs="*", default=[], metavar="RUN=PATH")
    parser.add_argument("--comparison", type=Path, required=True)
    parser.add_argument("--plots", type=Path, required=True, help="folder for pictures")
    return parser.parse_args()


def main() -> None:
    """Compare and write."""
    args = parse_args()
    spec = json.loads(args.spec)
    runs = [parse(ResolvedRun, fields, "--spec, runs") for fields in spec["runs"]]
    expected = [*(f"base_{modality}" for modality in spec["modalities"]), *(item.name for item in runs)]
    metrics, rows = named_paths(args.metrics, "--metrics"), named_paths(args.rows, "--rows")
    for option, given in (("--metrics", metrics), ("--rows", rows)):
        if absent := sorted(set(expected) - given.keys()):
            raise WinnowError(option, f"lacks {', '.join(absent)}", "give every run of the spec and each base")

    # Drawing takes a second to import: arguments are checked first.
    from winnow.evaluation.comparison import compare, last_logged, read_measured  # noqa: PLC0415 - as said above
    from winnow.evaluation.measured import read_responses  # noqa: PLC0415 - as said above
    from winnow.evaluation.plots import draw_comparison, draw_decisions, draw_differences  # noqa: PLC0415 - as said above

    trained = named_paths(args.training_manifests, "--training-manifests")
    manifests = {name: read_json(path) for name, path in trained.items()}
    comparison = compare(
        spec["study"],
        modalities=spec["modalities"],
        runs=runs,
        metrics={name: read_json(metrics[name]) for name in expected},
        measured={name: read_measured(rows[name]) for name in expected},
        training={
            name: last_logged(path, manifests.get(name, {}).get("selected_step"))
            for name, path in named_paths(args.training, "--training").items()
        },
        manifests=manifests,
        responses=read_responses(args.measured, args.measured_manifest),
    )
    draw_comparison(comparison, args.plots / "comparison.png")
    draw_differences(comparison, args.plots / "differences.png")
    draw_decisions(comparison, args.plots / "decisions.png")
    write_json(args.comparison, comparison)
    log(f"compared {len(expected)} models of {spec['study']}")


if __name__ == "__main__":
    run(main, environment="report")
