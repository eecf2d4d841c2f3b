"""Time and peak memory of every data step, from raw records to validated datasets.

Synthetic reviews of several sizes, or the real ones of studies/peer_review_small.yaml. Prints a Markdown
table for docs/performance.md.

    .venv/bin/python benchmarks/data_plane.py --reviews 10000 100000 1000000
    .venv/bin/python benchmarks/data_plane.py --data-root ../shared/data
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
REVIEWS_PER_PAPER = 4


def checkout(folder: Path) -> Path:
    """Copy the parts of the checkout that a run needs."""
    for name in ("rules", "workflow_scripts", "studies", "recipes", "resources", "envs", "profiles"):
        shutil.copytree(ROOT / name, folder / name)
    for name in ("Snakefile", "config.yaml"):
        shutil.copy(ROOT / name, folder / name)
    return folder


def synthetic_study(folder: Path, reviews: int, shards: int) -> str:
    """Add a study like demo with as many synthetic reviews, and return its name."""
    corpus = f"{{papers: {{papers: {reviews // REVIEWS_PER_PAPER}, reviews_per_paper: {REVIEWS_PER_PAPER}}}}}"
    text = f"extends: demo\nstudy: measured\ncorpora: {corpus}\nsignal: {{shards: {shards}}}\nexports: []\n"
    (folder / "studies" / "measured.yaml").write_text(text)
    return "measured"


def measure(folder: Path, study: str, cores: int, data_root: str) -> list[dict]:
    """Run a study to its validated datasets and return the measures of its processes and of the whole."""
    measures = folder / "measures.jsonl"
    python = Path(__file__).with_name("measured_python")
    site = {
        "studies": [study],
        "data_root": data_root,
        "interpreters": dict.fromkeys(("data", "train", "report"), str(python)),
    }
    (folder / "config.yaml").write_text(json.dumps(site))
    environment = os.environ | {
        "WINNOW_PYTHON": sys.executable,
        "WINNOW_MEASURES": str(measures),
        "OMP_NUM_THREADS": "1",
    }
    command = [sys.executable, "-m", "snakemake", "--cores", str(cores), "--quiet", "all", "--", "validation"]
    began = time.monotonic()
    subprocess.run(command, cwd=folder, env=environment, check=True)
    workflow_s = time.monotonic() - began
    return [json.loads(line) | {"workflow_s": workflow_s} for line in measures.read_text().splitlines()]


def cell(measures: list[dict]) -> str:
    """Return the sums of wall and processor time and the greatest peak memory of some processes."""
    if not measures:
        return ""
    wall, cpu = (sum(m[key] for m in measures) for key in ("wall_s", "cpu_s"))
    return f"{wall:,.1f} s ({cpu:,.1f} s CPU), {max(m['peak_mb'] for m in measures):,} MB"


def table(columns: dict[str, list[dict]]) -> str:
    """Return a Markdown table: a row per script, a column per size."""
    scripts = list(dict.fromkeys(m["script"] for measures in columns.values() for m in measures))
    lines = ["| step | " + " | ".join(columns) + " |", "|---|" + "---|" * len(columns)]
    for script in scripts:
        cells = [cell([m for m in measures if m["script"] == script]) for measures in columns.values()]
        lines.append(f"| {script} | " + " | ".join(cells) + " |")
    lines.append("| all processes | " + " | ".join(map(cell, columns.values())) + " |")
    workflows = [f"{measures[0]['workflow_s']:,.1f} s" for measures in columns.values()]
    return "\n".join([*lines, "| the workflow, planning included | " + " | ".join(workflows) + " |"])


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--reviews", type=int, nargs="*", default=[], help="sizes of the synthetic corpus")
    parser.add_argument("--data-root", help="measure the real reviews below this folder")
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--shards", type=int, default=2)
    args = parser.parse_args()
    columns = {}
    for reviews in args.reviews:
        with tempfile.TemporaryDirectory() as folder:
            here = checkout(Path(folder))
            columns[f"{reviews:,} reviews"] = measure(
                here, synthetic_study(here, reviews, args.shards), args.cores, "data"
            )
    if args.data_root:
        with tempfile.TemporaryDirectory() as folder:
            data_root = str(Path(args.data_root).resolve())
            columns["ICLR 2017–2020"] = measure(checkout(Path(folder)), "peer_review_small", args.cores, data_root)
    print(table(columns))


if __name__ == "__main__":
    main()
