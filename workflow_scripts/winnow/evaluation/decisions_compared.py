"""Accept or reject: confusion matrices with what could not be read, and what choosing without reading would reach."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from winnow.evaluation.estimates import row_values
from winnow.evaluation.measured import Row, prompts_of
from winnow.evaluation.resampling import Numbers, Statistic, bounds, divided, intervals, rounded, value_of
from winnow.evaluation.set_metrics import confusion
from winnow.evaluation.set_statistics import confusions, decision_statistics


def f1_of_accept(rows: Sequence[Row], prompts: Sequence[str]) -> Statistic:
    """Return the F1 of accept, 2·right / (accepted papers + answers accept). It is high for who always accepts."""
    cells = confusions(rows, prompts)

    def statistic(times: Numbers) -> Numbers:
        right, unseen, unread, wrong = (times @ cells[:, :4]).T
        return divided(2 * right, 2 * right + unseen + unread + wrong)

    return statistic


def decided(rows: Sequence[Row]) -> dict[str, Any]:
    """Return the confusion matrix of some rows and what follows from it, each with an interval by prompt.

    Accuracy is the mean of decision_correct, and has its interval. The others have none where all draws give the same.
    """
    prompts = prompts_of(rows)
    statistics = decision_statistics(rows, prompts) | {"f1_accept": f1_of_accept(rows, prompts)}
    found = intervals(statistics, len(prompts))
    numbers: dict[str, Any] = {}
    for name, statistic in statistics.items():
        value = value_of(statistic, len(prompts))
        known = bounds(found[name]) if value is not None else None
        numbers[name] = {"value": rounded(value), "interval": known if known and known[0] < known[1] else None}
    numbers["accuracy"]["interval"] = row_values(rows, ["decision_correct"])["decision_correct"]["interval"]
    count = sum(row["values"]["decision_correct"] is not None for row in rows)
    return {"n": count, "confusion": confusion(rows), **numbers}


def _always(papers: Mapping[str, str], answer: str) -> list[Row]:
    """Return rows of one response to each paper that all give the same answer."""
    return [
        {
            "run": answer,
            "id": prompt,
            "prompt_id": prompt,
            "decision": decision,
            "predicted": answer,
            "values": {"decision_correct": float(decision == answer)},
        }
        for prompt, decision in papers.items()
    ]


def baselines(rows: Sequence[Row], human: Sequence[Row]) -> dict[str, Any]:
    """Return what is reached by the commoner class, by always accepting, and by single human reviewers.

    The F1 of who always accepts is 2p / (1 + p), p being the share of accepted papers. Each human review is held
    against the venue's decision, in which it had a part: an advantage that no model has.

    Args:
        rows: of any run: they name the papers.
        human: the human reviews of the same papers.
    """
    papers = {row["prompt_id"]: row["decision"] for row in rows if row["values"]["decision_correct"] is not None}
    counts = Counter(papers.values())
    commoner = "accept" if counts["accept"] > counts["reject"] else "reject"
    return {
        "majority": {"answer": commoner, **decided(_always(papers, commoner))},
        "always_accept": decided(_always(papers, "accept")),
        "human_leave_one_out": decided(human),
    }


def decisions(
    runs: Mapping[str, Sequence[Row]], human: Sequence[Row], thresholds: Mapping[str, Any]
) -> dict[str, Any] | None:
    """Return all that is to be said of decisions in one modality and decoding; None where no paper has a decision.

    Args:
        runs: rows of each run.
        human: the human reviews of the same papers.
        thresholds: as measure_responses fitted them.
    """
    rows = next(iter(runs.values()), [])
    papers = prompts_of(row for row in rows if row["values"]["decision_correct"] is not None)
    if not papers:
        return None
    return {
        "threshold": thresholds,
        "n": len(papers),
        "baselines": baselines(rows, human),
        "rows": {run: decided(of_run) for run, of_run in runs.items()},
    }
