"""From an adapter's records to the tables of a corpus: every record is kept or has its reason, nothing is lost.

Text is never held: records stream to disk, and only ids, hashes and reasons stay in memory.
"""

import dataclasses
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa

from winnow.core.config.corpora import CorpusSettings
from winnow.core.errors import WinnowError
from winnow.core.ids import content_key, sha256_text
from winnow.core.log import Progress, log
from winnow.core.tables import PROMPTS, REJECTED, RESPONSES, read_rows, write_table
from winnow.corpus.duplicates import Groups, normalised, text_key
from winnow.corpus.excluded import excluded_texts, text_of_prompt
from winnow.corpus.ledger import Ledger
from winnow.corpus.records import Kind, Origin, Prompt, Rejected, Response, Source
from winnow.corpus.similar import SimilarTexts

# A response before duplicates are known: what its line in the ledger would need goes along.
_CANDIDATES = (
    RESPONSES.append(pa.field("record_sha256", pa.string()))
    .append(pa.field("year", pa.int64()))
    .append(pa.field("notes", pa.list_(pa.string())))
)

_NEAR_DUPLICATE = 0.85  # Jaccard similarity of word triples


class Tables(NamedTuple):
    """Where the tables of a corpus go."""

    prompts: Path
    responses: Path
    rejected: Path


class _Known(NamedTuple):
    """What is remembered of a prompt: its year, where it was, and why it was left out (None if kept)."""

    year: int | None
    path: str
    line: int
    reason: str | None


def build_tables(
    source: Source, settings: CorpusSettings, tables: Tables, others: Mapping[str, Path] | None = None
) -> dict[str, Any]:
    """Read a source and write its three tables.

    Args:
        source: the adapter.
        settings: the corpus as the study has it.
        tables: where its tables go.
        others: tables of prompts, by the corpus's name, whose texts this corpus must not have.

    Returns:
        Counts of prompts and responses, in all and by year; read = kept + dropped in each.

    Raises:
        WinnowError: if a file cannot be read or an id occurs twice.
    """
    tables.rejected.parent.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory(prefix=".ingest.", dir=tables.rejected.parent) as folder,
        Ledger(Path(folder) / "rejected.jsonl") as ledger,
    ):
        known: dict[str, _Known] = {}
        prompts = _prompt_rows(source, settings, excluded_texts(others or {}), ledger, known)
        write_table(tables.prompts, prompts, PROMPTS, ["prompt_id"])
        candidates = Path(folder) / "candidates.parquet"
        write_table(candidates, _candidate_rows(source, settings, ledger, known), _CANDIDATES, ["response_id"])
        unique = _unique_rows(candidates, source.duplicates_across_prompts, ledger)
        write_table(tables.responses, unique, RESPONSES, ["response_id"])
        write_table(tables.rejected, ledger.rows(), REJECTED, ["kind", "record_id"])
        counts = ledger.counts()
    for kind in ("prompts", "responses"):
        one = counts[kind]
        log(f"{kind}: {one['read']:,} read, {one['kept']:,} kept, left out: {one['dropped'] or 'none'}")
    return counts


def _rejected(record: Prompt | Response, reason: str, detail: str | None = None) -> Rejected:
    kind: Kind = "prompt" if isinstance(record, Prompt) else "response"
    return Rejected(record.identity, record.origin, kind, reason, detail, record.year)


def _refuse_twin(kind: str, identity: str, origin: Origin, path: str, line: int) -> None:
    problem = f"{kind} id {identity!r} occurs a second time; the first is in {path}, row {line}"
    raise WinnowError(origin.place, problem, "remove one of them, or make the ids unique")


def _prompt_rows(
    source: Source, settings: CorpusSettings, excluded: Mapping[bytes, str], ledger: Ledger, known: dict[str, _Known]
) -> Iterator[dict[str, Any]]:
    progress = Progress("prompts")
    for record in source.prompts():
        progress.step()
        if record.identity in known:
            twin = known[record.identity]
            _refuse_twin("prompt", record.identity, record.origin, twin.path, twin.line)
        checked = _checked_prompt(record, settings, excluded) if isinstance(record, Prompt) else record
        reason = checked.reason if isinstance(checked, Rejected) else None
        known[record.identity] = _Known(record.year, record.origin.path, record.origin.line, reason)
        if isinstance(checked, Rejected):
            ledger.drop(checked)
            continue
        ledger.keep("prompt", checked.year, checked.notes)
        yield {
            "prompt_id": checked.identity,
            "title": checked.title,
            "abstract": checked.abstract,
            "body": checked.body,
            "image_paths": None if checked.image_paths is None else list(checked.image_paths),
            "decision": checked.decision,
            "ground_truth": checked.ground_truth,
            "label": checked.label,
            "year": checked.year,
            "group": checked.group,
            "source": checked.origin.source,
            "text_sha256": content_key([checked.title or "", checked.abstract or "", checked.body or ""]),
        }


