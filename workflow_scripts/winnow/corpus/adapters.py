"""Which adapter reads which kind of corpus. A new adapter is a file, a type in core.config.corpora and a line here."""

from pathlib import Path
from typing import Any

from winnow.core.config.corpora import (
    Corpus,
    DemoCorpus,
    IsarcasmCorpus,
    JsonlCorpus,
    OpenReviewCorpus,
    SarcasmV2Corpus,
)
from winnow.corpus.demo import DemoSource
from winnow.corpus.isarcasm import IsarcasmSource
from winnow.corpus.jsonl import JsonlSource
from winnow.corpus.openreview import OpenReviewSource
from winnow.corpus.records import Source
from winnow.corpus.sarcasm_v2 import SarcasmV2Source


def open_source(spec: Corpus, name: str) -> Source:
    """Return the adapter of a corpus; nothing is read yet.

    Args:
        spec: the corpus as the study has it.
        name: its key in the study, for errors.
    """
    match spec:
        case OpenReviewCorpus():
            return OpenReviewSource(spec, name)
        case JsonlCorpus():
            return JsonlSource(spec, name)
        case SarcasmV2Corpus():
            return SarcasmV2Source(spec)
        case IsarcasmCorpus():
            return IsarcasmSource(spec)
        case DemoCorpus():
            return DemoSource(spec)


def portable_settings(spec: Corpus) -> dict[str, Any]:
    """Return a corpus's settings for its manifest: files by name alone, since where they lie makes no difference."""
    settings = spec.model_dump(mode="json")
    for key in ("papers", "reviews", "path", "pdfs", "figures", "pages"):
        if isinstance(settings.get(key), str):
            settings[key] = Path(settings[key]).name
    if "model_reviews" in settings:
        settings["model_reviews"] = [Path(path).name for path in settings["model_reviews"]]
    return settings
