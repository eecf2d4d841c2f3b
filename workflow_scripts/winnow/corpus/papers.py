"""The text of a paper without what gives its fate away: authors, banners, links to named code."""

import re
from typing import NamedTuple

ABSTRACT = re.compile(r"^[#*_ \t]*A\s*B\s*S\s*T\s*R\s*A\s*C\s*T[*_:. \t]*$", re.MULTILINE | re.IGNORECASE)
_INTRODUCTION = re.compile(
    r"^[#*_ \t]*(?:[0-9]+\s+)?1?\.?[ \t]*I\s*N\s*T\s*R\s*O\s*D\s*U\s*C\s*T\s*I\s*O\s*N[*_:. \t]*$",
    re.MULTILINE | re.IGNORECASE,
)
_FRONT_MATTER_CHARS = 4_000  # authors and affiliations never took more; a later "Abstract" is another thing
_ABSTRACT_CHARS = 5_000

# Lines that only an accepted paper (names, addresses, thanks) or only a submission (anonymity) carries.
# Matched against lower case, which is several times faster than ignoring case.
_LEAK_LINE = re.compile(
    r"""\b(?:
          (?:published|under\ review|submitted|accepted)\ as\ an?\ (?:conference|workshop|c\b|conf)
        | anonymous\ authors?\b | (?:double[- ])?blind\ review\b
        | anonym\w*\ (?:link|code|github|git|source|repo|url|implementation) | de-?anonymi[sz]ed
        | (?:up)?on\ (?:acceptance|publication)\b | after\ (?:acceptance|publication)\b
        | equal(?:ly)?\ contribut | contribut\w*\ .{0,30}equally | equal\ advis
        | correspond(?:ing|ence)\ author | correspond(?:ence)?\ to\ .*@
        | work\ (?:is\ |was\ |of\ .*)?(?:partially\ )?(?:done|performed|carried\ out)\ (?:while|during|at|when|as)\b
        | (?:part\ of\ this\ work|contact\ information|affiliated\ with|internship\ (?:at|in))\b
        | accept(?:ed)?\ (?:at|to|by|for)\ (?:\w+\ ){0,3}(?:iclr|neurips|icml|aaai|cvpr|iccv|eccv|acl|emnlp)\b
      )
    | @[\w.-]+\.[a-z]{2,}
    | ^[_*\[ ]*[∗†‡˚¶§♠♣♥♦].*\b(?:university|institute|department|laborator|inc\.|research\b|author|chair\b)
    | ^[\w ,.&-]{0,40}\buniversity\b[\w ,.&-]{0,40}$
    """,
    re.VERBOSE,
)
_THANKS = re.compile(
    r"^[#*_ \t0-9.]*(?:acknowledge?ments?|author contributions?|funding)[*_:. \t]*$.*?(?=^#|\Z)",
    re.MULTILINE | re.IGNORECASE | re.DOTALL,
)
LINK = re.compile(
    r"\[[^\[\]\n]*\]\(\s*(?:https?://|mailto:|www\.)[^)\s]*\s*\)"  # [text](address) in Markdown
    r"|(?:https?://|www\.)[^\s)\]}>]+|\b(?:github|gitlab|bitbucket)\.(?:com|org|io)/[^\s)\]}>]*",
    re.IGNORECASE,
)
# Each leak has one of these, in lower case, and each link one of those: most lines have none, and are not searched.
_LEAK_SIGNS = (
    *("as a", "anonym", "blind", "acceptance", "publication", "equal", "correspond", "work", "contact information"),
    *("affiliated", "internship", "accept", "university", "@", *"∗†‡˚¶§♠♣♥♦"),
)
_LINK_SIGNS = ("/", "www.", "](")
_LETTER = re.compile(r"[^\W\d_]")
_PROSE_CHARS = 60  # lines of an abstract are longer, those of names and addresses shorter


class Paper(NamedTuple):
    """The parts of a paper; the abstract is null where it could not be told from the body."""

    title: str | None
    abstract: str | None
    body: str


def leaks(line: str) -> bool:
    """Say whether a line names authors or tells the state of review."""
    lower = line.lower()
    return any(sign in lower for sign in _LEAK_SIGNS) and _LEAK_LINE.search(lower) is not None


def without_leaks(text: str) -> str:
    """Return text without thanks, links, and lines that name authors or tell the state of review.

    Links go because accepted papers link to named repositories, and rejected ones to anonymous ones or none.
    """
    kept = []
    for line in _THANKS.sub("", text).split("\n"):
        if leaks(line):
            continue
        bare = LINK.sub("", line) if any(sign in line.lower() for sign in _LINK_SIGNS) else line
        if bare == line or _LETTER.search(bare):
            kept.append(bare)
    return "\n".join(kept)


def _without_author_block(abstract: str) -> str:
    """Return an abstract without the authors that a parser put after its heading (papers with columns of names)."""
    lines = abstract.strip().split("\n")
    for at, line in enumerate(lines):
        if len(line) >= _PROSE_CHARS and not line.startswith("**"):
            return "\n".join(lines[at:])
    return abstract


def split_paper(text: str) -> Paper | None:
    """Divide a parsed paper at its headings and drop all that stands between title and abstract.

    Args:
        text: normalised text of a paper in Markdown, title first.

    Returns:
        None where no heading "Abstract" ends the front matter, so that names cannot be taken out.
    """
    heading = ABSTRACT.search(text, 0, _FRONT_MATTER_CHARS)
    if heading is None:
        return None
    rest = text[heading.end() :]
    introduction = _INTRODUCTION.search(rest, 0, _ABSTRACT_CHARS)
    cut = introduction.start() if introduction else 0
    abstract = _without_author_block(without_leaks(rest[:cut])).strip()
    body = without_leaks(rest[cut:]).strip()
    if not cut:
        body = _without_author_block(body)
    return Paper(_title(text[: heading.start()]), abstract or None, body)


def _title(front: str) -> str | None:
    """Return the title: the leading headings, else the leading lines in capitals; broken words are joined."""
    lines = [line.strip() for line in without_leaks(front).splitlines() if line.strip()]
    headings = [line for line in lines if line.startswith("#")]
    if not headings:
        headings = []
        for line in lines:
            if line != line.upper():
                break
            headings.append(line)
    if not headings:
        return None
    # "DISTIL## LATION" and "MANUFAC## TURING" are one word that a line break divided.
    joined = re.sub(r"#{2,} ", "", " ".join(line.lstrip("# ") for line in headings))
    return " ".join(re.sub(r"[*_]{2,}", "", joined).replace("- ", "-").split()) or None
