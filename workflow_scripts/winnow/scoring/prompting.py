"""What a judge that is a language model is asked, and how its answer is read. Words come from resources/prompts/.

One prompt is fixed instructions, the review inside a fence, and what is asked, in this order: all prompts about
one review begin with the same text, up to the question. The review is data: it is made safe and fenced
(`fencing.py`), and nothing in it is ever filled into a template.

An answer that cannot be read is no answer. It is never taken for a no, and never guessed from what surrounds it.
"""

import json
import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cache, lru_cache
from pathlib import Path
from typing import Any, NamedTuple, TypeVar
from unicodedata import unidata_version

from pydantic import model_validator

from winnow.core.config.base import Settings
from winnow.core.ids import canonical_json, content_key
from winnow.core.study import parse, read_yaml
from winnow.scoring import fencing
from winnow.scoring.checklist import Item
from winnow.scoring.judge import Answer, Judgement, parse_status

WORDING = Path(__file__).parents[3] / "resources" / "prompts" / "judge.yaml"

# Spellings of the two answers: with a space before it, a word is another token to most tokenizers.
YES = ("yes", "Yes", "YES", " yes", " Yes", " YES")
NO = ("no", "No", "NO", " no", " No", " NO")

GAP = "\n[...]\n"  # stands for the middle of a review that is too long; judge.yaml explains it to the judge

_END_OF_THOUGHTS = "</think>"
_CODE_BLOCK = re.compile(r"```(?:json)?[ \t]*\n(.*)\n[ \t]*```", re.DOTALL)
_BLANK = re.compile(r"\{(answers|questions?)\}")

T = TypeVar("T")


class _Mode(Settings):
    """The wording of one mode."""

    system: str
    after: str


class _Wording(Settings):
    """resources/prompts/judge.yaml."""

    item: _Mode
    batch: _Mode

    @model_validator(mode="after")
    def _has_its_blanks(self) -> "_Wording":
        for name, after, blank in (("item", self.item.after, "question"), ("batch", self.batch.after, "questions")):
            if set(_BLANK.findall(after)) != {"answers", blank} or after.count(f"{{{blank}}}") != 1:
                raise ValueError(f"{name}.after needs {{answers}}, and {{{blank}}} once")
        for name, system in (("item", self.item.system), ("batch", self.batch.system)):
            if set(_BLANK.findall(system)) != {"answers"}:
                raise ValueError(f"{name}.system needs {{answers}} and has no other blank")
        return self


class Parts(NamedTuple):
    """A prompt. The user's turn is `before`, `review` and `after`, with nothing between them.

    Attributes:
        system: the instructions, the same for all reviews.
        before: the line that opens the review.
        review: made safe. Only this may be shortened, by `head_and_tail`.
        after: the line that closes the review, and what is asked. It begins with a line break, so that no token
            reaches from the review into it.
    """

    system: str
    before: str
    review: str
    after: str


@cache
def _wording() -> _Wording:
    return parse(_Wording, read_yaml(WORDING), WORDING)


@lru_cache(maxsize=8)  # the questions about one review are asked one after the other
def _fenced(text: str) -> tuple[str, str, str]:
    """Return the opening line, the text made safe, and the closing line."""
    review = fencing.safe_text(text)
    opening, closing = fencing.fence(review)
    return f"{opening}\n", review, f"\n{closing}\n"


def _filled(template: str, *, reordered: bool, **values: str) -> str:
    """Fill in the blanks of a template, all at once: what is filled in is not looked at again."""
    values["answers"] = "no or yes" if reordered else "yes or no"
    return _BLANK.sub(lambda blank: values[blank[1]], template)


def _parts(mode: _Mode, text: str, *, reordered: bool, **asked: str) -> Parts:
    before, review, closing = _fenced(text)
    after = _filled(mode.after, reordered=reordered, **asked)
    return Parts(_filled(mode.system, reordered=reordered), before, review, f"{closing}\n{after}")


def item_parts(text: str, item: Item, *, reordered: bool) -> Parts:
    """Return the prompt that asks one question; the first token of the answer decides.

    For one text all is equal but the end of `after`, whatever the item.

    Args:
        text: a response as it is; it is made safe here.
        item: what is asked.
        reordered: name the two answers in the other order.
    """
    return _parts(_wording().item, text, reordered=reordered, question=_on_one_line(item.text))


def batch_order(text: str, items: Sequence[Item], *, seed: int, attempt: int, reordered: bool) -> list[Item]:
    """Return the items in the order in which one attempt asks them.

    It follows from the arguments' hash, not from the order in which the items are given.
    """
    draw = [text, str(seed), str(attempt), str(reordered)]
    return sorted(items, key=lambda item: content_key([*draw, item.id]))


def batch_parts(text: str, items: Sequence[Item], *, seed: int, attempt: int, reordered: bool) -> Parts:
    """Return the prompt that asks all questions at once, in the order of `batch_order`, to be answered in JSON.

    Args:
        text: a response as it is; it is made safe here.
        items: what is asked.
        seed: of the judge.
        attempt: from 0; each has another order.
        reordered: take another order again, and name the two answers the other way round.
    """
    ordered = batch_order(text, items, seed=seed, attempt=attempt, reordered=reordered)
    questions = "\n".join(f"- {item.id}: {_on_one_line(item.text)}" for item in ordered)
    return _parts(_wording().batch, text, reordered=reordered, questions=questions)


def _on_one_line(text: str) -> str:
    return " ".join(text.split())


