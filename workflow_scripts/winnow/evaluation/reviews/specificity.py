"""Whether a review speaks of places and facts: references to the paper's parts, numbers, quotations, citations.

They are found by expressions made for English reviews; the tests show by examples what is one and what is not. Words
are the measure, not tokens, so that models with different tokenizers compare.
"""

import re

from winnow.evaluation.reviews.words import words

_NAME = r"\b[A-Z][\w'’-]{1,40}"
_YEAR = r"(?:19|20)\d\d[a-z]?"
_CITATION = re.compile(
    r"\[\d{1,3}(?:\s?[,;–-]\s?\d{1,3}){0,20}\]"  # [3], [3, 12-14]
    rf"|{_NAME}\s+et\s+al\b\.?(?:,?\s*[(\[]?{_YEAR}[)\]]?)?"  # Smith et al., 2020
    rf"|{_NAME}\s+(?:and|&)\s+{_NAME}(?:,\s*{_YEAR}|\s*\({_YEAR}\))"  # Smith and Jones (2020)
    rf"|[(\[]{_NAME},?\s+{_YEAR}[)\]]"  # (Smith, 2020)
    r"|\b[aA]r[xX]iv[:\s]\s?\d{4}\.\d{4,5}\b"
)
_PART = (
    r"sections?|secs?\.?|figures?|figs?\.?|tables?|tabs?\.|equations?|eqn?s?\.?|lines?|pages?|pp?\.|theorems?|thm\.?"
    r"|lemmas?|propositions?|corollary|definitions?|assumptions?|algorithms?|alg\.|appendix|appendices|app\.|footnotes?"
)
# A number, or an appendix's letter; "I" is more often the reviewer, and L17 is a line of its own.
_PLACE = r"\(?(?:[A-KM-Z]?\d{1,4}(?:\.\d{1,3}){0,3}[a-z]?\b|[A-HJ-Z](?:\.\d{1,3}){0,3}\b)\)?"
_REFERENCE = re.compile(
    rf"(?:\b(?i:{_PART})[\s~]*|§+\s*|\b[lL]\.?(?=\d)){_PLACE}(?:\s?(?:,|and|&|-|–|to)\s?{_PLACE}){{0,20}}"
)
_QUOTATION = re.compile(r"\"[^\"\n]{2,300}\"|“[^”\n]{2,300}”|``[^'\n]{2,300}''")
_NUMBERING = re.compile(r"^\s*\(?\d{1,2}[.):](?=\s)", re.MULTILINE)
_NUMBER = re.compile(r"(?<![\w.])\d+(?:[.,]\d+)*(?!\w)")

PARTS = ("references_per_100", "numbers_per_100", "quotes_per_100", "citations_per_100")


def specificity(text: str) -> dict[str, float | None]:
    """Return `specificity` and its four parts, per 100 words; None for a text without words.

    A range or list ("Figures 2 and 3") is one reference. A number counts once: not as such where it is a part of a
    citation, a reference, or the numbering of a list.

    There is no published standard for this: docs/methods.md, Metrics of generated reviews, is the definition.
    """
    total = len(words(text))
    if not total:
        return dict.fromkeys(("specificity", *PARTS))
    without_citations, citations = _CITATION.subn(" ", text)
    without_references, references = _REFERENCE.subn(" ", without_citations)
    numbers = len(_NUMBER.findall(_NUMBERING.sub("", without_references)))
    quotes = len(_QUOTATION.findall(text))
    counts = dict(zip(PARTS, (references, numbers, quotes, citations), strict=True))
    return {name: 100 * count / total for name, count in {"specificity": sum(counts.values()), **counts}.items()}
