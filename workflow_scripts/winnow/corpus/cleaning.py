"""Text made clean and uniform: characters, line breaks, crawlers' artefacts, and what a reader should know."""

import json
import re
import unicodedata

# Zero-width and direction marks, soft hyphen, byte order mark: invisible, and good for hiding instructions.
_INVISIBLE = re.compile("[\u00ad\u061c\u200b-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u206f\ufeff]")
_LINE_BREAK = re.compile("\r\n|[\r\x0b\x0c\x85\u2028\u2029]")
_CONTROL = re.compile("[\x00-\x08\x0e-\x1f\x7f-\x9f]")
_SURROGATE = re.compile("[\ud800-\udfff]")
_BLANK_LINES = re.compile(r"\n{3,}")
# A crawler of 2017 wrote apostrophes as asterisks. Only contractions and possessives of whole words are
# restored, so that products (alpha*I, x*d) and emphasis (*soft*) stay.
_APOSTROPHE = re.compile(r"(?<!\w)([A-Za-z]{2,}|I)\*(?=(?:s|t|m|d|re|ve|ll)\b)", re.IGNORECASE)

# Matched against lower case, which is several times faster than ignoring case; and only where one of the words
# stands that the pattern needs, which spares it most texts.
_REBUTTAL_EDITS: tuple[tuple[tuple[str, ...], re.Pattern[str]], ...] = tuple(
    (words, re.compile(pattern, re.MULTILINE | re.VERBOSE))
    for words, pattern in (
        (
            ("rebuttal", "revision", " response", " feedback", " reply"),
            r"""\b(?:after|based\ on|in\ light\ of|having\ read|thanks?\ for|read)\W+
                (?:\w+\W+){0,4}(?:rebuttal|author'?s?'?\ (?:response|feedback|reply)|revision)\b""",
        ),
        (("rebuttal",), r"\bpost[-\ ]rebuttal\b"),
        (
            ("score", "rating", "evaluation", "recommendation"),
            r"""\b(?:i|i've|have|i'm|am)\ (?:(?:have|am|now|thus|therefore|also|slightly|decided|going|to)\ ){0,4}
                (?:rais|increas|updat|chang|adjust|lower|decreas|upgrad|revis)(?:e|ed|ing)\ (?:my|the)
                \ (?:\w+\ ){0,2}(?:score|rating|evaluation|recommendation)""",
        ),
        (("edit", "update"), r"^[^\w\n]*(?:edit|update|updated|\[edit\]|\[update\])\b[^\w\n]*[:\]\-]"),
    )
)

# Records that are not reviews are short; a long text with one of these phrases is a review.
_NOT_A_REVIEW_CHARS = 400
_NOT_A_REVIEW: tuple[tuple[str, re.Pattern[str]], ...] = tuple(
    (reason, re.compile(pattern, re.IGNORECASE))
    for reason, pattern in (
        (
            "placeholder",
            r"will (?:\w+ ){0,2}(?:post|add|upload|submit|provide|write|complete) (?:\w+ ){0,3}reviews?\b"
            r"|(?:full|detailed|complete) review (?:soon|later|tomorrow|will follow|to (?:come|follow))"
            r"|put(?:ting)? (?:in )?the score for now|^\W*(?:placeholder|tbd|tba|n/?a|none|test)\W*$",
        ),
        (
            "refusal to review",
            r"assign (?:\w+ ){0,3}another reviewer"
            r"|(?:can ?not|can't|could not|unable to|decline to|not able to) (?:\w+ ){0,4}review\b"
            r"|not (?:\w+ ){0,2}qualified to (?:review|judge|assess)|beyond my expertise"
            r"|do(?:n't| not) feel able to (?:review|make (?:\w+ )?comments)",
        ),
        (
            "note on withdrawal",
            r"(?:paper|submission) (?:was|is|has been|were) (?:\w+ )?withdrawn"
            r"|(?:due to|because of|given|since) (?:the )?withdrawal",
        ),
    )
)


def normalise(text: str) -> tuple[str, tuple[str, ...]]:
    """Return text with uniform line breaks and composed characters, and flags for what was taken out.

    Doing so twice changes nothing more. Tabs, symbols and Markdown stay.
    """
    plain, flags = _without_hidden(text)
    if not plain.isascii():
        plain = unicodedata.normalize("NFC", plain).replace("\u00a0", " ")
    trimmed = "\n".join(map(str.rstrip, plain.split("\n")))
    if "\n\n\n" in trimmed:
        trimmed = _BLANK_LINES.sub("\n\n", trimmed)
    return trimmed.strip(), flags


def _without_hidden(text: str) -> tuple[str, tuple[str, ...]]:
    """Return text without what is not seen and with one kind of line break, and flags for what was taken out."""
    if text.replace("\n", "").replace("\t", "").isprintable():  # most texts: nothing below is printable
        return text, ()
    flags = []
    text = _LINE_BREAK.sub("\n", text)
    visible = _INVISIBLE.sub("", text)
    if visible != text:
        flags.append("invisible_characters")
    plain = _SURROGATE.sub("\ufffd", _CONTROL.sub("", visible))
    if plain != visible:
        flags.append("control_characters")
    return plain, tuple(flags)


def unwrap(text: str) -> tuple[str, bool]:
    r"""Return the text inside a record that is one quoted literal with escapes ("a\nb"), and whether it was one."""
    bare = text.strip()
    if len(bare) < 2 or not (bare.startswith('"') and bare.endswith('"')):
        return text, False
    try:
        inner = json.loads(bare, strict=False)
    except ValueError:
        return text, False
    return (inner, True) if isinstance(inner, str) else (text, False)


def restore_apostrophes(text: str) -> tuple[str, bool]:
    """Return text with "It*s" as "It's", and whether anything changed."""
    restored = _APOSTROPHE.sub(r"\1'", text) if "*" in text else text
    return restored, restored != text


def is_rebuttal_edit(text: str) -> bool:
    """Return whether a reviewer seems to have edited the text after the authors' answer."""
    lower = text.lower()
    return any(any(word in lower for word in words) and pattern.search(lower) for words, pattern in _REBUTTAL_EDITS)


def why_no_review(text: str) -> str | None:
    """Return why a short text is not a review (placeholder, refusal, note on withdrawal), or None."""
    if len(text) >= _NOT_A_REVIEW_CHARS:
        return None
    return next((reason for reason, pattern in _NOT_A_REVIEW if pattern.search(text)), None)


def one_line(text: str) -> str:
    """Return text with every run of white space as one space."""
    return " ".join(text.split())


def excerpt(text: str, chars: int = 160) -> str:
    """Return the beginning of a text on one line, for a ledger."""
    line = one_line(text)
    return line if len(line) <= chars else line[: chars - 1] + "…"
