"""Read the generated reviews of all runs into one table that the judge takes like a corpus.

Inputs: generations.jsonl of every run and pseudo-run, and the corpus's responses, which say on what scale people rated
each paper. Outputs: responses.parquet in the columns of a corpus's responses, and its manifest, which counts for each
run what was wrong with its reviews. A review that cannot be read is kept, with the reason among its flags.

Example:
    python workflow_scripts/gather_generations.py --spec '{"study": "demo"}' \
        --generations sft_clean=results/demo/evaluation/heldout/sft_clean/generations.jsonl \
        --responses results/demo/corpus/papers/responses.parquet \
        --out responses.parquet --manifest responses.manifest.json
"""

import argparse
import json
from pathlib import Path

from winnow.core.entry import run
from winnow.core.log import log
from winnow.core.manifest import Tally, write_manifest
from winnow.core.named_paths import named_paths
from winnow.core.tables import RESPONSES, write_table
from winnow.evaluation.responses import asked_of, response_rows


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--spec", required=True, help="study, as JSON")
    parser.add_argument("--generations", nargs="+", required=True, metavar="RUN=PATH")
    parser.add_argument("--responses", type=Path, required=True, help="responses.parquet of the held-out corpus")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--manifest", type=Path, required=True)
    return parser.parse_args()


def main() -> None:
    """Parse every response, and write the table."""
    args = parse_args()
    spec, runs = json.loads(args.spec), named_paths(args.generations, "--generations")
    asked = asked_of(runs.values(), args.responses)
    tallies = {name: Tally() for name in runs}
    rows = (row for name, path in runs.items() for row in response_rows(name, path, asked, tallies[name]))
    count = write_table(args.out, rows, RESPONSES, ["response_id"])
    write_manifest(
        args.manifest,
        step="gather_generations",
        inputs={"responses": args.responses, **{f"generations/{name}": path for name, path in sorted(runs.items())}},
        outputs={"responses": args.out},
        settings=spec,
        counts={name: tally.as_dict() for name, tally in sorted(tallies.items())},
        software=["pyarrow", "duckdb"],
    )
    log(f"{count:,} responses of {len(runs)} models")


if __name__ == "__main__":
    run(main, environment="data")
