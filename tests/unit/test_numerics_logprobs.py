"""Numbers by hand for the numerical core (docs/methods.md, Training)."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from winnow.numerics.logprobs import compute_entropy, exact_kl, k3_kl, token_logprobs
from winnow.numerics.preferences import PairLogps, dpo_loss

LN2 = math.log(2)


def logits(*probabilities: float) -> torch.Tensor:
    return torch.tensor([probabilities]).log()


def test_token_logprobs_by_hand() -> None:
    scores = torch.cat([logits(0.5, 0.25, 0.25), logits(0.1, 0.1, 0.8)])
    found = token_logprobs(scores + 7.0, torch.tensor([0, 2]))  # a constant changes nothing
    assert found.tolist() == pytest.approx([math.log(0.5), math.log(0.8)], abs=1e-6)


def test_token_logprobs_do_not_lose_bits_in_half_precision() -> None:
    scores = torch.zeros(1, 50_000, dtype=torch.bfloat16)
    assert token_logprobs(scores, torch.tensor([3])).item() == pytest.approx(-math.log(50_000), abs=1e-4)


def test_entropy_by_hand() -> None:
    assert compute_entropy(logits(0.25, 0.25, 0.25, 0.25)).item() == pytest.approx(math.log(4))
    assert compute_entropy(logits(0.5, 0.5, 0.0)).item() == pytest.approx(LN2)  # an impossible token
    assert compute_entropy(logits(1.0, 0.0)).item() == 0.0


def test_exact_kl_by_hand() -> None:
    wanted = 0.5 * math.log(0.5 / 0.9) + 0.5 * math.log(0.5 / 0.1)
    assert exact_kl(logits(0.5, 0.5), logits(0.9, 0.1)).item() == pytest.approx(wanted, rel=1e-5)
    assert exact_kl(logits(1.0, 0.0), logits(0.25, 0.75)).item() == pytest.approx(math.log(4), rel=1e-5)
    assert exact_kl(logits(0.3, 0.7), logits(0.3, 0.7)).item() == 0.0


def test_k3_by_hand() -> None:
    found = k3_kl(torch.tensor([0.0, -1.0, -2.0]), torch.tensor([0.0, -2.0, -1.0]))
    assert found.tolist() == pytest.approx([0.0, math.exp(-1) - 1 + 1, math.exp(1) - 1 - 1], rel=1e-5)


probabilities = st.lists(st.floats(0.01, 1.0), min_size=3, max_size=3)


@given(probabilities, probabilities)
def test_k3_is_never_negative_and_its_mean_is_the_exact_kl(first: list[float], second: list[float]) -> None:
    policy, reference = (torch.tensor(values).double().div(sum(values)) for values in (first, second))
    per_token = k3_kl(policy.log(), reference.log())
    assert (per_token >= -1e-7).all()
    exact = exact_kl(policy.log()[None], reference.log()[None]).item()
    assert (policy * per_token).sum().item() == pytest.approx(exact, abs=1e-4)


def pairs(chosen: float, rejected: float) -> PairLogps:
    """Return one pair whose policy is ahead of its reference by these amounts."""
    zero = torch.tensor([-5.0])
    return PairLogps(zero + chosen, zero + rejected, zero, zero)


def test_dpo_loss_by_hand() -> None:
    assert dpo_loss(pairs(0.0, 0.0), 0.1).item() == pytest.approx(LN2)
    assert dpo_loss(pairs(1.0, -1.0), 0.5).item() == pytest.approx(math.log(1 + math.exp(-1.0)))
    assert dpo_loss(pairs(-2.0, 0.0), 0.1).item() == pytest.approx(math.log(1 + math.exp(0.2)))


@pytest.mark.parametrize(
    ("chosen", "rejected", "displaced"),
    [
        (0.5, -0.5, False),  # as it should be
        (-0.5, -1.5, True),  # both fell, the rejected one further
        (-0.5, 0.5, False),  # the margin fell too: worse, and something else
        (0.0, -1.0, False),  # the chosen one stayed
        (-0.5, -0.5, False),  # no margin
    ],
)
def test_displacement(chosen: float, rejected: float, displaced: bool) -> None:
    assert pairs(chosen, rejected).displaced.tolist() == [displaced]
