"""The statistics that are resampled are the metrics, row by row, of the rows that were drawn."""

from dataclasses import replace

import numpy as np
import pytest

from measured_fixtures import study_rows
from winnow.evaluation.label_metrics import LABELS
from winnow.evaluation.measured import grouped, prompts_of
from winnow.evaluation.review_metrics import REVIEWS
from winnow.evaluation.set_metrics import DECISION_FUNCTIONS, RATING_FUNCTIONS, wasserstein_to_human
from winnow.evaluation.set_statistics import set_statistics


def drawn(rows, times, prompts):
    """The rows of each prompt as often as it was drawn, copies of a paper being the same paper."""
    of_prompt = {prompt: [row for row in rows if row["prompt_id"] == prompt] for prompt in prompts}
    return [
        row
        for prompt, count in zip(prompts, times, strict=True)
        for _ in range(int(count))
        for row in of_prompt[prompt]
    ]


@pytest.mark.parametrize("decoding", ["greedy", "sampled"])
def test_counts_give_what_rows_give(decoding):
    rows = study_rows(prompts=25, samples=2, seed=4)
    for entry in rows:
        entry["rating_scale"] = [1.0, 10.0] if entry["prompt_id"] < "p006" else entry["rating_scale"]
    groups = grouped(rows)
    ours, human = groups["sft_clean", decoding], groups["human", "human"]
    prompts = prompts_of(ours)
    # A task with every metric that there is.
    task = replace(REVIEWS, metrics={**LABELS.metrics, **REVIEWS.metrics})
    statistics = set_statistics(ours, human, prompts, task)
    assert set(statistics) == {*DECISION_FUNCTIONS, *RATING_FUNCTIONS, "wasserstein_to_human"}
    assert set(set_statistics(ours, human, prompts, REVIEWS)) < set(statistics)
    generator = np.random.default_rng(0)
    few = np.zeros(25)
    few[[0, 7, 11]] = 1, 2, 1
    for times in (np.ones(25), generator.multinomial(25, [1 / 25] * 25), few, np.eye(25)[3] * 25):
        resampled, people = drawn(ours, times, prompts), drawn(human, times, prompts)
        expected = {name: function(resampled) for name, function in RATING_FUNCTIONS.items()}
        expected |= {name: function(resampled, task.classes) for name, function in DECISION_FUNCTIONS.items()}
        expected["wasserstein_to_human"] = wasserstein_to_human(resampled, people)
        found = {name: statistic(np.asarray(times, dtype=float)[None])[0] for name, statistic in statistics.items()}
        for name, value in expected.items():
            assert found[name] == pytest.approx(np.nan if value is None else value, abs=1e-12, nan_ok=True), name
