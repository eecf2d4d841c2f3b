"""Any JSON report as tables: what a later version of a step adds is shown without a change here."""

from dataclasses import dataclass
from typing import Any

# JSON files have their keys in the order of the alphabet; what a row is about should come first.
_FIRST = ("name", "item", "corpus", "year", "quartile", "n", "value", "threshold", "passed")


@dataclass(frozen=True)
class Table:
    """A table of a page: title, column names, rows of plain values."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]


def _is_scalar(value: Any) -> bool:
    return value is None or isinstance(value, str | int | float | bool)


def _is_cell(value: Any) -> bool:
    return _is_scalar(value) or (isinstance(value, list) and all(map(_is_scalar, value)))


def _flat(row: dict[str, Any], place: str = "") -> dict[str, Any]:
    """Return a row's nested keys side by side: {"a": {"b": 1}} → {"a b": 1}. Lists of objects are left out."""
    found: dict[str, Any] = {}
    for key, value in row.items():
        name = f"{place} {key}".strip()
        if isinstance(value, dict):
            found |= _flat(value, name)
        elif _is_cell(value):
            found[name] = value
    return found


def _of_rows(title: str, label: str | None, rows: list[tuple[str | None, dict[str, Any]]]) -> Table:
    flat = [(name, _flat(row)) for name, row in rows]
    columns = list(dict.fromkeys(column for _, row in flat for column in row))
    columns.sort(key=lambda column: _FIRST.index(column) if column in _FIRST else len(_FIRST))
    head = () if label is None else (label,)
    cells = tuple((*(() if label is None else (name,)), *(row.get(column) for column in columns)) for name, row in flat)
    return Table(title, (*head, *columns), cells)


def tables_of(value: Any, title: str) -> list[Table]:
    """Return tables that hold all scalars of a JSON value.

    A list of objects becomes a table with a row for each; so does an object whose values are
    objects with a common key (where there is but one, of plain values). What is left becomes a table of key and value.
    """
    if isinstance(value, list) and value and all(isinstance(row, dict) for row in value):
        tables = [_of_rows(title, None, [(None, row) for row in value])]
        for row in value:
            for key, inner in row.items():
                if isinstance(inner, list) and inner and isinstance(inner[0], dict):
                    tables += tables_of(inner, f"{title}: {key}")
        return tables
    if not isinstance(value, dict):
        return [Table(title, ("value",), ((value,),))] if _is_cell(value) and value != [] else []
    inner = list(value.values())
    alike = bool(inner) and all(isinstance(row, dict) and row for row in inner)
    if len(inner) == 1 and alike:  # one object in another: a row only if it holds plain values
        alike = all(map(_is_cell, inner[0].values()))
    if alike and set.intersection(*(set(row) for row in inner)):
        return [_of_rows(title, "name", list(value.items()))]
    scalars = {key: cell for key, cell in value.items() if _is_cell(cell)}
    tables = [Table(title, ("key", "value"), tuple(scalars.items()))] if scalars else []
    for key, content in value.items():
        if key not in scalars:
            tables += tables_of(content, f"{title}: {key}" if title else key)
    return tables
