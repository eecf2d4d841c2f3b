"""Lock every requirements/*.in into *.txt, and write the pins into envs/*.yaml.

One resolution serves all kinds of work but one (dev.in includes them), so that they can share one
virtual environment; each kind's lock is the part of it that the kind needs. vLLM pins packages of its own, so
the judge is resolved alone and lives apart. Run by `make lock`.
CUDA's own packages are left to torch, which pins them exactly: a lock made with a CPU build has none.
"""

import subprocess
import sys
from pathlib import Path

REQUIREMENTS = Path(__file__).parent
ENVIRONMENTS = REQUIREMENTS.parent / "envs"
KINDS = ("data", "train", "report")
ALONE = "judge"
PYTHON = "3.11"


def compile_lock(name: str, constraints: Path | None = None) -> list[str]:
    """Resolve requirements/<name>.in and write requirements/<name>.txt; return its pins."""
    source, lock = REQUIREMENTS / f"{name}.in", REQUIREMENTS / f"{name}.txt"
    command = [sys.executable, "-m", "piptools", "compile", "--quiet", "--strip-extras", "--no-annotate", "--no-header"]
    command += ["--no-emit-index-url", "--no-emit-find-links", "--allow-unsafe", "--output-file", str(lock)]
    command += [f"--constraint={constraints}"] if constraints else []
    subprocess.run([*command, str(source)], check=True)
    # A local build's version ("2.13.0+cpu") says where this lock was made; the pin is for everyone.
    pins = [line.split("+")[0] for line in lock.read_text().splitlines() if "==" in line]
    lock.write_text(f"# Made by `make lock` from {name}.in: do not edit.\n" + "\n".join(pins) + "\n")
    return pins


def environment(kind: str, pins: list[str]) -> str:
    """Return the conda environment of a kind: pins stand inline, since `pip: -r` does not survive Snakemake's copy."""
    head = f"# Made by `make lock` from requirements/{kind}.in: do not edit.\n"
    body = f"channels: [conda-forge]\ndependencies:\n  - python={PYTHON}\n  - pip\n  - pip:\n"
    return head + body + "".join(f"      - {pin}\n" for pin in pins)


def main() -> None:
    """Lock everything."""
    compile_lock("dev")
    for kind in (*KINDS, ALONE):
        pins = compile_lock(kind, REQUIREMENTS / "dev.txt" if kind in KINDS else None)
        (ENVIRONMENTS / f"{kind}.yaml").write_text(environment(kind, pins))


if __name__ == "__main__":
    main()
