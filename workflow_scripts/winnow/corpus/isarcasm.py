"""Adapter: iSarcasmEval (Abu Farha et al. 2022), tweets labelled by their own authors."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from winnow.core.config.corpora import IsarcasmCorpus
from winnow.core.errors import WinnowError
from winnow.corpus import labelled
from winnow.corpus.labelled import Label, Labelled
from winnow.corpus.reading import origin_of, read_records, require, text_of
from winnow.corpus.records import Prompt, Rejected, Response

LABELS: dict[str, Label] = {"1": "sarcastic", "0": "not_sarcastic"}
NUMBER = ""  # the column that numbers the rows has no name


class IsarcasmSource:
    """The tweets of one file and, if asked for, what their authors say they mean; the two share a group.

    Links and names of users stay: they are in what a model is shown later, too.
    """

    duplicates_across_prompts = False  # every prompt of a label has the same answer

    def __init__(self, spec: IsarcasmCorpus) -> None:
        """Remember where the file is; nothing is read yet.

        Args:
            spec: the corpus as the study has it.
        """
        self.spec = spec
        self.path = Path(spec.path)

    @property
    def files(self) -> Mapping[str, Path]:
        """What is read, by name."""
        return labelled.files(self.spec, {"tweets": self.path})

    def prompts(self) -> Iterator[Prompt | Rejected]:
        """Yield each tweet and each rephrase, or why it is left out."""
        return labelled.prompts(self._texts)

    def responses(self) -> Iterator[Response | Rejected]:
        """Yield the answers to each tweet and each rephrase."""
        return labelled.responses(self._texts, self.spec)

    def _texts(self) -> Iterator[Labelled]:
        path = self.path
        for row in read_records(path):
            number, given = require(row, NUMBER, path), require(row, "sarcastic", path)
            if number is None:
                raise WinnowError(f"{path}, row {row.line}", "has no number in its first column", "number every row")
            if given not in LABELS:
                raise WinnowError(f"{path}, row {row.line}", f"key 'sarcastic' holds {given!r}", "use 0 or 1")
            tweet, notes = labelled.clean(text_of(row, "tweet", path))
            rephrase, rephrase_notes = labelled.clean(text_of(row, "rephrase", path))
            label, identity = LABELS[given], f"isarcasm-{number}"
            if label == "sarcastic" and not rephrase:
                notes = (*notes, "sarcastic_without_rephrase")
            group = identity if rephrase and self.spec.rephrases else None
            yield Labelled(identity, origin_of(row, path, "tweet"), tweet, label, group=group, notes=notes)
            if group is not None:
                origin, meant = origin_of(row, path, "rephrase"), f"{identity}-rephrase"
                yield Labelled(meant, origin, rephrase, "not_sarcastic", group=group, notes=rephrase_notes)
