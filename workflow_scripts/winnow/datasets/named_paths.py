"""NAME=PATH arguments, for inputs that come one per dataset."""

from collections.abc import Iterable
from pathlib import Path

from winnow.core.errors import WinnowError


def named_paths(arguments: Iterable[str]) -> dict[str, Path]:
    """Return name → path, in the order of the names.

    Raises:
        WinnowError: if an argument is not NAME=PATH, or a name occurs twice.
    """
    paths: dict[str, Path] = {}
    for argument in arguments:
        name, separator, path = argument.partition("=")
        if not (name and separator and path):
            raise WinnowError(
                argument, "is not NAME=PATH", "write for example sft=results/demo/datasets/sft/chosen.parquet"
            )
        if name in paths:
            raise WinnowError(argument, f"the name {name} occurs twice", "give each dataset once")
        paths[name] = Path(path)
    return dict(sorted(paths.items()))
