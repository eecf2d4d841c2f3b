"""Rows as measure_responses writes them, with the truth planted."""

import numpy as np

from winnow.evaluation.review_metrics import REVIEWS

SCALE = (1.0, 3.0, 5.0, 6.0, 8.0, 10.0)


def row(run, prompt, sample, values, *, decoding="greedy", **fields):
    """One row; metrics that are not given are missing."""
    known = {"modality": None if run == "human" else "clean", "year": 2019, "decision": "accept", "predicted": None}
    known |= {"words": 200, "answers": {}, "human_rating": 6.0, "rating_scale": list(SCALE)}
    values = dict.fromkeys(REVIEWS.row_metrics) | values
    return {
        "run": run,
        "id": f"{run}/{prompt}/{sample}",
        "prompt_id": prompt,
        "sample": None if run == "human" else sample,
        "decoding": "human" if run == "human" else decoding,
        **known,
        **fields,
        "values": values,
    }


def response(run, prompt, sample, rating, draw, *, year=2019, decision="accept", human=6.0, **more):
    """A row with everything that depends on its rating, None being one that could not be read."""
    worst = max(human - SCALE[0], SCALE[-1] - human)
    error = worst if rating is None else abs(rating - human)
    predicted = None if rating is None else ("accept" if rating >= 6 else "reject")
    values = {
        "valid_format": float(rating is not None),
        "ended": 1.0,
        "rating_parsed": float(rating is not None),
        "rating": rating,
        "rating_error": error,
        "rating_squared_error": error**2,
        "rating_bias": None if rating is None else rating - human,
        "decision_correct": None if decision is None else float(predicted == decision),
        "checklist_pass_rate": float(draw.uniform(0.3, 0.7)),
        "rouge_l_mean": float(draw.uniform(0.1, 0.3)),
        "specificity": float(draw.uniform(0, 5)),
    }
    fields = {"year": year, "decision": decision, "predicted": predicted, "human_rating": human}
    fields |= {"words": int(draw.integers(100, 400))}
    return row(run, prompt, sample, values | more.pop("values", {}), **fields, **more)


def human_mean(number):
    """What people think of a paper, on average."""
    return [3.0, 5.0, 6.0, 8.0][number * 7 % 4] + (number % 3) / 3


def study_rows(*, prompts=40, samples=3, seed=0, shift=None, runs=("base_clean", "sft_clean", "dpo_clean")):
    """Three human reviews of each paper; each run greedy and sampled. `shift` is how much nearer to people a run is."""
    draw, rows = np.random.default_rng(seed), []
    for number in range(prompts):
        human = human_mean(number)
        known = {"year": 2018 + number % 2, "decision": "accept" if human >= 6 else "reject", "human": human}
        for reviewer in range(3):
            rows.append(response("human", f"p{number:03}", reviewer, float(draw.choice(SCALE)), draw, **known))
        for run in runs:
            for sample in range(samples + 1):
                decoding = "sampled" if sample else "greedy"
                noise = draw.normal(0, 2.5) * (1 - (shift or {}).get(run, 0.0))
                rating = min(SCALE, key=lambda level: abs(level - human - noise))
                rating = None if draw.random() < 0.05 else rating
                rows.append(response(run, f"p{number:03}", sample, rating, draw, decoding=decoding, **known))
    return rows
