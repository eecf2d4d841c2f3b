"""Which files of this project a script runs: the script and what it imports, found without running it."""

import ast
from functools import cache
from pathlib import Path

_BLOCKS = ("body", "orelse", "finalbody", "handlers", "cases")


@cache
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
    queue: list[ast.AST] = [ast.parse(file.read_text(encoding="utf-8"), str(file))]
    while queue:
        node = queue.pop()
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module)
            names.update(f"{node.module}.{alias.name}" for alias in node.names)
        # Statements hold statements in these fields alone, and expressions, which are most of a file, hold none.
        for block in _BLOCKS:
            queue += getattr(node, block, ())
    return frozenset(names)


@cache
def _imported_files(root: Path, file: Path) -> frozenset[Path]:
    """Return the project files that a file imports directly, packages on the way to them included.

    Kept for the process: the scripts share most of what they import, and every job of a workflow asks for all.
    """
    found = set()
    for module in imported_modules(file):
        parts = module.split(".")
        for depth in range(1, len(parts) + 1):
            imported = _module_file(root, ".".join(parts[:depth]))
            if imported is None:
                break  # from elsewhere, or a name inside the module found last
            found.add(imported)
    return frozenset(found)


@cache
def import_closure(script: Path) -> tuple[Path, ...]:
    """Return a script and every project file that it imports, directly or not, script first, then sorted.

    Project files are those below the script's folder. Relative imports are not followed: the
    project has none (a lint rule).
    """
    found, queue = {script}, [script]
    while queue:
        new = _imported_files(script.parent, queue.pop()) - found
        found |= new
        queue.extend(new)
    return (script, *sorted(found - {script}))
