"""Comparing texts, and keeping data from posing as control tokens."""

import re
import unicodedata
from collections.abc import Iterable

# What a chat template, an image loader or a tool parser could take for its own mark.
_CONTROL = (
    r"<\|[^<>|\n]{0,80}\|>|</?(?:image|video|audio|think|tool_call|tool_response|tools|answer|s|pad|bos|eos|unk)>"
)


def normalised(text: str) -> str:
    """Return what counts of a text when two are compared: NFKC, no case, single spaces."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def control_pattern(added_tokens: Iterable[str] = ()) -> re.Pattern[str]:
    """Return the pattern of all that must not occur in data: the known marks and a tokenizer's own added tokens.

    Args:
        added_tokens: tokens that the tokenizer recognises inside any text, but for those that begin or end with
            white space.
    """
    own = sorted(
        {re.escape(token) for token in added_tokens if token == token.strip() and len(token) > 1}, key=len, reverse=True
    )
    return re.compile("|".join([_CONTROL, *own]), re.IGNORECASE)


def escaped(text: str, pattern: re.Pattern[str]) -> tuple[str, int]:
    """Return a text with a space put behind the first character of each control mark, and how many there were.

    `<|im_end|>` becomes `< |im_end|>`: readable, and no token of any template.
    """
    total = 0
    while True:
        text, count = pattern.subn(lambda found: f"{found[0][0]} {found[0][1:]}", text)
        if not count:
            return text, total
        total += count
