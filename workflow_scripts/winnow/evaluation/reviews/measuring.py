"""One row of measurements for each generated review, and one for each human review of the same papers."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from winnow.core.ids import unit_interval
from winnow.core.log import Progress
from winnow.core.manifest import Tally
from winnow.evaluation.review_metrics import REVIEWS
from winnow.evaluation.reviews import copying, decisions, genericness, ratings, specificity
from winnow.evaluation.reviews.copying import Runs
from winnow.evaluation.reviews.decisions import Scale, Threshold
from winnow.evaluation.reviews.generated import Answers, Generated, pass_rate
from winnow.evaluation.reviews.papers import HumanReview, Paper
from winnow.evaluation.reviews.similarity import rouge_l
from winnow.evaluation.reviews.words import length_ratio, words

HUMAN = "human"

Values = dict[str, float | None]
MeasuredRow = dict[str, Any]


@dataclass(frozen=True)
class World:
    """What every review is held against.

    Attributes:
        papers: by prompt_id.
        shuffled: for each paper another one, whose reviews are a control.
        thresholds: by scale.
        training: by modality the runs of words of its training responses.
        answers: of the judge, by response_id.
        second: of the second judge.
    """

    papers: Mapping[str, Paper]
    shuffled: Mapping[str, str]
    thresholds: Mapping[Scale, Threshold]
    training: Mapping[str, Runs]
    answers: Mapping[str, Answers]
    second: Mapping[str, Answers]


def measure_all(
    generated: Mapping[str, Sequence[Generated]], modalities: Mapping[str, str], world: World
) -> tuple[list[MeasuredRow], dict[str, dict[str, Values]]]:
    """Return the rows of all reviews, ordered by id, and the metrics of whole sets: run → decoding → metric → value.

    Args:
        generated: reviews by run.
        modalities: of each run.
        world: what they are held against.
    """
    humans = {prompt: paper.reviews for prompt, paper in world.papers.items()}
    progress = Progress("reviews measured", sum(map(len, (*generated.values(), *humans.values()))))
    rows: list[MeasuredRow] = []
    sets: dict[str, dict[str, Values]] = {}

    def keep(found: Iterable[MeasuredRow]) -> None:
        for row in found:
            rows.append(row)
            progress.step()

    for name, reviews in generated.items():
        for decoding in sorted({review.decoding for review in reviews}):
            alike = [review for review in reviews if review.decoding == decoding]
            keep(_generated_rows(alike, modalities[name], world))
            texts = [(review.prompt_id, review.sample, review.text) for review in alike]
            sets.setdefault(name, {})[decoding] = set_values(texts)
    keep(_human_rows(world))
    sets[HUMAN] = {HUMAN: set_values([(prompt, 0, reviews[0].text) for prompt, reviews in humans.items() if reviews])}
    return sorted(rows, key=lambda row: row["id"]), sets


def count_rows(rows: Iterable[MeasuredRow], tally: Tally) -> None:
    """Note how many rows lack something that a reader would expect of them."""
    for row in rows:
        who, values = (HUMAN if row["run"] == HUMAN else "generated"), row["values"]
        lacks = {
            "not valid": values["valid_format"] == 0,
            "cut off": values["ended"] == 0,
            "rating not read": values["rating_parsed"] == 0,
            "no entropy": who != HUMAN and values["mean_entropy"] is None,
            "not judged": not row["answers"],
            "no human rating to compare with": row["human_rating"] is None,
            "paper neither accepted nor rejected": row["decision"] is None,
        }
        for what, is_so in lacks.items():
            if is_so:
                tally.note(f"{who}: {what}")


def _generated_rows(reviews: Sequence[Generated], modality: str, world: World) -> Iterator[MeasuredRow]:
    """Yield the rows of all reviews of one run and decoding."""
    humans = [review.text for paper in world.papers.values() for review in paper.reviews]
    prompts = [review.prompt_id for review in reviews]
    alike = genericness.similarity_to_others([review.text for review in reviews], prompts, humans)
    for review, to_others in zip(reviews, alike, strict=True):
        paper = world.papers[review.prompt_id]
        others = paper.others()
        reference = _reference(others)
        values: Values = {
            "valid_format": float(not review.flags),
            "ended": float(review.ended),
            "rating_parsed": None if paper.scale is None else float(review.rating is not None),
            "similarity_to_others": to_others,
            "tokens": float(review.tokens),
            "mean_entropy": review.mean_entropy,
            **_ratings(review.rating, reference, paper, others, world),
            **_text(review.text, review.prompt_id, others, world.training[modality], world),
            **_checklist(review.identity, review.text, world),
        }
        head = {"run": review.run, "modality": modality, "id": review.identity, "sample": review.sample}
        head |= {"prompt_id": review.prompt_id, "decoding": review.decoding}
        yield head | _row(
            review.identity, rating=review.rating, reference=reference, paper=paper, values=values, world=world
        )


def _human_rows(world: World) -> Iterator[MeasuredRow]:
    """Yield the rows of all human reviews, each held against the paper's other ones."""
    entries = [(prompt, review) for prompt, paper in world.papers.items() for review in paper.reviews]
    prompts, texts = [prompt for prompt, _ in entries], [review.text for _, review in entries]
    trained = [runs for runs in world.training.values() if len(runs)]
    training = np.unique(np.concatenate(trained)) if trained else np.empty(0, np.uint64)
    alike = genericness.similarity_to_others(texts, prompts, [])
    for (prompt, review), to_others in zip(entries, alike, strict=True):
        paper = world.papers[prompt]
        others = paper.others(review.identity)
        reference = _reference(others)
        # Silence is a model's fault; a human review without a rating is a hole in the data.
        rated = {} if review.rating is None else _ratings(review.rating, reference, paper, others, world)
        values: Values = {
            "similarity_to_others": to_others,
            **rated,
            **_text(review.text, prompt, others, training, world),
            **_checklist(review.identity, review.text, world),
        }
        head = {"run": HUMAN, "modality": None, "id": review.identity, "sample": None}
        head |= {"prompt_id": prompt, "decoding": HUMAN}
        yield head | _row(
            review.identity, rating=review.rating, reference=reference, paper=paper, values=values, world=world
        )


