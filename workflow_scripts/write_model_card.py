"""Write the card of a finished model, from the manifests of its study; and lay a copy into the model's folder.

Inputs: the resolved study (--spec), its folder of results, the run, the folder of its finished model. Outputs: the
card (--out), the same as README.md in the folder, where the folder is there.

Example:
    python workflow_scripts/write_model_card.py --spec "$(cat results/demo/study.json)" --results results/demo \
        --run sft_clean --model checkpoints/demo/sft_clean/model --out results/demo/runs/sft_clean/model_card.md
"""

import argparse
import json
from pathlib import Path

from winnow.core.config.studies import ResolvedStudy
from winnow.core.entry import run
from winnow.core.files import write_text
from winnow.core.log import log
from winnow.core.study import parse
from winnow.reporting.cards import model_card
from winnow.reporting.lineage import lineage
from winnow.reporting.sources import Results


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--spec", required=True, help="the resolved study, as JSON")
    parser.add_argument("--results", type=Path, required=True, help="results/<study>")
    parser.add_argument("--run", required=True)
    parser.add_argument("--model", type=Path, required=True, help="folder of the finished model, may be absent")
    parser.add_argument("--out", type=Path, required=True)
    return parser.parse_args()


def main() -> None:
    """Write one card."""
    args = parse_args()
    study = parse(ResolvedStudy, json.loads(args.spec), "--spec")
    results = Results(args.results)
    card = model_card(results, study, args.run)
    write_text(args.out, card)
    if (args.model / "config.json").is_file():
        write_text(args.model / "README.md", card)
    for gap in lineage(results, study, args.run).gaps:
        log(f"WARNING: the lineage of {args.run} is broken: {gap}")


if __name__ == "__main__":
    run(main, environment="report")
