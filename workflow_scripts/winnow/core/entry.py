"""How every script starts and ends: right software or none, clear errors, one exit status each."""

import os
import sys
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import yaml

from winnow.core.errors import WinnowError

ENVIRONMENTS = Path(__file__).parents[3] / "envs"


def pins(kind: str) -> dict[str, str]:
    """Return the exact pins of an environment kind, from `envs/<kind>.yaml`: name → version."""
    environment = yaml.safe_load((ENVIRONMENTS / f"{kind}.yaml").read_text(encoding="utf-8"))
    pip = next(entry["pip"] for entry in environment["dependencies"] if isinstance(entry, dict))
    return dict(line.split("==") for line in pip)


def check_environment(kind: str) -> None:
    """Check that the running interpreter has the pinned packages of an environment kind.

    Snakemake falls back to the host's Python in silence when an environment is missing, so each
    script looks for itself.

    Raises:
        WinnowError: naming every package that differs.
    """
    wrong = []
    for package, wanted in pins(kind).items():
        try:
            found = version(package)
        except PackageNotFoundError:
            wrong.append(f"{package} is missing, wanted {wanted}")
            continue
        if found.split("+")[0] != wanted:
            wrong.append(f"{package} is {found}, wanted {wanted}")
    if wrong:
        raise WinnowError(
            f"{sys.executable}, for envs/{kind}.yaml",
            "; ".join(wrong),
            "run `make setup` and use its environment, or give the interpreter in config.yaml, or use --sdm conda",
        )


def run(main: Callable[[], None], *, environment: str) -> None:
    """Run a script's `main` after checking its environment; exit 2 with a message on a user's error."""
    # Line by line, or a log shows nothing until the end.
    os.environ.setdefault("PYTHONUNBUFFERED", "1")
    try:
        check_environment(environment)
        main()
    except WinnowError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except OSError as error:
        if error.errno != 28:
            raise
        place = error.filename or "the output"
        print(
            f"error: {place}: the disk is full; nothing half-written was left behind\n"
            "  fix: free some space and run the same command again",
            file=sys.stderr,
        )
        sys.exit(2)
