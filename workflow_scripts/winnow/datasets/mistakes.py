"""What a model said to prompts, beside the right words for them: a table of responses that pairs are mined from."""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from winnow.core.errors import WinnowError
from winnow.core.ids import sha256_text
from winnow.core.manifest import Tally
from winnow.core.tables import RESPONSES, Row, read_rows
from winnow.graders.verdicts import agreement, read_verdict

CUT_OFF = "cut_off"  # the limit ended it, not the model
NO_VERDICT = "no_verdict"  # it begins with none of the corpus's words
DUPLICATE = "duplicate"
NOT_RIGHT = "not_right"


def read_generations(paths: Sequence[Path]) -> Iterator[Row]:
    """Yield the rows of generations.jsonl files, in their order."""
    for path in paths:
        with path.open(encoding="utf-8") as lines:
            yield from map(json.loads, lines)


def labels_of(prompts: Path) -> dict[str, str | None]:
    """Return prompt → label, from prompts.parquet."""
    return {row["prompt_id"]: row["label"] for row in read_rows(prompts, ["prompt_id", "label"])}


def right_words(
    responses: Path, asked: set[str], labels: Mapping[str, str | None], answers: Mapping[str, str], tally: Tally
) -> Iterator[Row]:
    """Yield the corpus's responses to the prompts that were asked, as far as they say the prompt's label.

    Args:
        responses: responses.parquet of the corpus.
        asked: ids of prompts.
        labels: prompt → label.
        answers: label → the word for it.
        tally: counts the responses to those prompts.
    """
    for row in read_rows(responses):
        if row["prompt_id"] in asked:
            tally.read += 1
            if agreement(row["text"], labels.get(row["prompt_id"]), answers) == "yes":
                tally.kept += 1
                yield row
            else:
                tally.drop(NOT_RIGHT)


def said(
    run: str,
    generations: Sequence[Row],
    texts: set[tuple[str, str]],
    *,
    labels: Mapping[str, str | None],
    answers: Mapping[str, str],
    tally: Tally,
) -> Iterator[Row]:
    """Yield what a run said as rows of RESPONSES: each text once for a prompt, as its first response said it.

    Args:
        run: whose responses they are.
        generations: rows of generations.jsonl; of one prompt the greedy one first.
        texts: (prompt, text) of the right words, which are no candidates a second time.
        labels: prompt → label.
        answers: label → the word for it.
        tally: counts what was said, by its verdict too.

    Raises:
        WinnowError: if a row is another run's, or answers no prompt of the corpus.
    """
    seen = set(texts)
    for row in generations:
        if row["run"] != run or row["prompt_id"] not in labels:
            what = f"is of {row['run']} and answers {row['prompt_id']}"
            raise WinnowError(f"generations, {row['id']}", what, f"have {run} answer the corpus's prompts again")
        text = row["text"].strip()  # which is what rendering makes of it
        verdict = read_verdict(text, answers)
        tally.read += 1
        tally.note("unread" if verdict is None else "right" if verdict == labels[row["prompt_id"]] else "wrong")
        if (row["prompt_id"], text) in seen:
            tally.drop(DUPLICATE)
            continue
        seen.add((row["prompt_id"], text))
        tally.kept += 1
        cut = [CUT_OFF] if row["stop_reason"] == "length" else []
        yield dict.fromkeys(RESPONSES.names) | {
            "response_id": row["id"],
            "prompt_id": row["prompt_id"],
            "text": text,
            "author_kind": "model",
            "flags": [*cut, *([NO_VERDICT] if verdict is None else [])],
            "source": run,
            "text_sha256": sha256_text(text),
        }
