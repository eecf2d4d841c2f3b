"""Rows as measure_labels writes them, with the truth planted."""

import random
from dataclasses import replace

from winnow.evaluation.label_metrics import LABELS
from winnow.evaluation.measured import Measured

CLASSES = ("sarcastic", "not_sarcastic")
TASK = replace(LABELS, classes=CLASSES)


def row(run, prompt, decision, predicted, *, decoding="logprob", sample=None, source="gen", **values):
    """One row; metrics that are not given are missing."""
    ends = {"logprob": "logprob", "reference": ""}.get(decoding, f"{decoding}/{sample}")
    known = dict.fromkeys(LABELS.row_metrics) | {"decision_correct": float(predicted == decision)}
    return {
        "run": run,
        "modality": None if decoding == "reference" else "clean",
        "id": f"{run}/{prompt}/{ends}".rstrip("/"),
        "sample": sample,
        "prompt_id": prompt,
        "decoding": decoding,
        "decision": decision,
        "predicted": predicted,
        "source": source,
        "values": known | values,
    }


def _said(draw, decision, right, unread):
    other = CLASSES[decision == CLASSES[0]]
    return None if draw.random() < unread else decision if draw.random() < right else other


def study_rows(
    *, prompts=60, samples=2, generated=20, seed=0, right=None, runs=("base_clean", "sft_clean", "dpo_clean")
):
    """Answers of every run by probability to all prompts, greedy and drawn ones to the first of them, and a baseline's.

    `right` is how often a run answers rightly, by its name; three in five where it is not given.
    """
    draw, rows, rates = random.Random(seed), [], right or {}
    for number in range(prompts):
        prompt, decision = f"p{number:04}", CLASSES[draw.random() < 0.6]
        source = ("gen", "hyp")[number % 2]
        said = _said(draw, decision, rates.get("tfidf_logistic", 0.6), 0.0)
        rows.append(row("tfidf_logistic", prompt, decision, said, decoding="reference", source=source))
        for run in runs:
            rate = rates.get(run, 0.6)
            rows.append(
                row(run, prompt, decision, _said(draw, decision, rate, 0.02), source=source, margin=draw.gauss(0, 1))
            )
            for sample in range(samples + 1) if number < generated else ():
                said = _said(draw, decision, rate, 0.15)
                read = {"verdict_read": float(said is not None), "ended": 1.0, "tokens": 3.0, "mean_entropy": 0.5}
                decoding = "sampled" if sample else "greedy"
                rows.append(row(run, prompt, decision, said, decoding=decoding, sample=sample, source=source, **read))
    return rows


def measured(rows):
    """Return rows as the comparison reads them."""
    return Measured(TASK, rows)
