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
    r"sections?|sect?s?\.?|figures?|figs?\.?|tables?|tabs?\.|equations?|eqn?s?\.?|lines?|pages?|pgs?\.?|pp?\.|theorems?|thm\.?"
    r"|lemmas?|propositions?|props?\.|corollary|definitions?|defs?\.|assumptions?|algorithms?|algo?\.?|remarks?"
    r"|paragraphs?|sentences?|appendix|appendices|app\.|footnotes?"
)
_LETTERED = r"section|sect?\.?|appendix|app\.|theorem|assumption"
_COUNT = r"\(?[A-KM-Z]?\d{1,4}(?:\.\d{1,3}){0,3}[a-z]?\b\)?"
_LETTER = r"[A-HJ-Z]\b(?:\.\d{1,3}){0,3}"  # "I" is more often the reviewer
_REFERENCE = re.compile(
    rf"(?:\b(?i:{_PART})[\s~]*{_COUNT}|§+\s*{_COUNT}|\b[lLpP]\.?{_COUNT}|\b(?i:{_LETTERED})[\s~]+{_LETTER})"
    rf"(?:\s?(?:,|and|&|-|–|to)\s?{_COUNT}){{0,20}}"
)
_QUOTATION = re.compile(r"\"[^\"\n]{2,300}\"|“[^”\n]{2,300}”|``[^'\n]{2,300}''")
_NUMBERING = re.compile(r"^\s*\(?#?\d{1,2}[.):-](?=\s)|(?<!\S)\(?#?\d{1,2}\)", re.MULTILINE)  # "2. ", "and (3)"
_NUMBER = re.compile(r"(?<![\w.])(?<![A-Za-z]-)\d+(?:[.,]\d+)*(?!\w)")  # not the ten of CIFAR-10

PARTS = ("references_per_100", "numbers_per_100", "quotes_per_100", "citations_per_100")


def specificity(text: str) -> dict[str, float]:
    """Return `specificity` and its four parts, per 100 words; 0 for a text without words, which says nothing.

    A range or list ("Figures 2 and 3") is one reference. A number counts once: not as such where it is a part of a
    citation, a reference, or the numbering of a list.

    There is no published standard for this: docs/methods.md, Metrics of generated reviews, is the definition.
    """
    total = len(words(text))
    if not total:
        return dict.fromkeys(("specificity", *PARTS), 0.0)
    without_citations, citations = _CITATION.subn(" ", text)
    without_references, references = _REFERENCE.subn(" ", without_citations)
    numbers = len(_NUMBER.findall(_NUMBERING.sub("", without_references)))
    quotes = len(_QUOTATION.findall(text))
    counts = dict(zip(PARTS, (references, numbers, quotes, citations), strict=True))
    return {name: 100 * count / total for name, count in {"specificity": sum(counts.values()), **counts}.items()}