def set_values(reviews: Sequence[tuple[str, int, str]]) -> dict[str, float | None]:
    """Return the metrics of all texts of one run and decoding together.

    One review of each paper goes into each number; with several samples it is the mean over the first of every paper,
    the second, and so on, so that one and many samples compare.

    Args:
        reviews: prompt_id, sample and text.
    """
    numbers: dict[str, list[float | None]] = {"distinct_2": [], "self_bleu": []}
    ordered = sorted(reviews, key=lambda one: (unit_interval(one[0], "sets"), one))
    for wanted in sorted({sample for _, sample, _ in ordered}):
        texts = [text for _, sample, text in ordered if sample == wanted]
        numbers["distinct_2"].append(genericness.distinct_2(texts))
        numbers["self_bleu"].append(genericness.self_bleu(texts))
    found = {name: [value for value in values if value is not None] for name, values in numbers.items()}
    return {name: round(sum(values) / len(values), 6) if values else None for name, values in found.items()}


def _reference(others: Sequence[HumanReview]) -> float | None:
    return ratings.reference_rating([review.rating for review in others if review.rating is not None])


def _threshold(paper: Paper, world: World) -> float | None:
    found = world.thresholds.get(paper.scale) if paper.scale else None
    return found.t if found else None


def _ratings(
    rating: float | None, reference: float | None, paper: Paper, others: Sequence[HumanReview], world: World
) -> Values:
    """Return what follows from a rating and its paper."""
    if paper.scale is None:
        return {}
    given = {review.rating for review in others if review.rating is not None}
    fixed = decisions.fixed_threshold(paper.scale)
    return {
        "rating": rating,
        "rating_error": ratings.rating_error(rating, reference, paper.scale),
        "rating_squared_error": ratings.rating_squared_error(rating, reference, paper.scale),
        "rating_bias": ratings.rating_bias(rating, reference),
        "rating_in_human_set": ratings.rating_in_human_set(rating, given),
        "decision_correct": decisions.decision_correct(rating, _threshold(paper, world), paper.decision),
        "decision_correct_at_6": decisions.decision_correct(rating, fixed, paper.decision),
    }


def _text(text: str, prompt: str, others: Sequence[HumanReview], training: Runs, world: World) -> Values:
    """Return what follows from the words of a review."""
    count, runs, paper = len(words(text)), copying.runs_of_words(text), world.papers[prompt]
    alike = rouge_l(text, [review.text for review in others])
    other = world.papers[world.shuffled[prompt]].reviews if prompt in world.shuffled else []
    control = rouge_l(text, [review.text for review in other])
    return {
        "rouge_l_mean": _mean(alike),
        "rouge_l_max": max(alike, default=None),
        "rouge_l_shuffled": _mean(control),
        "copied_from_paper": copying.copied_share(runs, paper.runs),
        "copied_from_training": copying.copied_share(runs, training),
        "words": float(count),
        "length_ratio": length_ratio(count, [review.words for review in others]),
        **specificity.specificity(text),
    }


def _checklist(identity: str, text: str, world: World) -> Values:
    """Return the pass rates. A judge has nothing to answer about an empty review, and that is the review's fault: 0."""

    def rate(given: Mapping[str, Answers]) -> float | None:
        return 0.0 if identity in given and not words(text) else pass_rate(given.get(identity))

    return {"checklist_pass_rate": rate(world.answers), "checklist_pass_rate_second": rate(world.second)}


def _mean(numbers: Sequence[float]) -> float | None:
    return sum(numbers) / len(numbers) if numbers else None


def _row(
    identity: str, *, rating: float | None, reference: float | None, paper: Paper, values: Values, world: World
) -> MeasuredRow:
    """Return what all rows have: every metric, null where it does not exist, and what set metrics need."""
    found = {name: values.get(name) for name in REVIEWS.row_metrics}
    return {
        "year": paper.year,
        "decision": paper.decision,
        "predicted": decisions.decide(rating, _threshold(paper, world)),
        "human_rating": None if reference is None else round(reference, 6),
        "rating_scale": list(paper.scale) if paper.scale else None,
        "words": int(values["words"] or 0),
        "values": {name: None if value is None else round(value, 6) for name, value in found.items()},
        "answers": dict(world.answers.get(identity) or {}),
    }
