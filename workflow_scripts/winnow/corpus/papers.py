"""The text of a paper without what gives its fate away: authors, banners, links to named code."""

import re
from typing import NamedTuple

_ABSTRACT = re.compile(r"^[#*_ \t]*A\s*B\s*S\s*T\s*R\s*A\s*C\s*T[*_:. \t]*$", re.MULTILINE | re.IGNORECASE)
_INTRODUCTION = re.compile(
    r"^[#*_ \t]*(?:[0-9]+\s+)?1?\.?[ \t]*I\s*N\s*T\s*R\s*O\s*D\s*U\s*C\s*T\s*I\s*O\s*N[*_:. \t]*$",
    re.MULTILINE | re.IGNORECASE,
)
_FRONT_MATTER_CHARS = 4_000  # authors and affiliations never took more; a later "Abstract" is another thing
_ABSTRACT_CHARS = 5_000

# Lines that only an accepted paper (names, addresses, thanks) or only a submission (anonymity) carries.
_LEAK_LINE = re.compile(
    r"""^[^\n]*(?:
          \b(?:published|under\ review|submitted|accepted)\ as\ an?\ (?:conference|workshop|c)[^\n]*
        | \banonymous\ authors?\b | \bdouble[- ]blind\ review\b
        | \banonym\w*\ (?:link|code|github|git|source|repo|url|implementation) | \bde-?anonymi[sz]ed
        | \b(?:up)?on\ (?:acceptance|publication)\b | \bafter\ (?:acceptance|publication)\b
        | \bequal(?:ly)?\ contribut | \bcontributed\ equally | \bequal\ advis
        | \bcorrespond(?:ing|ence)\ author | \bcorrespond(?:ence)?\ (?:to|at)\b[^\n]*@
        | \bwork\ (?:was\ )?(?:partially\ )?done\ (?:while|during|at|when|as)\b | \bcontact\ information\b
        | [\w.}+-]@[\w.-]+\.[a-z]{2,}
        | ^[\W_]*mailto:
        | \baccept(?:ed)?\ (?:at|to|by|for)\ (?:\w+\ ){0,3}(?:ICLR|NeurIPS|ICML|AAAI|CVPR|ICCV|ECCV|ACL|EMNLP)\b
    )[^\n]*(?:\n|\Z)""",
    re.MULTILINE | re.IGNORECASE | re.VERBOSE,
)
_THANKS = re.compile(
    r"^[#*_ \t0-9.]*(?:acknowledge?ments?|author contributions?|funding)[*_:. \t]*$.*?(?=^#|\Z)",
    re.MULTILINE | re.IGNORECASE | re.DOTALL,
)
_MARKDOWN_LINK = re.compile(r"\[[^\[\]\n]*\]\(\s*(?:https?://|mailto:|www\.)[^)\s]*\s*\)", re.IGNORECASE)
_URL = re.compile(
    r"(?:https?://|www\.)[^\s)\]}>]+|\b(?:github|gitlab|bitbucket)\.(?:com|org|io)/[^\s)\]}>]*", re.IGNORECASE
)


class Paper(NamedTuple):
    """The parts of a paper; the abstract is null where it could not be told from the body."""

    title: str | None
    abstract: str | None
    body: str


def without_leaks(text: str) -> str:
    """Return text without lines that name authors or tell the state of review, and with links as [link].

    Links go because accepted papers link to named repositories nine times as often as rejected ones.
    """
    text = _THANKS.sub("", text)
    text = _LEAK_LINE.sub("", text)
    return _URL.sub("[link]", _MARKDOWN_LINK.sub("[link]", text))


def split_paper(text: str) -> Paper | None:
    """Divide a parsed paper at its headings and drop all that stands between title and abstract.

    Args:
        text: normalised text of a paper in Markdown, title first.

    Returns:
        None where no heading "Abstract" ends the front matter, so that names cannot be taken out.
    """
    heading = _ABSTRACT.search(text, 0, _FRONT_MATTER_CHARS)
    if heading is None:
        return None
    rest = text[heading.end() :]
    introduction = _INTRODUCTION.search(rest, 0, _ABSTRACT_CHARS)
    cut = introduction.start() if introduction else 0
    abstract = without_leaks(rest[:cut]).strip()
    return Paper(_title(text[: heading.start()]), abstract or None, without_leaks(rest[cut:]).strip())


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
    return " ".join(re.sub(r"[*_]{2,}", "", joined).split()) or None
