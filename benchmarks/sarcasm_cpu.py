"""How long the study sarcasm_cpu takes on two cores, and what comes out. Prints Markdown.

Runs the study in a copy of the checkout, or reads a finished one (--results).

    .venv/bin/python benchmarks/sarcasm_cpu.py --data ../shared/data
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
STUDY = "results/sarcasm_cpu"
NUMBERS = ("accuracy", "macro_f1", "mcc", "predicted_positive_rate")


def run_study(data: Path, folder: Path) -> Path:
    """Run the study in a fresh clone, print what it took, and return its results."""
    checkout = folder / "checkout"
    subprocess.run(["git", "clone", "--quiet", "--depth", "1", f"file://{ROOT}", checkout], check=True)
    command = [
        sys.executable,
        "-m",
        "snakemake",
        "--cores",
        "2",
        "--quiet",
        "all",
        "--config",
        f"data_root={data.resolve()}",
    ]
    began = time.perf_counter()
    subprocess.run([*command, "--", f"{STUDY}/report.html"], cwd=checkout, check=True)
    wall = (time.perf_counter() - began) / 60
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    print(f"{wall:.1f} minutes on 2 cores, {(used.ru_utime + used.ru_stime) / 60:.1f} minutes of CPU time\n")
    return checkout / STUDY


def cell(number: dict[str, Any] | None) -> str:
    """Return a number with its interval, such as 0.744 [0.717, 0.770]."""
    if number is None or number["value"] is None:
        return "–"
    interval = number["interval"]
    return f"{number['value']:.3f}" + (f" [{interval[0]:.3f}, {interval[1]:.3f}]" if interval else "")


def print_table(results: Path) -> None:
    """Print what each run, and each baseline, answers by probability."""
    comparison = json.loads((results / "comparison/comparison.json").read_text())
    decided = comparison["decisions"]["clean"]["logprob"]
    rows = comparison["responses"]["clean"]["logprob"]["rows"]
    against = {row["run"]: (row["to_reference"] or {}).get("decision_correct") for row in rows}
    positive = comparison["task"]["classes"][0]
    heads = ("accuracy", "macro-F1", "F1 sarcastic", "MCC", "called sarcastic", "accuracy − TF-IDF", "McNemar p")
    print(f"| {decided['n']} posts | {' | '.join(heads)} |")
    print("|---" * (len(heads) + 1) + "|")
    for name, numbers in (decided["rows"] | decided["baselines"]).items():
        accuracy, macro, mcc, rate = (cell(numbers.get(key)) for key in NUMBERS)
        f1, difference = cell(numbers["per_class"][positive]["f1"]), against.get(name)
        tested = (
            ("", "")
            if difference is None
            else (cell(difference), f"{difference['p']:.3f}" if difference["p"] >= 0.001 else "< 0.001")
        )
        print(f"| {name} | {accuracy} | {macro} | {f1} | {mcc} | {rate} | {tested[0]} | {tested[1]} |")
    for sweep in comparison["sweeps"]:
        print(f"\nChosen of {sweep['entry']}: {sweep['chosen']}: {sweep['why']}.")


def main() -> None:
    """Run or read, then print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("data"), help="folder with sarcasm_v2 and isarcasm_eval")
    parser.add_argument("--results", type=Path, help="of a finished run, to print its table alone")
    args = parser.parse_args()
    if args.results:
        print_table(args.results)
        return
    with tempfile.TemporaryDirectory() as folder:
        print_table(run_study(args.data, Path(folder)))


if __name__ == "__main__":
    main()
