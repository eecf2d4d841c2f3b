"""Numbers of one model, by hand."""

import math

import pytest

from winnow.evaluation.metrics import heldout_metrics, preference_metrics
from winnow.numerics.generations import summarize_generations


def heldout(prompt_id, nats, tokens, cut=False):
    return {"prompt_id": prompt_id, "nats": nats, "tokens": tokens, "cut": cut}


def pair(chosen, rejected, tokens=(10, 10), prompt_id="p"):
    return {
        "prompt_id": prompt_id,
        "chosen_logp": chosen,
        "rejected_logp": rejected,
        "chosen_tokens": tokens[0],
        "rejected_tokens": tokens[1],
    }


def test_loss_is_the_mean_over_tokens_not_over_responses():
    found = heldout_metrics([heldout("a", 30.0, 10), heldout("b", 10.0, 30, cut=True)], seed=0)
    assert found["loss"] == 1.0  # 40 nats over 40 tokens; the mean over responses would be 1.666667
    assert found["perplexity"] == pytest.approx(math.e, abs=1e-6)
    assert (found["n"], found["prompts"], found["tokens"], found["rows_cut"]) == (2, 2, 40, 1)
    # With two prompts a resample holds one of them twice or both: 1/3, 1 or 3 nats per token.
    assert found["loss_interval"] == [pytest.approx(1 / 3, abs=1e-6), 3.0]
    assert found["perplexity_interval"] == [
        pytest.approx(math.exp(1 / 3), abs=1e-5),
        pytest.approx(math.exp(3), abs=1e-5),
    ]


def test_nothing_measured_is_missing_not_zero():
    assert heldout_metrics([], seed=0)["loss"] is None
    assert preference_metrics([])["accuracy"] is None
    assert preference_metrics([])["length_only_rule"] is None
    assert summarize_generations([])["mean_tokens"] is None


def test_preference_accuracy_by_hand():
    rows = [
        pair(-10.0, -12.0, (5, 10)),  # right; per token -2 against -1.2: wrong
        pair(-30.0, -20.0, (30, 10)),  # wrong; per token -1 against -2: right
        pair(-15.0, -15.0, (10, 10)),  # a tie is no preference, neither way
        pair(-5.0, -50.0, (10, 20), prompt_id="q"),  # right; per token -0.5 against -2.5: right
    ]
    found = preference_metrics(rows)
    assert (found["n"], found["prompts"], found["ties"]) == (4, 2, 1)
    assert found["accuracy"] == 0.5
    assert found["accuracy_per_token"] == 0.5
    assert found["mean_margin"] == pytest.approx((2 - 10 + 0 + 45) / 4)
    # By length: the shorter is chosen in two of three unequal pairs, and half of the equal one: 2.5 of 4.
    assert (found["length_only_accuracy"], found["length_only_rule"]) == (0.625, "shorter")


def test_length_only_takes_the_better_direction():
    found = preference_metrics([pair(-1.0, -2.0, (20, 10)), pair(-1.0, -2.0, (30, 10))])
    assert (found["length_only_accuracy"], found["length_only_rule"]) == (1.0, "longer")


def test_generations_are_counted_by_how_they_ended():
    rows = [
        {"stop_reason": "length", "tokens": 10, "mean_entropy": 1.0},
        {"stop_reason": "stop", "tokens": 4, "mean_entropy": 2.0},
    ]
    assert summarize_generations(rows) == {
        "n": 2,
        "stop_reasons": {"length": 1, "stop": 1},
        "mean_tokens": 7.0,
        "mean_entropy": 1.5,
    }
