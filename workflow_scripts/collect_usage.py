"""Collect what a study cost: attempts, GPU and CPU hours, waits, memory, per rule and per training.

Inputs: the study and its resolved runs, its folders of results (with benchmarks/) and of checkpoints, and SLURM's
accounting, where `sacct` answers. Output: usage.json (docs/output.md). Run it when all that it counts has ended.

Example:
    python workflow_scripts/collect_usage.py --spec '{"study": "demo", "runs": [...]}' --results results/demo \
        --checkpoints checkpoints/demo --calls .snakemake/log --out results/demo/usage.json
"""

import argparse
import json
from pathlib import Path

from winnow.core.config.runs import ResolvedRun
from winnow.core.entry import run
from winnow.core.files import write_json
from winnow.core.log import log
from winnow.core.study import parse
from winnow.reporting.accounting import ask
from winnow.reporting.usage import collect


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--spec", required=True, help="study and resolved runs, as JSON")
    parser.add_argument("--results", type=Path, required=True, help="results/<study>")
    parser.add_argument("--checkpoints", type=Path, required=True, help="checkpoints/<study>")
    parser.add_argument("--calls", type=Path, required=True, help="folder of Snakemake's own logs, may be absent")
    parser.add_argument("--out", type=Path, required=True)
    return parser.parse_args()


def main() -> None:
    """Ask, count and write."""
    args = parse_args()
    spec = json.loads(args.spec)
    runs = [parse(ResolvedRun, fields, "--spec, runs") for fields in spec["runs"]]
    told = ask(Path.cwd(), args.calls)
    usage = collect(spec["study"], runs, results=args.results, checkpoints=args.checkpoints, accounting=told)
    write_json(args.out, usage)
    total = usage["total"]
    log(
        f"{spec['study']}: {total['jobs']} jobs, {total['accounted_jobs']} of them in SLURM's accounting; {told.source}"
    )


if __name__ == "__main__":
    run(main, environment="report")
