"""Adapter: any JSONL, CSV or Parquet file with a prompt and a response in each row."""

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from winnow.core.config.corpora import JsonlCorpus
from winnow.core.errors import WinnowError
from winnow.core.ids import content_key
from winnow.corpus import cleaning
from winnow.corpus.decisions import read_decision
from winnow.corpus.reading import Row, origin_of, read_records, require, scalar_of, text_of
from winnow.corpus.records import Origin, Prompt, Rejected, Response
from winnow.graders.ratings import CONFIDENCE_SCALE, Reading, read_rating

_ID_DIGITS = 20  # 80 bits: no two of a billion texts share an id


class _Facts(NamedTuple):
    """What a row says about its prompt; rows of one prompt must agree."""

    title: str | None
    text: str
    decision: str | None
    ground_truth: str | None
    label: str | None
    year: int | None
    abstract: str | None
    pdf: str | None


class JsonlSource:
    """The rows of one file; rows with equal prompts share one prompt."""

    duplicates_across_prompts = False  # two problems may well have the same answer

    def __init__(self, spec: JsonlCorpus, name: str) -> None:
        """Remember where the file is; nothing is read yet.

        Args:
            spec: the corpus as the study has it.
            name: its key in the study, for errors.
        """
        self.spec = spec
        self.name = name
        self.path = Path(spec.path)

    @property
    def files(self) -> Mapping[str, Path]:
        """What is read, by name."""
        return {"rows": self.path}

    def prompts(self) -> Iterator[Prompt | Rejected]:
        """Yield each prompt once, however many rows share it; the file is read twice, text is not held."""
        seen: dict[str, tuple[bytes, int]] = {}
        for row in read_records(self.path):
            facts = self._facts(row)
            if facts is None:
                continue
            identity = self._prompt_id(row, facts)
            content = content_key(["" if fact is None else f"={fact}" for fact in facts])
            digest = bytes.fromhex(content)
            first, line = seen.setdefault(identity, (digest, row.line))
            if first != digest:
                problem = f"says other things about prompt {identity!r} than row {line}"
                fix = "make all that rows say of their prompt agree, or name prompts by prompt_id_key"
                raise WinnowError(f"{self.path}, row {row.line}", problem, fix)
            if line == row.line:
                yield self._prompt(identity, facts, Origin(str(self.path), line, self.path.name, content))

    def responses(self) -> Iterator[Response | Rejected]:
        """Yield one response, or one reason, for each row."""
        unnamed: Counter[str] = Counter()
        for row in read_records(self.path):
            response = self._response(row)
            if self.spec.response_id_key is None:
                # Rows without an id that say the same are told apart by number, so that none is lost.
                unnamed[response.identity] += 1
                if unnamed[response.identity] > 1:
                    identity = f"{response.identity}-{unnamed[response.identity]}"
                    yield Rejected(
                        identity, response.origin, "response", "duplicate row", f"same as {response.identity}"
                    )
                    continue
            yield response

    def _facts(self, row: Row) -> _Facts | None:
        """Return what a row says about its prompt, or None where it has no prompt."""
        spec, values = self.spec, row.values
        keys = (
            *(spec.title_key, spec.abstract_key, spec.decision_key, spec.ground_truth_key, spec.label_key),
            *(spec.year_key, spec.pdf_key),
        )
        for key in keys:
            if key is not None:
                require(row, key, self.path)
        text, _ = cleaning.normalise(text_of(row, spec.prompt_key, self.path) or "")
        if not text:
            return None
        title, abstract = scalar_of(values, spec.title_key), scalar_of(values, spec.abstract_key)
        year = scalar_of(values, spec.year_key)
        if year is not None and not year.isdecimal():
            raise WinnowError(f"{self.path}, row {row.line}", f"key {spec.year_key!r} holds {year!r}, not a year")
        return _Facts(
            title=None if title is None else cleaning.one_line(cleaning.normalise(title)[0]) or None,
            text=text,
            decision=scalar_of(values, spec.decision_key),
            ground_truth=scalar_of(values, spec.ground_truth_key),
            label=scalar_of(values, spec.label_key),
            year=None if year is None else int(year),
            abstract=None if abstract is None else cleaning.normalise(abstract)[0] or None,
            pdf=scalar_of(values, spec.pdf_key),
        )

    def _prompt_id(self, row: Row, facts: _Facts) -> str:
        if self.spec.prompt_id_key is None:
            return f"p{content_key([facts.title or '', facts.text])[:_ID_DIGITS]}"
        return self._given_id(row, self.spec.prompt_id_key)

    def _given_id(self, row: Row, key: str) -> str:
        require(row, key, self.path)
        identity = scalar_of(row.values, key)
        if not identity:
            raise WinnowError(f"{self.path}, row {row.line}", f"key {key!r} is empty", "give every row an id")
        return identity

    def _prompt(self, identity: str, facts: _Facts, origin: Origin) -> Prompt:
        decision, note = read_decision(facts.decision) if self.spec.decision_key else (None, None)
        return Prompt(
            identity,
            origin,
            title=facts.title,
            abstract=facts.abstract,
            body=facts.text,
            decision=decision,
            ground_truth=facts.ground_truth,
            label=facts.label,
            year=facts.year,
            image_paths=None if facts.pdf is None else (facts.pdf,),
            notes=(note,) if note else (),
        )

    def _response(self, row: Row) -> Response | Rejected:
        spec, values = self.spec, row.values
        origin = origin_of(row, self.path, self.path.name)
        facts = self._facts(row)
        text, flags = cleaning.normalise(text_of(row, spec.response_key, self.path) or "")
        for key in (spec.rating_key, spec.confidence_key, spec.date_key):
            if key is not None:
                require(row, key, self.path)
        prompt_id = "" if facts is None else self._prompt_id(row, facts)
        if spec.response_id_key is None:
            identity = f"r{origin.record_sha256[:_ID_DIGITS]}"
        else:
            identity = self._given_id(row, spec.response_id_key)
        if facts is None:
            return Rejected(identity, origin, "response", "prompt is empty")
        rating_label, confidence_label = scalar_of(values, spec.rating_key), scalar_of(values, spec.confidence_key)
        rating = read_rating(rating_label, spec.rating_scale) if spec.rating_key else Reading(None, None)
        confidence = Reading(None, None)
        if spec.confidence_key:
            confidence = read_rating(confidence_label, CONFIDENCE_SCALE, "confidence")
        return Response(
            identity,
            origin,
            prompt_id=prompt_id,
            text=text,
            author_kind=spec.author_kind,
            rating=rating.value,
            rating_label=rating_label,
            rating_scale=None if rating_label is None else tuple(sorted(spec.rating_scale)),
            confidence=confidence.value,
            confidence_label=confidence_label,
            date=scalar_of(values, spec.date_key),
            year=facts.year,
            flags=flags,
            notes=tuple(note for note in (rating.note, confidence.note) if note),
        )
