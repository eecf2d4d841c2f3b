"""Proof of where a step ran: a line planted into a copy of the library, which each step writes into its own log."""

import re
from pathlib import Path
from typing import NamedTuple

_LINE = re.compile(r"^planted: (\S+) (\S+) (\S+)$", re.MULTILINE)


class Proof(NamedTuple):
    """What a step said of itself: its prefix, where a package of its environment came from, what a module had set."""

    prefix: Path
    package: Path
    module: str


def plant(checkout: Path) -> None:
    """Have every script of a checkout say where it runs, just before it checks its environment."""
    entry = checkout / "workflow_scripts/winnow/core/entry.py"
    text = entry.read_text()
    start = "    try:\n        check_environment("
    assert text.count(start) == 1
    said = "sys.prefix, yaml.__file__, os.environ.get('WINNOW_SITE_MODULE', 'none')"
    entry.write_text(text.replace(start, f"    print('planted:', {said})\n{start}"))


def proof(checkout: Path, log: str) -> Proof:
    """Read what a step of the demo study said last in its log."""
    said = _LINE.findall((checkout / "results/demo/logs" / log).read_text())
    assert len(said) == 1, f"{log} holds {len(said)} planted lines"
    prefix, package, module = said[0]
    return Proof(Path(prefix), Path(package), module)
