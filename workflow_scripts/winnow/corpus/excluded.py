"""Texts that other corpora of a study have, which a corpus that excludes these must not have too."""

from collections.abc import Mapping
from pathlib import Path

from winnow.core.tables import read_rows
from winnow.corpus.duplicates import text_key

_TEXTS = ("title", "abstract", "body")


def text_of_prompt(*fields: str | None) -> str:
    """Return title, abstract and body as one text."""
    return "\n\n".join(field for field in fields if field)


def excluded_texts(others: Mapping[str, Path]) -> dict[bytes, str]:
    """Return the text keys of other corpora's prompts, each with the first corpus that has it.

    Args:
        others: tables of prompts by the corpus's name.
    """
    found: dict[bytes, str] = {}
    for name, prompts in others.items():
        for row in read_rows(prompts, _TEXTS):
            found.setdefault(text_key(text_of_prompt(*(row[column] for column in _TEXTS))), name)
    return found
