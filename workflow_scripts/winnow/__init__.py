"""The library behind Winnow's scripts. Its rooms and laws are described in docs/architecture.md.

A script's imports come before its own check of the environment (core/entry.py), and fail on a Python without packages:
the host's, on which Snakemake falls back in silence. What such a failure means is said here, where nothing is needed.
"""

import sys
from pathlib import Path
from types import TracebackType

from winnow.core.errors import OTHER_PYTHON

_SCRIPTS = Path(__file__).resolve().parents[1]


def _explain_imports(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Say what a failed import of someone else's package means; every other error is shown as always."""
    is_ours = isinstance(error, ImportError) and (error.name or "").partition(".")[0] == "winnow"
    if not isinstance(error, ModuleNotFoundError) or is_ours:
        sys.__excepthook__(kind, error, trace)
    if isinstance(error, ImportError) and not is_ours:
        print(f"error: {sys.executable}: {error}\n  fix: {OTHER_PYTHON}", file=sys.stderr)


# Only in the process of a script: tests and Snakemake import the library too, and keep their own ways.
if Path(getattr(sys.modules["__main__"], "__file__", None) or "/").resolve().parent == _SCRIPTS:
    sys.excepthook = _explain_imports
