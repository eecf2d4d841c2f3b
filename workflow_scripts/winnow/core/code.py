"""Which files of this project a script runs: the script and what it imports, found without running it."""

import ast
from functools import cache
from pathlib import Path


def _module_file(root: Path, module: str) -> Path | None:
    """Return the file of a module below `root`, or None for a module from elsewhere."""
    path = root.joinpath(*module.split("."))
    for candidate in (path.with_suffix(".py"), path / "__init__.py"):
        if candidate.is_file():
            return candidate
    return None


@cache
def imported_modules(file: Path) -> frozenset[str]:
    """Return the absolute names that a file imports anywhere in it, `from a import b` as a and a.b."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"), str(file))):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module)
            names.update(f"{node.module}.{alias.name}" for alias in node.names)
    return frozenset(names)


@cache
def import_closure(script: Path) -> tuple[Path, ...]:
    """Return a script and every project file that it imports, directly or not, script first, then sorted.

    Project files are those below the script's folder. Relative imports are not followed: the
    project has none (a lint rule).
    """
    root, found, queue = script.parent, {script}, [script]
    while queue:
        for module in imported_modules(queue.pop()):
            parts = module.split(".")
            for depth in range(1, len(parts) + 1):
                file = _module_file(root, ".".join(parts[:depth]))
                if file is not None and file not in found:
                    found.add(file)
                    queue.append(file)
    return (script, *sorted(found - {script}))