def answer_schema(items: Sequence[Item]) -> dict[str, Any]:
    """Return the JSON schema of an answer to all items: each id once, yes or no, and nothing else.

    The properties stand in the order given, to which an engine may hold the model: give those of `batch_order`.
    """
    return {
        "type": "object",
        "properties": {item.id: {"type": "string", "enum": ["yes", "no"]} for item in items},
        "required": [item.id for item in items],
        "additionalProperties": False,
    }


def read_batch(output: str, items: Sequence[Item], *, thinking: bool) -> tuple[dict[str, Answer], str | None]:
    """Read an answer to all items.

    It must be one JSON object, alone or in a ```json block. A value is an answer if it is the text yes or no, in
    whatever case and with white space around it. What does not fit is left unanswered, item by item; nothing is
    guessed.

    Args:
        output: all that the model said.
        items: what was asked.
        thinking: read only what stands after the last </think>; without one, nothing is answered.

    Returns:
        An answer or None for every item, and why some are None; None where all are answered.
    """
    unanswered: dict[str, Answer] = dict.fromkeys(item.id for item in items)
    if thinking:
        _, mark, output = output.rpartition(_END_OF_THOUGHTS)
        if not mark:
            return unanswered, f"the thoughts do not end: no {_END_OF_THOUGHTS}"
    block = _CODE_BLOCK.fullmatch(output.strip())
    try:
        pairs = json.loads(block[1] if block else output, object_pairs_hook=_Pairs)
    except (ValueError, RecursionError) as error:
        return unanswered, f"not JSON: {error}"
    if not isinstance(pairs, _Pairs):
        return unanswered, "JSON, but not an object"
    answers, reasons = dict(unanswered), []
    times = Counter(key for key, _ in pairs)
    values = dict(pairs)
    for name in unanswered:
        if times[name] != 1:
            reasons.append(f"{name}: {'absent' if not times[name] else 'answered twice'}")
        elif (answer := _answer(values[name])) is None:
            reasons.append(f"{name}: neither yes nor no")
        else:
            answers[name] = answer
    if reasons and (unknown := sorted(times.keys() - unanswered.keys())):
        reasons.append(f"not asked: {', '.join(unknown)}")
    return answers, "; ".join(reasons) or None


class _Pairs(list[tuple[str, Any]]):
    """A JSON object with all its keys, as a repeated one would win in silence."""


def _answer(value: Any) -> Answer:
    word = value.strip().casefold() if isinstance(value, str) else None
    return "yes" if word == "yes" else "no" if word == "no" else None


def head_and_tail(units: Sequence[T], room: int, gap: Sequence[T]) -> tuple[list[T], int]:
    """Return a text that fits, shortened in its middle if it must be.

    Args:
        units: of the text: tokens or characters.
        room: how many there may be, the gap's among them.
        gap: what stands where the middle was.

    Returns:
        The units, and how many were left out; all of them and 0 if they fit. Head and tail are equally long; an odd
        unit goes to the head.

    Raises:
        ValueError: if they do not fit and there is no room for the gap with a unit on each side.
    """
    if len(units) <= room:
        return list(units), 0
    kept = room - len(gap)
    if kept < 2:
        raise ValueError(f"room for {room} units is too little for a gap of {len(gap)}")
    tail = kept // 2
    return [*units[: kept - tail], *gap, *units[len(units) - tail :]], len(units) - kept


def prompt_sha(mode: str) -> str:
    """Return a hash of all that shapes prompts and the reading of answers in a mode: wording and code.

    Args:
        mode: "item" or "batch".
    """
    wording = _wording().model_dump()[mode]
    code = [Path(str(file)).read_text(encoding="utf-8") for file in (__file__, fencing.__file__)]
    return content_key([mode, canonical_json(wording), *code, unidata_version])


def item_judgement(log_p: Mapping[str, tuple[float, float] | None], *, min_mass: float, left_out: int) -> Judgement:
    """Return what the first tokens' probabilities say: p_yes = P(yes) / (P(yes) + P(no)), yes from 0.5.

    Args:
        log_p: item id → natural logarithms of P(yes) and P(no), each summed over its spellings; -inf for a
            probability of zero; None where the judge gave none.
        min_mass: where P(yes) + P(no) is below it, the judge wanted to say something else: no answer.
        left_out: see Judgement.
    """
    answers: dict[str, Answer] = dict.fromkeys(log_p)
    p_yes: dict[str, float | None] = dict.fromkeys(log_p)
    kept, reasons = {}, []
    for name, pair in sorted(log_p.items()):
        if pair is None or any(math.isnan(value) for value in pair):
            reasons.append(f"{name}: no log-probabilities")
            continue
        yes, no = round(pair[0], 6), round(pair[1], 6)
        if math.isfinite(yes) and math.isfinite(no):
            kept[name] = (yes, no)
        mass = math.exp(yes) + math.exp(no)
        if mass == 0 or mass < min_mass:
            reasons.append(f"{name}: yes and no have a probability of {mass:.6f} together, below {min_mass:g}")
            continue
        probability = round(math.exp(yes) / mass, 6)
        p_yes[name] = probability
        answers[name] = "yes" if probability >= 0.5 else "no"
    return Judgement(answers, p_yes, "; ".join(reasons) or None, parse_status(answers), kept or None, left_out)


def batch_judgement(answers: Mapping[str, Answer], raw: str | None, left_out: int) -> Judgement:
    """Return a judgement of answers without probabilities.

    Args:
        answers: an entry for every item.
        raw: what the judge said where some are missing; None otherwise.
        left_out: see Judgement.
    """
    return Judgement(dict(answers), dict.fromkeys(answers), raw, parse_status(answers), None, left_out)
