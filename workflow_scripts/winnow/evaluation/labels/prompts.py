"""The prompts of a labelled corpus: what people said of each, what it says, and in which split it is."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from winnow.core.errors import WinnowError
from winnow.core.tables import read_rows


@dataclass(frozen=True)
class LabelledPrompt:
    """One prompt.

    Attributes:
        label: what people said of it; None where nobody did.
        source: where it is from, as the corpus says.
        text: what a model is asked about.
    """

    label: str | None
    source: str | None
    text: str
    split: str


def read_labelled(prompts: Path, splits: Path) -> dict[str, LabelledPrompt]:
    """Return the prompts of a corpus by their ids, in order.

    Raises:
        WinnowError: if prompts and splits are not of one corpus.
    """
    of_split = {row["prompt_id"]: row["split"] for row in read_rows(splits, ["prompt_id", "split"])}
    rows = {row["prompt_id"]: row for row in read_rows(prompts, ["prompt_id", "body", "label", "source"])}
    if differing := sorted(of_split.keys() ^ rows.keys()):
        problem = f"{len(differing)} prompts are in it or in {prompts.name} alone, {differing[0]} among them"
        raise WinnowError(splits, problem, "give the tables of one corpus")
    return {
        name: LabelledPrompt(rows[name]["label"], rows[name]["source"], rows[name]["body"], of_split[name])
        for name in sorted(rows)
    }


def check_heldout(
    place: Path, asked: Collection[str], prompts: Mapping[str, LabelledPrompt], labels: Collection[str]
) -> None:
    """Check that prompts on which a run was measured are held out, and have a label.

    Args:
        place: the file that names them.
        asked: their ids.
        prompts: of the corpus.
        labels: that a model can answer with.

    Raises:
        WinnowError: naming the first one that is not.
    """
    for name in sorted(asked):
        if (prompt := prompts.get(name)) is None:
            raise WinnowError(place, f"{name} is no prompt of the corpus", "give the tables of the held-out corpus")
        if prompt.label not in labels:
            problem = f"the prompt {name} has the label {prompt.label}, and the answers are for {', '.join(labels)}"
            raise WinnowError(place, problem, "ingest the corpus again, or give the words of its labels")
        if prompt.split not in ("test", "val"):
            raise WinnowError(place, f"the prompt {name} is in {prompt.split}", "evaluate the run again")
