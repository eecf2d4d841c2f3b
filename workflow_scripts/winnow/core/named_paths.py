"""NAME=PATH arguments, for inputs that come one, or several, per corpus, dataset or run."""

from collections.abc import Iterable
from pathlib import Path

from winnow.core.errors import WinnowError


def path_groups(arguments: Iterable[str], option: str) -> dict[str, list[Path]]:
    """Return name → its paths, ordered by name, each name's paths as they were given.

    Args:
        arguments: NAME=PATH each.
        option: names the command line's option in an error.

    Raises:
        WinnowError: if an argument is not NAME=PATH.
    """
    groups: dict[str, list[Path]] = {}
    for argument in arguments:
        name, separator, path = argument.partition("=")
        if not (name and separator and path):
            raise WinnowError(option, f"{argument!r} is not NAME=PATH", "write a name, = and a path")
        groups.setdefault(name, []).append(Path(path))
    return dict(sorted(groups.items()))


def named_paths(arguments: Iterable[str], option: str) -> dict[str, Path]:
    """Return name → path, ordered by name.

    Args:
        arguments: NAME=PATH each.
        option: names the command line's option in an error.

    Raises:
        WinnowError: if an argument is not NAME=PATH, or a name occurs twice.
    """
    groups = path_groups(arguments, option)
    for name, paths in groups.items():
        if len(paths) > 1:
            raise WinnowError(option, f"the name {name} occurs {len(paths)} times", "give each name once")
    return {name: path for name, (path,) in groups.items()}
