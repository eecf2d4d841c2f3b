"""One rule's findings: how much was checked, what failed, and a few examples by which to find it."""

import heapq
from dataclasses import dataclass, field
from typing import Any, Literal

Status = Literal["pass", "warn", "fail", "not_applicable"]

MAX_EXAMPLES = 5


@dataclass
class Check:
    """The findings of one rule.

    Attributes:
        id: C1 to C15 of the acceptance checks, or W1 and on for Winnow's own.
        name: what the rule asks, in a few words.
        checked: rows or facts that were looked at.
        failures: how many of them break the rule.
        measured: numbers that the rule reports.
        not_applicable: why the rule does not apply, if it does not.
    """

    id: str
    name: str
    checked: int = 0
    failures: int = 0
    warnings: int = 0
    measured: dict[str, Any] = field(default_factory=dict)
    not_applicable: str | None = None
    _found: list[tuple[str, str]] = field(default_factory=list)

    def fail(self, subject: str, what: str) -> None:
        """Count a breach, and remember it while there is room: the smallest ids, so that order does not matter."""
        self.failures += 1
        self._remember(subject, what)

    def warn(self, subject: str, what: str) -> None:
        """Count something that a person should look at, but that stops nothing."""
        self.warnings += 1
        self._remember(subject, what)

    def expect(self, holds: bool, subject: str, what: str) -> None:
        """Count one fact, and a breach if it does not hold."""
        self.checked += 1
        if not holds:
            self.fail(subject, what)

    def _remember(self, subject: str, what: str) -> None:
        self._found.append((subject, what))
        if len(self._found) > 50 * MAX_EXAMPLES:
            self._found = heapq.nsmallest(MAX_EXAMPLES, self._found)

    @property
    def status(self) -> Status:
        """What the findings come to."""
        if self.not_applicable is not None:
            return "not_applicable"
        return "fail" if self.failures else "warn" if self.warnings else "pass"

    def result(self) -> dict[str, Any]:
        """Return the findings as JSON values."""
        examples = heapq.nsmallest(MAX_EXAMPLES, self._found)
        return {
            "id": self.id,
            "name": self.name,
            "status": self.status,
            "checked": self.checked,
            "failures": self.failures,
            "examples": [{"id": subject, "what": what} for subject, what in examples],
            "measured": {key: rounded(value) for key, value in self.measured.items()},
        } | ({"reason": self.not_applicable} if self.not_applicable is not None else {})


def rounded(value: Any) -> Any:
    """Return a number with 6 digits behind the point, anything else as it is."""
    return round(value, 6) if isinstance(value, float) else value
