"""Adapter: peer reviews of OpenReview, in the layout of docs/inputs.md, with the quirks of each year's crawl."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from winnow.core.config.corpora import OpenReviewCorpus
from winnow.core.errors import WinnowError
from winnow.corpus import cleaning, model_reviews
from winnow.corpus.decisions import read_decision
from winnow.corpus.papers import split_paper, without_leaks
from winnow.corpus.reading import Row, identify, read_records, require, text_of
from winnow.corpus.records import Prompt, Rejected, Response
from winnow.graders.ratings import CONFIDENCE_SCALE, read_rating

_PREFIX = re.compile(r"^(?:Rating|Confidence|Abstract|Decision|Comment|Keywords):###")
_NO_TITLE = re.compile(r"\W*(?:na|n/a|none|null|untitled|tbd|test|title)?\W*", re.IGNORECASE)
_STARRED_YEAR = 2017  # the crawl that wrote asterisks for apostrophes


class OpenReviewSource:
    """Papers and reviews of one corpus, cleaned."""

    duplicates_across_prompts = True  # one text under two papers is a reviewer's or a crawler's slip

    def __init__(self, spec: OpenReviewCorpus, name: str) -> None:
        """Remember where the files are; nothing is read yet.

        Args:
            spec: the corpus as the study has it.
            name: its key in the study, for errors.
        """
        self.spec = spec
        self.name = name
        self.papers = Path(spec.papers)
        self.reviews = None if spec.reviews is None else Path(spec.reviews)
        self.model_reviews = {path.name.split(".csv")[0]: path for path in map(Path, spec.model_reviews)}
        if len(self.model_reviews) < len(spec.model_reviews):
            problem = "two files have the same name, which names the reviewing model"
            raise WinnowError(f"corpora.{name}.model_reviews", problem, "rename one of them")

    @property
    def files(self) -> Mapping[str, Path]:
        """What is read, by name."""
        named = {"papers": self.papers, "reviews": self.reviews}
        named |= {f"model_reviews/{name}": path for name, path in sorted(self.model_reviews.items())}
        return {name: path for name, path in named.items() if path is not None}

    def prompts(self) -> Iterator[Prompt | Rejected]:
        """Yield one prompt, or one reason, for each record of the papers."""
        return (self._paper(row) for row in read_records(self.papers))

    def responses(self) -> Iterator[Response | Rejected]:
        """Yield one response, or one reason, for each record of reviews and each row of model reviews."""
        if self.reviews is not None:
            for row in read_records(self.reviews):
                yield self._review(row, self.reviews)
        for reviewer, path in sorted(self.model_reviews.items()):
            yield from model_reviews.read_reviews(path, reviewer)

    def _paper(self, row: Row) -> Prompt | Rejected:
        path, year = self.papers, _year(row, self.papers)
        identity, origin = identify(row, "paper_id", path)
        if self._is_left_out(year):
            return Rejected(identity, origin, "prompt", "year not in years", year=year)
        notes: list[str] = []
        title = _title(_text(row, "title", path, notes), notes)
        abstract = _text(row, "abstract", path, notes)
        body = _text(row, "text", path, notes) if "text" in row.values else None
        if body is not None:
            paper = split_paper(body)
            if paper is None:
                reason = "no heading ends the front matter, so authors cannot be taken out"
                return Rejected(identity, origin, "prompt", reason, year=year)
            title, abstract, body = title or paper.title, abstract or paper.abstract, paper.body
            notes.append("front matter taken out of the body")
        if abstract is not None:
            abstract = without_leaks(abstract).strip() or None
        decision, note = read_decision(text_of(row, "decision", path))
        notes += [note] if note else []
        return Prompt(identity, origin, title, abstract, body or None, decision, year=year, notes=tuple(notes))

    def _review(self, row: Row, path: Path) -> Response | Rejected:
        year = _year(row, path)
        identity, origin = identify(row, "review_id", path)
        if self._is_left_out(year):
            return Rejected(identity, origin, "response", "year not in years", year=year)
        if row.values.get("is_meta_review"):
            return Rejected(identity, origin, "response", "meta-review", year=year)
        scale = self._scale(year, origin.place)
        notes: list[str] = []
        flags: set[str] = set()
        text = _text(row, "review", path, notes, flags) or ""
        reason = cleaning.why_no_review(text)
        if reason is not None:
            return Rejected(identity, origin, "response", reason, cleaning.excerpt(text), year)
        if cleaning.is_rebuttal_edit(text):
            flags.add("rebuttal_edit")
        rating_label, confidence_label = (_text(row, key, path, []) for key in ("rating", "confidence"))
        rating = read_rating(rating_label, scale)
        confidence = read_rating(confidence_label, CONFIDENCE_SCALE, "confidence")
        return Response(
            identity,
            origin,
            prompt_id=str(require(row, "paper_id", path)),
            text=text,
            author_kind="human",
            rating=rating.value,
            rating_label=rating_label,
            rating_scale=None if rating_label is None else scale,
            confidence=confidence.value,
            confidence_label=confidence_label,
            date=row.values.get("date"),
            year=year,
            flags=tuple(sorted(flags)),
            notes=(*notes, *(note for note in (rating.note, confidence.note) if note)),
        )

    def _is_left_out(self, year: int) -> bool:
        return self.spec.years is not None and year not in self.spec.years

    def _scale(self, year: int, place: str) -> tuple[float, ...]:
        scale = self.spec.rating_scales.get(year)
        if scale is None:
            key, known = f"corpora.{self.name}.rating_scales", ", ".join(map(str, sorted(self.spec.rating_scales)))
            fix = f"add {year} with every legal rating to {key} (it has {known}), or leave the year out by `years`"
            raise WinnowError(place, f"is of {year}, whose rating scale is not known", fix)
        return tuple(sorted(scale))


def _year(row: Row, path: Path) -> int:
    year = require(row, "year", path)
    if not isinstance(year, int) or isinstance(year, bool):
        raise WinnowError(f"{path}, row {row.line}", f"key 'year' holds {year!r}", "write a whole number")
    return year


def _text(row: Row, key: str, path: Path, notes: list[str], flags: set[str] | None = None) -> str | None:
    """Return a field's text, cleaned, or null where nothing is left; what was done goes to notes, or to flags."""
    raw = text_of(row, key, path)
    if raw is None:
        return None
    text, was_wrapped = cleaning.unwrap(_PREFIX.sub("", raw))
    was_starred = False
    if row.values["year"] == _STARRED_YEAR:
        text, was_starred = cleaning.restore_apostrophes(text)
    text, found = cleaning.normalise(text)
    happened = [f"{key}: quotes and escapes undone"] * was_wrapped + [f"{key}: apostrophes restored"] * was_starred
    notes.extend(happened + [f"{key}: {flag.replace('_', ' ')} removed" for flag in found])
    if flags is not None:
        flags.update(found)
    return text or None


def _title(title: str | None, notes: list[str]) -> str | None:
    """Return a title without crawlers' marks; a stand-in such as "Na" is no title."""
    if title is None:
        return None
    title = cleaning.one_line(title.removesuffix("| OpenReview"))
    if title.startswith("~~") and title.endswith("~~"):
        title = title.strip("~").strip()
        notes.append("title: was struck through")
    if _NO_TITLE.fullmatch(title):
        notes.append("title: is a placeholder")
        return None
    return title
