"""The functions of the reasoning trainer: their contracts, with the numbers that are given for them."""

import copy
import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from evaluation_fixtures import tiny_model
from winnow.models.inference import device_for, load_model
from winnow.numerics.generations import Generation, log_generations
from winnow.numerics.logprobs import compute_entropy, get_response_log_probs
from winnow.numerics.losses import sft_loss, sft_microbatch_train_step, split_documents
from winnow.numerics.masks import masked_mean, masked_normalize
from winnow.numerics.preferences import ALPACA, compute_per_instance_dpo_loss
from winnow.numerics.tokens import tokenize_prompt_and_output

WORDS = ["<pad>", "Hello", ",", "world", "!", "a", "b", "c", "d", "e", "f", "<end>", "<start>"]


def words(*, padding: bool = True) -> Any:
    """A tokenizer of whole words and signs, which adds a start token of its own unless told not to."""
    from tokenizers.processors import TemplateProcessing

    inner = Tokenizer(models.WordLevel({word: index for index, word in enumerate(WORDS)}, unk_token="<pad>"))
    inner.pre_tokenizer = pre_tokenizers.Whitespace()
    inner.post_processor = TemplateProcessing(single="<start> $A", special_tokens=[("<start>", 12)])
    return PreTrainedTokenizerFast(tokenizer_object=inner, pad_token="<pad>" if padding else None, eos_token="<end>")


def test_tokenize_prompt_and_output() -> None:
    """The handout's example: 4 + 4 tokens in a batch whose longest row has 10."""
    found = tokenize_prompt_and_output(["Hello, world!", "a b c d e f"], ["Hello, world!", "a b c d"], words())
    assert {name: tuple(tensor.shape) for name, tensor in found.items()} == dict.fromkeys(
        ("input_ids", "labels", "response_mask"), (2, 9)
    )
    assert (found["input_ids"].dtype, found["labels"].dtype) == (torch.int64, torch.int64)
    assert found["response_mask"].dtype == torch.bool
    assert found["input_ids"][0].tolist() == [1, 2, 3, 4, 1, 2, 3, 4, 0]
    assert found["labels"][0].tolist() == [2, 3, 4, 1, 2, 3, 4, 0, 0]
    assert found["response_mask"][0].nonzero().flatten().tolist() == [3, 4, 5, 6]
    assert found["response_mask"][1].nonzero().flatten().tolist() == [5, 6, 7, 8]
    assert found["labels"][1].tolist() == [6, 7, 8, 9, 10, 5, 6, 7, 8]


def test_tokenize_fills_up_with_the_end_token_where_there_is_no_other() -> None:
    found = tokenize_prompt_and_output(["a", "a b"], ["b", "c d"], words(padding=False))
    assert found["labels"][0].tolist() == [6, 11, 11]


def test_tokenize_refuses_prompts_without_outputs() -> None:
    with pytest.raises(ValueError, match="shorter"):
        tokenize_prompt_and_output(["a", "b"], ["a"], words())


