"""Draw the images of a corpus for one modality: pages for `vision`, figures for `clean_images`.

Inputs: prompts.parquet, and the folders of PDFs or images that the corpus names (docs/inputs.md). Outputs: a table that
names an image file in each row, a table of prompts without images and why, and, last, the manifest. The image
files lie in cache/images below the checkout, under the hash of their bytes; what was drawn before is not drawn again.

Example:
    python workflow_scripts/draw_images.py --prompts results/demo/corpus/papers/prompts.parquet \
        --spec '{"adapter": "demo", "modality": "vision", "max_pixels": 250880, "min_pixels": 196, "max_images": 10}' \
        --images out/vision.parquet --rejected out/vision.rejected.parquet --manifest out/vision.manifest.json
"""

import argparse
import json
from pathlib import Path

from winnow.core.entry import run
from winnow.core.manifest import write_manifest
from winnow.core.study import parse
from winnow.corpus.draw import ImageTables, draw_corpus
from winnow.corpus.image_cache import SOFTWARE
from winnow.corpus.image_sources import DrawSettings


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--spec", required=True, help="what is drawn from what, in JSON")
    parser.add_argument("--prompts", required=True, type=Path, help="prompts.parquet of the corpus")
    for name in ("images", "rejected", "manifest"):
        parser.add_argument(f"--{name}", required=True, type=Path, help=f"where {name} go")
    parser.add_argument("--root", type=Path, default=Path(), help="the checkout, below which cache/images lies")
    parser.add_argument("--threads", type=int, default=1, help="processes that draw")
    return parser.parse_args()


def main() -> None:
    """Draw, then write the manifest."""
    args = parse_args()
    settings = parse(DrawSettings, json.loads(args.spec), "--spec")
    tables = ImageTables(args.images, args.rejected)
    report = draw_corpus(args.prompts, settings, args.root, tables, args.threads)
    write_manifest(
        args.manifest,
        step="draw_images",
        inputs={"prompts": args.prompts},
        outputs=tables._asdict(),
        settings=settings.portable(),
        counts=report.counts,
        software=["pyarrow", "duckdb", *SOFTWARE],
        sources_sha256=report.sources_sha256,
    )


if __name__ == "__main__":
    run(main, environment="data")