def _checked_prompt(record: Prompt, settings: CorpusSettings, excluded: Mapping[bytes, str]) -> Prompt | Rejected:
    chars = sum(len(getattr(record, field) or "") for field in settings.prompt_fields)
    if chars == 0:
        return _rejected(record, "empty text", f"no {', '.join(settings.prompt_fields)}")
    if chars < settings.min_prompt_chars:
        detail = f"{', '.join(settings.prompt_fields)}: {chars} of {settings.min_prompt_chars} characters"
        return _rejected(record, "shorter than min_prompt_chars", detail)
    if excluded:
        other = excluded.get(text_key(text_of_prompt(record.title, record.abstract, record.body)))
        if other is not None:
            return _rejected(record, "also in another corpus", other)
    return record


def _candidate_rows(
    source: Source, settings: CorpusSettings, ledger: Ledger, known: dict[str, _Known]
) -> Iterator[dict[str, Any]]:
    seen: dict[str, tuple[str, int]] = {}
    progress = Progress("responses")
    for record in source.responses():
        progress.step()
        if record.identity in seen:
            _refuse_twin("response", record.identity, record.origin, *seen[record.identity])
        seen[record.identity] = (record.origin.path, record.origin.line)
        checked = _checked_response(record, known, settings) if isinstance(record, Response) else record
        if isinstance(checked, Rejected):
            ledger.drop(checked)
            continue
        yield {
            "response_id": checked.identity,
            "prompt_id": checked.prompt_id,
            "text": checked.text,
            "rating": checked.rating,
            "rating_label": checked.rating_label,
            "rating_scale": None if checked.rating_scale is None else list(checked.rating_scale),
            "confidence": checked.confidence,
            "confidence_label": checked.confidence_label,
            "author_kind": checked.author_kind,
            "date": checked.date,
            "flags": list(checked.flags),
            "source": checked.origin.source,
            "text_sha256": sha256_text(checked.text),
            "record_sha256": checked.origin.record_sha256,
            "year": checked.year,
            "notes": list(checked.notes),
        }


def _checked_response(record: Response, known: dict[str, _Known], settings: CorpusSettings) -> Response | Rejected:
    """Return the response, its year filled in from its prompt, or the first reason to leave it out."""
    prompt = known.get(record.prompt_id)
    if record.year is None and prompt is not None:
        record = dataclasses.replace(record, year=prompt.year)
    if record.author_kind not in settings.author_kinds:
        return _rejected(record, f"author_kind {record.author_kind} not in author_kinds")
    if prompt is None or prompt.year != record.year:
        found = "no such prompt" if prompt is None else f"that prompt is of {prompt.year}"
        return _rejected(record, "prompt unknown", f"{record.prompt_id}: {found}")
    if prompt.reason is not None:
        return _rejected(record, f"prompt rejected: {prompt.reason}", record.prompt_id)
    if not record.text:
        return _rejected(record, "empty text")
    if len(record.text) < settings.min_response_chars:
        detail = f"{len(record.text)} of {settings.min_response_chars} characters: {record.text}"
        return _rejected(record, "shorter than min_response_chars", detail)
    return record


def _unique_rows(candidates: Path, across_prompts: bool, ledger: Ledger) -> Iterator[dict[str, Any]]:
    """Yield candidates; of texts that are equal or nearly so, the one with the smallest id.

    Source of the rule and of its threshold: docs/methods.md, Splits.
    """
    same, similar = _twins(candidates, across_prompts)
    for row in read_rows(candidates):
        year, notes, record_sha256 = row.pop("year"), row.pop("notes"), row.pop("record_sha256")
        identity = row["response_id"]
        reason, twin = "duplicate text", same.name(identity)
        if twin == identity:
            reason, twin = "near-duplicate text", similar.name(identity)
        if twin == identity:
            ledger.keep("response", year, notes)
            yield row
            continue
        origin = Origin(candidates.name, 0, row["source"], record_sha256)
        ledger.drop(Rejected(identity, origin, "response", reason, f"same text as {twin}", year))


def _twins(candidates: Path, across_prompts: bool) -> tuple[Groups, Groups]:
    """Return the groups of responses with equal texts, and of those (one of each) with similar texts."""
    same, near, similar = Groups(), Groups(), SimilarTexts(candidates.parent)
    first: dict[bytes, str] = {}
    prompts: dict[str, str] = {}
    for row in read_rows(candidates, ["response_id", "prompt_id", "text"]):
        identity = row["response_id"]
        prompts[identity] = "" if across_prompts else row["prompt_id"]
        same.add(identity)
        near.add(identity)
        text = normalised(row["text"])
        key = (prompts[identity], text or row["text"])
        twin = first.setdefault(bytes.fromhex(content_key(key)), identity)
        if twin == identity:
            similar.add(identity, text)
        same.join(twin, identity)

    def is_open(one: str, other: str) -> bool:
        return prompts[one] == prompts[other] and near.are_apart(one, other)

    for one, other in similar.pairs(_NEAR_DUPLICATE, is_open):
        near.join(one, other)
    return same, near
