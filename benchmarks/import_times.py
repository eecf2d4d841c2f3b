"""How long each script takes to import what it needs: the least of several fresh processes.

.venv/bin/python benchmarks/import_times.py
"""

import subprocess
import sys
from pathlib import Path

SCRIPTS = Path(__file__).resolve().parents[1] / "workflow_scripts"
TRIES = 5
TIMED = "import time; start = time.perf_counter(); import {module}; print(time.perf_counter() - start)"


def import_s(module: str) -> float:
    """Return the least time in seconds of importing a script's module in a fresh interpreter."""
    command = [sys.executable, "-c", TIMED.format(module=module)]
    runs = [subprocess.run(command, cwd=SCRIPTS, capture_output=True, text=True, check=True) for _ in range(TRIES)]
    return min(float(run.stdout) for run in runs)


def main() -> None:
    """Print a Markdown table."""
    print("| script | import, s |\n|---|---|")
    for script in sorted(SCRIPTS.glob("*.py")):
        print(f"| {script.stem} | {import_s(script.stem):.2f} |")


if __name__ == "__main__":
    main()
