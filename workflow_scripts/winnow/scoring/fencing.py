"""Making a text safe to show to a language model, and the fence that says where it begins and ends.

Three things a text may try: to hide what it says from people (zero-width and tag characters), to speak the model's
own language of turns (`<|im_start|>system`), and to look as if it ended. Against the first, such characters are
taken out; against the second, chat tokens are broken; against the third, the fence carries a code that the text
cannot know. What a text says in plain words stays: it is data, and a judge is told so (`prompting.py`).

Flags are another matter (`hostile.py`): they are here for people, and changing them changes no prompt.
"""

import re
import unicodedata
from functools import cache

from winnow.core.ids import sha256_text

CODE_LENGTH = 16  # hex digits, 64 bits: to write a text that holds its own code takes about 2^64 attempts

_LINE_BREAK = re.compile(r"\r\n?|[\x0b\x0c\x1c-\x1e\x85\u2028\u2029]")

# Shown as nothing, and not among the control and format characters: Default_Ignorable_Code_Point of Unicode.
_IGNORABLE = (
    (0x034F, 0x034F),  # grapheme joiner
    (0x115F, 0x1160),  # Hangul fillers
    (0x17B4, 0x17B5),
    (0x180B, 0x180F),
    (0x2065, 0x2065),
    (0x3164, 0x3164),
    (0xFE00, 0xFE0F),  # variation selectors, in which bytes can be hidden
    (0xFFA0, 0xFFA0),
    (0xFFF0, 0xFFF8),
    (0xE0000, 0xE0FFF),  # tag characters: an invisible copy of ASCII
)

# Where a special token of a known tokenizer may begin. Broken are the places, not the names, as each model brings
# new names. "<=", "<-" and "[1]" stay as they are.
_TOKEN_START = re.compile(
    r"<(?=[^\s<=-])"  # <|im_start|>, <s>, </think>, <start_of_turn>, <<SYS>>, <0x0A>
    r"|\[(?=/?[^\W\d_][\w~]*[\]\[])"  # [INST], [/INST], [gMASK], [TOOL_CALLS], [e~[
    r"|\[(?=\|)|\](?=~)"  # [|system|], ]~b]
    r"|>>(?=[^\W\d_])"  # >>QUESTION<<
    r"|\|\|\|(?=[^\W\d_])"  # |||EMAIL_ADDRESS|||
)


@cache
def _visible(character: str) -> bool:
    if character in "\n\t":
        return True
    point = ord(character)
    return unicodedata.category(character) not in {"Cc", "Cf", "Cs"} and not any(
        first <= point <= last for first, last in _IGNORABLE
    )


def cleaned(text: str) -> str:
    r"""Return a text as people see it: NFKC, line breaks as \n, no invisible characters, no white space at its ends.

    Invisible are control, format, tag and other ignorable characters, and lone surrogates. They go before NFKC,
    which brings back none of them, but joins what they kept apart.
    """
    lines = _LINE_BREAK.sub("\n", text)
    return unicodedata.normalize("NFKC", "".join(filter(_visible, lines))).strip()


def neutralised(text: str) -> str:
    """Return a text in which no special token of a tokenizer stands: a space is put after the token's first bracket."""
    return _TOKEN_START.sub(r"\g<0> ", text)


def safe_text(text: str) -> str:
    """Return a text that may stand in a prompt; applied twice it does no more than once.

    Cleaned first, so that no disguise comes undone after the tokens were looked for (fullwidth letters,
    a zero-width space inside a token).
    """
    return neutralised(cleaned(text))


def fence(text: str) -> tuple[str, str]:
    """Return the line that opens and the line that closes a text, with one code.

    The code is a hash of the text: the same in each prompt about it, so that prompts share their beginning and equal
    work gives equal bytes, and unknown to whoever writes the text.

    Args:
        text: as shown between the lines, so made safe.
    """
    code = sha256_text(text)[:CODE_LENGTH]
    while code in text:  # as good as impossible, and then still no hole
        code = sha256_text(code + text)[:CODE_LENGTH]
    return f"=== review {code} begins ===", f"=== review {code} ends ==="
