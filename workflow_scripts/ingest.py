"""Read the raw files of one corpus into its tables: prompts, responses, and what was left out and why.

Inputs: the files that the corpus names in its study (docs/inputs.md), and the prompts of corpora that it excludes.
Outputs: prompts.parquet, responses.parquet, rejected.parquet and, last, the manifest with counts by reason and year.

Example:
    python workflow_scripts/ingest.py --corpus papers --spec '{"adapter": "demo", "papers": 8}' \
        --prompts out/prompts.parquet --responses out/responses.parquet \
        --rejected out/rejected.parquet --manifest out/manifest.json
"""

import argparse
import json
from pathlib import Path

from winnow.core.config.base import Settings
from winnow.core.config.corpora import Corpus
from winnow.core.entry import run
from winnow.core.errors import WinnowError
from winnow.core.manifest import write_manifest
from winnow.core.named_paths import named_paths
from winnow.core.study import parse
from winnow.corpus.adapters import open_source, portable_settings
from winnow.corpus.ingest import Tables, build_tables


class _Spec(Settings):
    corpus: Corpus


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--spec", required=True, help="the corpus as the study has it, in JSON")
    parser.add_argument("--corpus", required=True, help="its name in the study")
    parser.add_argument("--excluded", nargs="*", default=[], help="NAME=PATH: prompts of each corpus in `exclude`")
    for table in ("prompts", "responses", "rejected", "manifest"):
        parser.add_argument(f"--{table}", required=True, type=Path, help=f"where {table} go")
    return parser.parse_args()


def main() -> None:
    """Build the tables, then the manifest."""
    args = parse_args()
    spec = parse(_Spec, {"corpus": json.loads(args.spec)}, "--spec").corpus
    source = open_source(spec, args.corpus)
    tables = Tables(args.prompts, args.responses, args.rejected)
    given = named_paths(args.excluded, "--excluded")
    if given.keys() != set(spec.exclude):
        problem = f"names {', '.join(given) or 'none'}, the corpus excludes {', '.join(spec.exclude) or 'none'}"
        raise WinnowError("--excluded", problem, "give the prompts of each of them")
    others = {name: given[name] for name in spec.exclude}
    counts = build_tables(source, spec, tables, others)
    write_manifest(
        args.manifest,
        step="ingest",
        inputs={**source.files, **{f"prompts of {name}": path for name, path in others.items()}},
        outputs=tables._asdict(),
        settings=portable_settings(spec),
        counts=counts,
        software=["pyarrow", "duckdb"],
    )


if __name__ == "__main__":
    run(main, environment="data")
