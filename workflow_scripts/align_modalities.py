"""Give every modality of a study the same rows: what one leaves out, all leave out.

Inputs: the rendered rows of one modality, and what the other modalities left out. Outputs: train.parquet and
val.parquet (or one table of held-out rows), and a manifest that says which rows went and why. Without others
every rendered row is kept.

    python workflow_scripts/align_modalities.py --spec '{"stage": "sft", "modality": "clean"}' \
        --rendered results/demo/datasets/sft/clean/rendered.parquet \
        --others vision=results/demo/datasets/sft/vision/left_out.parquet \
        --train train.parquet --val val.parquet --manifest align.manifest.json
"""

import argparse
import json
from pathlib import Path

from winnow.core.entry import run
from winnow.core.errors import WinnowError
from winnow.core.log import log
from winnow.core.manifest import Tally, write_manifest
from winnow.core.named_paths import named_paths
from winnow.core.study import parse
from winnow.core.tables import rendered_schema, write_table
from winnow.datasets.align import AlignSpec, kept_rows, left_out_elsewhere
from winnow.datasets.funnel import described


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--spec", required=True, help="stage and modality, as JSON")
    parser.add_argument("--rendered", type=Path, required=True)
    parser.add_argument("--others", nargs="+", default=[], metavar="MODALITY=LEFT_OUT")
    parser.add_argument("--train", type=Path, help="with --val: rows of the two splits go to two tables")
    parser.add_argument("--val", type=Path)
    parser.add_argument("--heldout", type=Path, help="instead: rows of every split go to one table")
    parser.add_argument("--manifest", type=Path, required=True)
    args = parser.parse_args()
    if (args.heldout is None) == (args.train is None) or (args.train is None) != (args.val is None):
        parser.error("give --train and --val, or --heldout")
    return args


def main() -> None:
    """Write the tables, then the manifest."""
    args = parse_args()
    spec, others = parse(AlignSpec, json.loads(args.spec), "--spec"), named_paths(args.others, "--others")
    reasons = left_out_elsewhere(others)
    outputs = {"heldout": args.heldout} if args.heldout is not None else {"train": args.train, "val": args.val}
    tallies = {}
    for name, out in outputs.items():
        tally = tallies[name] = Tally()
        rows = kept_rows(args.rendered, None if name == "heldout" else name, spec.key, reasons, tally)
        write_table(out, rows, rendered_schema(spec.stage, images=spec.modality != "clean"), [spec.key])
        log(f"{name}: {described(tally.read, tally.dropped, 'rendered rows')}; {tally.kept:,} kept")
    first = next(iter(outputs))
    if not tallies[first].kept:
        raise WinnowError(
            args.rendered,
            f"no {first} row is left: {described(tallies[first].read, tallies[first].dropped, 'rendered rows')}",
            "look into left_out.parquet of the modalities that are named, or set same_rows: false",
        )
    write_manifest(
        args.manifest,
        step="align_modalities",
        inputs={"rendered": args.rendered} | {f"left_out/{name}": path for name, path in others.items()},
        outputs=outputs,
        settings=spec.model_dump(mode="json"),
        counts={name: tally.as_dict() for name, tally in tallies.items()},
        software=["duckdb", "pyarrow"],
    )


if __name__ == "__main__":
    run(main, environment="data")
