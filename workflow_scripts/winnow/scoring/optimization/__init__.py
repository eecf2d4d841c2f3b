"""Choosing the items of a checklist by data, and saying whether the choice means anything (docs/methods.md)."""
