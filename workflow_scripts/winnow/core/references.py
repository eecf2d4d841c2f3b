"""Names that one key of a study uses and another defines."""

import difflib
from collections.abc import Iterable
from pathlib import Path

from winnow.core.errors import WinnowError


def refer(path: Path, key: str, found: str, known: Iterable[str]) -> None:
    """Check that a name which one key uses is defined by another.

    Args:
        path: the study's file.
        key: uses the name.
        found: the name.
        known: all that are defined.

    Raises:
        WinnowError: naming the key, with the nearest name.
    """
    if found not in known:
        near = difflib.get_close_matches(found, list(known), 1)
        fix = f"did you mean {near[0]!r}?" if near else f"use one of: {', '.join(sorted(known))}"
        raise WinnowError(f"{path}, key {key}", f"{found!r} is not defined", fix)
