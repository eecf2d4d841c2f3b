"""Adapter: Sarcasm Corpus V2 (Oraby et al. 2016), posts of debate forums in three parts."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from winnow.core.config.corpora import SarcasmV2Corpus
from winnow.core.errors import WinnowError
from winnow.corpus import labelled
from winnow.corpus.labelled import Label, Labelled
from winnow.corpus.reading import origin_of, read_records, require, text_of
from winnow.corpus.records import Prompt, Rejected, Response

LABELS: dict[str, Label] = {"sarc": "sarcastic", "notsarc": "not_sarcastic"}


class SarcasmV2Source:
    """The posts of the parts that a corpus names; words that stand for pictures (emoticonXRolleyes) stay."""

    duplicates_across_prompts = False  # every prompt of a label has the same answer

    def __init__(self, spec: SarcasmV2Corpus) -> None:
        """Remember where the files are; nothing is read yet.

        Args:
            spec: the corpus as the study has it.
        """
        self.spec = spec

    @property
    def _parts(self) -> dict[str, Path]:
        return {part: Path(path) for part, path in self.spec.files.items()}

    @property
    def files(self) -> Mapping[str, Path]:
        """What is read, by part."""
        return labelled.files(self.spec, self._parts)

    def prompts(self) -> Iterator[Prompt | Rejected]:
        """Yield each post, or why it is left out."""
        return labelled.prompts(self._posts)

    def responses(self) -> Iterator[Response | Rejected]:
        """Yield the answers to each post."""
        return labelled.responses(self._posts, self.spec)

    def _posts(self) -> Iterator[Labelled]:
        for place, (part, path) in enumerate(self._parts.items()):
            for row in read_records(path):
                given, number = require(row, "class", path), require(row, "id", path)
                if given not in LABELS:
                    problem = f"key 'class' holds {given!r}"
                    raise WinnowError(f"{path}, row {row.line}", problem, f"use one of: {', '.join(LABELS)}")
                if number is None:
                    raise WinnowError(f"{path}, row {row.line}", "key 'id' is empty", "give every row an id")
                text, notes = labelled.clean(text_of(row, "text", path))
                origin = origin_of(row, path, part)
                yield Labelled(f"{part.lower()}-{number}", origin, text, LABELS[given], part=place, notes=notes)