def test_entropy_survives_large_logits_and_half_precision() -> None:
    assert compute_entropy(torch.tensor([[1e4, 1e4, -1e4]])).item() == pytest.approx(math.log(2))
    scores = torch.randn(2, 3, 7, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    wanted = torch.distributions.Categorical(logits=scores).entropy()
    assert compute_entropy(scores).shape == (2, 3)
    assert compute_entropy(scores).tolist() == pytest.approx(wanted.float(), abs=1e-5)
    assert compute_entropy(scores.bfloat16()).tolist() == pytest.approx(wanted.float(), abs=2e-2)


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder: Path = tiny_model(tmp_path_factory.mktemp("models") / "text")
    return load_model(folder, None, device_for(0))


def test_response_log_probs_are_those_of_the_loss_of_transformers(loaded: Any) -> None:
    """Nothing is masked: the mean over every label is the model's own loss."""
    ids = torch.tensor([[5, 3, 9, 8, 2, 7], [1, 1, 4, 4, 6, 6]])
    found = get_response_log_probs(loaded.model, ids[:, :-1], ids[:, 1:], return_token_entropy=True)
    assert found["log_probs"].shape == found["token_entropy"].shape == (2, 5)
    assert found["log_probs"].requires_grad
    assert -found["log_probs"].mean().item() == pytest.approx(loaded.model(ids, labels=ids).loss.item(), rel=1e-6)
    wanted = torch.distributions.Categorical(logits=loaded.model(ids[:, :-1]).logits).entropy()
    assert torch.allclose(found["token_entropy"], wanted, atol=1e-5)
    assert "token_entropy" not in get_response_log_probs(loaded.model, ids[:, :-1], ids[:, 1:])


VALUES = torch.tensor([[1.0, 2.0, math.nan], [4.0, math.inf, -math.inf]])
CHOSEN = torch.tensor([[True, True, False], [True, False, False]])


@pytest.mark.parametrize(
    ("dim", "constant", "wanted"),
    [(None, 1.0, 7.0), (None, 2.0, 3.5), (0, 1.0, [5.0, 2.0, 0.0]), (1, 10.0, [0.3, 0.4])],
)
def test_masked_normalize(dim: int | None, constant: float, wanted: Any) -> None:
    assert masked_normalize(VALUES, CHOSEN, constant, dim).tolist() == pytest.approx(wanted)


@pytest.mark.parametrize(("dim", "wanted"), [(None, 7 / 3), (0, [2.5, 2.0, math.nan]), (1, [1.5, 4.0])])
def test_masked_mean(dim: int | None, wanted: Any) -> None:
    assert masked_mean(VALUES, CHOSEN, dim).tolist() == pytest.approx(wanted, nan_ok=True)


def test_nothing_selected_is_a_sum_of_0_and_no_mean() -> None:
    assert masked_normalize(VALUES, torch.zeros_like(CHOSEN)).item() == 0.0
    assert math.isnan(masked_mean(VALUES, torch.zeros_like(CHOSEN)).item())


def test_masked_values_leak_into_no_gradient() -> None:
    values = VALUES.clone().requires_grad_()
    masked_normalize(values, CHOSEN, 2.0).backward()
    assert values.grad is not None
    assert values.grad.tolist() == [[0.5, 0.5, 0.0], [0.5, 0.0, 0.0]]


@pytest.mark.parametrize(("constant", "gradient"), [(1.0, -0.25), (42.0, -0.005952)])
def test_microbatch_gradient(constant: float, gradient: float) -> None:
    """D loss / d log p = -1 / (rows * accumulation * constant) at response tokens, 0 elsewhere."""
    logps = torch.randn(2, 4, generator=torch.Generator().manual_seed(0)).requires_grad_()
    mask = torch.tensor([[False, True, True, False], [False, False, True, True]])
    loss, parts = sft_microbatch_train_step(logps, mask, 2, constant)
    assert logps.grad is not None
    assert logps.grad[mask].tolist() == pytest.approx([gradient] * 4, abs=1e-6)
    assert logps.grad[~mask].tolist() == [0.0] * 4
    assert loss.item() == pytest.approx(-logps[mask].sum().item() / constant / 2 / 2)
    assert (parts["loss"].item(), parts["response_tokens"].item()) == (pytest.approx(loss.item() * 2), 4)


def test_ten_microbatches_accumulate() -> None:
    logps = torch.zeros(2, 3, requires_grad=True)
    mask = torch.tensor([[False, True, True], [True, False, True]])
    for _ in range(10):
        sft_microbatch_train_step(logps, mask, 2)
    assert logps.grad is not None
    assert logps.grad[mask].tolist() == pytest.approx([-2.5] * 4)


def test_loss_modes_by_hand() -> None:
    """Two responses of 1 and 3 tokens: each mode weighs them in its own way."""
    logps = torch.tensor([[-1.0, -9.0, -9.0], [-2.0, -3.0, -4.0]])
    mask = torch.tensor([[True, False, False], [True, True, True]])
    assert sft_loss(logps, mask, "per_token").item() == pytest.approx((1 + 3) / 2)
    assert sft_loss(logps, mask, "sequence").item() == pytest.approx((1 + 9) / 2)
    assert sft_loss(logps, mask, "sequence", normalize_constant=4.0).item() == pytest.approx(10 / 2 / 4)
    assert sft_loss(logps, mask, "token_global").item() == pytest.approx(10 / 4)


@pytest.mark.parametrize(("mode", "items"), [("per_token", 5), ("sequence", 5), ("token_global", None)])
def test_parts_of_a_step_add_up_however_it_is_divided(mode: Any, items: int | None) -> None:
    generator = torch.Generator().manual_seed(1)
    logps = -torch.rand(5, 6, generator=generator, dtype=torch.float64)
    mask = torch.arange(6) < torch.tensor([[1], [6], [3], [2], [5]])
    whole = sft_loss(logps, mask, mode).item()
    total = mask.sum() if items is None else items
    for cuts in ([2, 2, 1], [4, 1], [1] * 5):
        parts = zip(logps.split(cuts), mask.split(cuts), strict=True)
        assert sum(sft_loss(*part, mode, items=total).item() for part in parts) == pytest.approx(whole, rel=1e-12)


def test_documents_of_a_packed_row_become_rows() -> None:
    packed = torch.tensor([[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]])
    assert split_documents(packed, torch.tensor([0, 1, 4, 6])).tolist() == [[1, 0, 0], [2, 3, 4], [5, 6, 0]]


def log_prob_of_text(model: Any, tokenizer: Any, text: str) -> float:
    """The sum over a whole text and its end, a token at a time."""
    ids = [*tokenizer.encode(text), tokenizer.eos_token_id]
    total = 0.0
    for position in range(1, len(ids)):
        with torch.no_grad():
            scores = model(torch.tensor([ids[:position]])).logits[0, -1].double()
        total += float(scores[ids[position]] - torch.log(torch.exp(scores).sum()))
    return total


def test_dpo_loss_of_one_pair(loaded: Any) -> None:
    policy, tokenizer = copy.deepcopy(loaded.model), loaded.tokenizer
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for weight in policy.parameters():
            weight.add_(torch.randn(weight.shape, generator=generator), alpha=0.05)
    texts = ("Review the paper", "strong results", "weak")
    h = 0.0
    for model, sign in ((policy, 1), (loaded.model, -1)):
        sides = [log_prob_of_text(model, tokenizer, ALPACA.format(instruction=texts[0], response=r)) for r in texts[1:]]
        h += sign * (sides[0] - sides[1])
    assert abs(h) > 0.1
    loss = compute_per_instance_dpo_loss(policy, loaded.model, tokenizer, 0.5, *texts)
    assert loss.shape == ()
    assert loss.item() == pytest.approx(math.log1p(math.exp(-0.5 * h)), abs=1e-4)
    loss.backward()
    assert any(weight.grad is not None for weight in policy.parameters())
    assert all(weight.grad is None for weight in loaded.model.parameters())
    same = compute_per_instance_dpo_loss(policy, policy, tokenizer, 0.5, *texts)
    assert same.item() == pytest.approx(math.log(2), abs=1e-6)


def test_dpo_text_is_alpacas_with_its_end() -> None:
    """What the model is asked: the template, the response, one end token."""
    seen: list[list[int]] = []

    class Uniform(torch.nn.Module):
        device = torch.device("cpu")

        def forward(self, ids: torch.Tensor) -> Any:
            seen.append(ids[0].tolist())
            return SimpleNamespace(logits=torch.zeros(*ids.shape, len(WORDS)))

    model, tokenizer = Uniform(), words()
    compute_per_instance_dpo_loss(model, model, tokenizer, 0.1, "a b", "c", "d")
    text = ALPACA.format(instruction="a b", response="c")
    assert text.startswith("Below is an instruction that describes a task.")
    assert text.endswith("\n\n### Instruction:\na b\n\n### Response:\nc")
    assert seen[0] == tokenizer(text)["input_ids"]  # all but the last token, which is the end


@pytest.mark.parametrize("beta", [0.0, -0.1, math.nan])
def test_beta_is_above_0(beta: float) -> None:
    with pytest.raises(ValueError, match="must be above 0"):
        compute_per_instance_dpo_loss(None, None, None, beta, "a", "b", "c")


def generation(prompt: str, response: str, tokens: int, stop: str = "stop") -> Generation:
    return {
        "prompt": prompt,
        "response": response,
        "ground_truth": "4",
        "mean_entropy": 0.5,
        "tokens": tokens,
        "stop_reason": stop,
    }


def grade(response: str, ground_truth: str) -> dict[str, float]:
    right = float(response == ground_truth)
    return {"format_reward": 1.0, "answer_reward": right, "reward": right}


def test_log_generations() -> None:
    made = [generation("p", "4", 10), generation("q", "5", 30, "length"), generation("r", "6", 20)]
    rows, summary = log_generations(made, grade)
    assert summary == {
        "n": 3,
        "stop_reasons": {"length": 1, "stop": 2},
        "mean_tokens": 20.0,
        "mean_entropy": 0.5,
        "mean_tokens_correct": 10.0,
        "mean_tokens_incorrect": 25.0,
        "mean_format_reward": 1.0,
        "mean_answer_reward": pytest.approx(1 / 3, abs=1e-6),
        "mean_reward": pytest.approx(1 / 3, abs=1e-6),
    }
    assert {row["prompt"]: row["reward"]["answer_reward"] for row in rows} == {"p": 1.0, "q": 0.0, "r": 0.0}
    assert rows[0].keys() == {*made[0], "reward"}


def test_logged_prompts_do_not_depend_on_order_and_keep_all_their_samples() -> None:
    made = [generation(f"prompt {index % 7}", str(index), index) for index in range(21)]
    rows, summary = log_generations(made, grade, prompts=3)
    again, _ = log_generations(made[::-1], grade, prompts=3)
    assert rows == again
    assert (summary["n"], len({row["prompt"] for row in rows})) == (9, 3)
    more, _ = log_generations(made, grade, prompts=4)
    assert [row["response"] for row in more][:9] == [row["response"] for row in rows]


def test_means_of_nothing_are_missing() -> None:
    rows, summary = log_generations([generation("p", "5", 3)], grade)
    assert (len(rows), summary["mean_tokens_correct"], summary["mean_tokens_incorrect"]) == (1, None, 3.0)
    assert log_generations([], grade)[1]["mean_tokens"] is None
