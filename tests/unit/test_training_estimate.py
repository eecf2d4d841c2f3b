"""Estimates against the models themselves, a counter of operations, autograd, and tables reckoned by hand."""

import math
from typing import Any

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode
from transformers import (
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen2Model,
    Qwen3Config,
    Qwen3ForCausalLM,
)
from transformers.models.qwen2_5_vl import Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration

from training import fixtures
from winnow.core.config.studies import Gpus
from winnow.training.architecture import Architecture, read_architecture
from winnow.training.estimate import Subject, divided_states, estimate, memory_problems, work
from winnow.training.estimate_table import estimate_lines, estimate_table
from winnow.training.memory import Layout, activations, device_memory, layer_bytes
from winnow.training.schedule import Schedule
from winnow.training.work import RowTokens, forward, tower_forward


def shape(hidden: int, wide: int, layers: int, heads: int, keys: int, *, tied: bool = True, words: int = 151936) -> Any:
    return {
        "vocab_size": words,
        "hidden_size": hidden,
        "intermediate_size": wide,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "num_key_value_heads": keys,
        "tie_word_embeddings": tied,
    }


SMALL = shape(896, 4864, 24, 14, 2)  # Qwen2.5-0.5B
THREE = shape(2048, 11008, 36, 16, 2)  # Qwen2.5-3B
SEVEN = shape(3584, 18944, 28, 28, 4, tied=False, words=152064)  # Qwen2.5-7B
TINY = shape(64, 256, 2, 4, 2, words=512)
TOWER = {
    "depth": 32,
    "hidden_size": 1280,
    "intermediate_size": 3420,
    "num_heads": 16,
    "in_chans": 3,
    "out_hidden_size": 2048,
    "patch_size": 14,
    "spatial_merge_size": 2,
    "window_size": 112,
    "fullatt_block_indexes": [7, 15, 23, 31],
}
TINY_TOWER = TOWER | {"depth": 3, "hidden_size": 32, "intermediate_size": 48, "num_heads": 2, "out_hidden_size": 64}
TINY_TOWER |= {"fullatt_block_indexes": [1]}


def sizes_of(text: dict[str, Any]) -> Architecture:
    found = read_architecture({"model_type": "qwen2"} | text)
    assert found is not None
    return found


def vision_config(text: dict[str, Any], tower: dict[str, Any], **more: Any) -> Any:
    sections = [len_ // 2 for len_ in (4, 6, 6)] if text is TINY else [16, 24, 24]
    rope = {"rope_type": "default", "mrope_section": sections, "rope_theta": 1e6}
    return Qwen2_5_VLConfig(
        text_config=text | {"rope_parameters": rope} | more, vision_config=tower, tie_word_embeddings=True
    )


@pytest.mark.parametrize(
    ("model", "config", "known"),
    [
        (Qwen2ForCausalLM, Qwen2Config(**SMALL), 494_032_768),
        (Qwen2ForCausalLM, Qwen2Config(**THREE), 3_085_938_688),
        (Qwen2ForCausalLM, Qwen2Config(**SEVEN), 7_615_616_512),
        (Qwen2ForCausalLM, Qwen2Config(**TINY), None),
        (Qwen2_5_VLForConditionalGeneration, vision_config(THREE, TOWER), 3_754_622_976),
        (Qwen2_5_VLForConditionalGeneration, vision_config(TINY, TINY_TOWER), None),
        (Qwen3ForCausalLM, Qwen3Config(**TINY, head_dim=32), None),
        (LlamaForCausalLM, LlamaConfig(**TINY, attention_bias=True, mlp_bias=True), None),
        (MistralForCausalLM, MistralConfig(**TINY), None),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_parameters_are_those_of_the_model(model: Any, config: Any, known: int | None) -> None:
    with torch.device("meta"):
        built = model(config)
    sizes = read_architecture(config.to_dict())
    assert sizes is not None
    assert sizes.parameters == built.num_parameters() == (known or built.num_parameters())


def test_a_vision_model_is_read_as_the_hub_writes_it() -> None:
    """There the language part's keys stand beside vision_config, not in text_config."""
    flat = read_architecture({"model_type": "qwen2_5_vl", **THREE, "vision_config": TOWER})
    assert flat == read_architecture(vision_config(THREE, TOWER).to_dict())


def test_a_kind_that_is_not_known_is_not_guessed() -> None:
    assert read_architecture({"model_type": "mixtral", **TINY}) is None
    assert read_architecture({}) is None


def counted(model: Any, **inputs: Any) -> float:
    with FlopCounterMode(display=False) as counter:
        model(**inputs)
    return counter.get_total_flops()


def test_operations_are_those_that_a_counter_counts() -> None:
    """The counter takes attention as a full square, in which the causal half stands twice."""
    tokens, sizes = 96, sizes_of(TINY)
    model = Qwen2ForCausalLM(Qwen2Config(**TINY, attn_implementation="eager"))
    found = forward(sizes, tokens, tokens)
    full = found.dense + 2 * found.attention + found.head
    inputs = {"input_ids": torch.arange(tokens)[None], "use_cache": False}
    assert counted(model, **inputs) == pytest.approx(full, rel=1e-3)
    with FlopCounterMode(display=False) as counter:
        model(**inputs).logits.sum().backward()
    assert counter.get_total_flops() == pytest.approx(3 * full, rel=1e-3)
    model.requires_grad_(requires_grad=False)
    model.get_input_embeddings().requires_grad_()  # as under an adapter: gradients pass through, weights get none
    model.lm_head.weight = torch.nn.Parameter(model.lm_head.weight.detach().clone(), requires_grad=False)
    with FlopCounterMode(display=False) as counter:
        model(**inputs).logits.sum().backward()
    frozen = 2 * (found.dense + found.head) + 3 * 2 * found.attention
    assert counter.get_total_flops() == pytest.approx(frozen, rel=1e-3)


def test_operations_of_a_vision_tower() -> None:
    model = Qwen2_5_VLForConditionalGeneration._from_config(
        vision_config(TINY, TINY_TOWER), attn_implementation="eager"
    )
    sizes = read_architecture(vision_config(TINY, TINY_TOWER).to_dict())
    assert sizes is not None
    assert sizes.tower is not None
    grid = torch.tensor([[1, 16, 24]])  # 384 patches: 6 whole windows of 8 x 8
    pixels = torch.zeros(384, 3 * 2 * 14 * 14)
    found = counted(model.model.visual, hidden_states=pixels, grid_thw=grid)
    # The patch embedding is a convolution, which the counter sees as such.
    assert found == pytest.approx(tower_forward(sizes.tower, 384), rel=1e-3)


def test_the_real_tower_takes_what_was_reckoned_by_hand() -> None:
    sizes = read_architecture(vision_config(THREE, TOWER).to_dict())
    assert sizes is not None
    assert sizes.tower is not None
    assert tower_forward(sizes.tower, 1280) == pytest.approx(1.7e12, rel=0.03)  # 250,880 pixels


def subject(
    stage: str, rows: int, prompt: int, response: int, epochs: float, processes: int = 8, **recipe: Any
) -> Subject:
    one = RowTokens(prompt, (response,) * (1 if stage == "sft" else 2))
    per_epoch = math.ceil(rows / 16)
    full = {
        "effective_batch_size": 16,
        "per_device_train_batch_size": 1,
        "dtype": "float32",
        "bf16": True,
        "gradient_checkpointing": True,
        "lora_r": 16,
        "save_total_limit": 2,
        **recipe,
    }
    run = fixtures.make_run(stage).model_copy(update={"gpu": processes, "recipe": full})
    total = math.ceil(per_epoch * epochs)
    steps = Schedule(2, per_epoch, total, max(1, total // 10), max(1, total // 10))
    return Subject(run, full, sizes_of(THREE), [one] * rows, [], steps, processes)


@pytest.mark.parametrize(
    ("tokens", "flops", "a100", "h100", "h200"),
    [
        (10_800, 5.9e17, 7.9, 2.5, 19.8),
        (16_000, 9.6e17, 12.9, 4.1, 32.4),
        (20_800, 1.36e18, 18.2, 5.7, 45.9),
        (28_000, 2.06e18, 27.5, 8.7, 69.3),
    ],
)
def test_sft_of_842_reviews_takes_what_was_reckoned_by_hand(
    tokens: int, flops: float, a100: float, h100: float, h200: float
) -> None:
    """Qwen2.5-3B, 3 epochs, responses of 800 tokens, at half of the peak: model operations, then minutes."""
    one = subject("sft", 842, tokens - 800, 800, 3)
    assert work(one)["model"] == pytest.approx(flops, rel=0.02)
    for gpus, peak, minutes in ((8, 312, a100), (8, 989, h100), (1, 989, h200)):
        told = estimate(subject("sft", 842, tokens - 800, 800, 3, gpus), Gpus(tflops=peak, mfu=0.5))
        assert told["seconds"] / 60 == pytest.approx(minutes, rel=0.02)
        assert told["gpu_hours"] == pytest.approx(gpus * minutes / 60, rel=0.03)
        assert told["tokens"] == {"epoch": 842 * tokens, "longest": tokens}


@pytest.mark.parametrize(("pairs", "flops"), [(360, 0.73e18), (720, 1.46e18)])
def test_dpo_takes_what_was_reckoned_by_hand(pairs: int, flops: float) -> None:
    plain = work(subject("dpo", pairs, 15_200, 800, 2))
    assert plain["model"] == pytest.approx(flops, rel=0.02)
    assert plain["reference"] / plain["training"] == pytest.approx(2 / 6)
    assert plain["recomputed"] == pytest.approx(plain["training"] / 3, rel=0.01)  # of the head nothing is repeated
    cached = work(subject("dpo", pairs, 15_200, 800, 2, precompute_ref_log_probs=True))
    assert cached["model"] / plain["model"] == pytest.approx(14 / 16)


def test_images_cost_what_the_tower_costs() -> None:
    """Frozen, as it is unless a recipe says otherwise, it reads each image once; trained, it costs three times that."""
    sizes = read_architecture(vision_config(THREE, TOWER).to_dict())
    assert sizes is not None
    assert sizes.tower is not None
    plain = subject("sft", 842, 15_200, 800, 3)
    run = plain.run.model_copy(update={"modality": "vision", "max_pixels": 250_880})
    rows = [RowTokens(15_200, (800,), images=24)] * 842
    frozen = Subject(**{**vars(plain), "run": run, "sizes": sizes, "train": rows})
    recipe = {**frozen.recipe, "freeze_vision_tower": False}
    trained = Subject(**{**vars(frozen), "recipe": recipe})
    images = 3 * 842 * 24 * tower_forward(sizes.tower, 1280)
    assert work(frozen)["training"] - work(plain)["training"] == pytest.approx(images)
    assert work(trained)["training"] - work(plain)["training"] == pytest.approx(3 * images)
    assert work(trained)["training"] == pytest.approx(1.3e18, rel=0.05)
    assert (frozen.trained, trained.trained) == (3_085_938_688, 3_754_622_976)
    told = [estimate(one, Gpus())["memory_gb"] for one in (frozen, trained)]
    assert told[1]["optimiser"] - told[0]["optimiser"] == pytest.approx(8 * 668_684_288 / 1e9, abs=0.01)
    assert told[1]["weights"] == told[0]["weights"]


def test_what_counts_besides_the_training_rows() -> None:
    """A run that is measured eleven times reads its validation rows eleven times, policy and reference both."""
    one = subject("dpo", 160, 1000, 100, 1)
    rows = [RowTokens(1000, (100, 100))] * 16
    more = Subject(**{**vars(one), "val": rows})
    once = 2 * forward(sizes_of(THREE), 1100, 100).total
    assert work(more)["measuring"] == pytest.approx(2 * 11 * 16 * once)
    halved = Subject(**{**vars(one), "steps": Schedule(2, 10, 5, 1, 1)})
    assert work(halved)["training"] == pytest.approx(work(one)["training"] / 2)


def saved(dtype: torch.dtype, *, autocast: bool, layers: int, checkpointing: bool = False, tokens: int = 128) -> float:
    """Return the bytes that autograd keeps of a tiny Qwen2 for one token, weights and their copies left out."""
    torch.manual_seed(0)
    model = Qwen2Model(Qwen2Config(**(TINY | {"num_hidden_layers": layers}), attn_implementation="sdpa")).to(dtype)
    if checkpointing:
        model.gradient_checkpointing_enable({"use_reentrant": False})
        model.train()
    weights = {parameter.untyped_storage().data_ptr() for parameter in model.parameters()}
    shapes = {tuple(parameter.shape)[::-1] for parameter in model.parameters() if parameter.dim() == 2}
    kept: dict[int, torch.Tensor] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        place = tensor.untyped_storage().data_ptr()
        if place not in weights and tuple(tensor.shape) not in shapes | {one[::-1] for one in shapes}:
            kept[place] = tensor
        return tensor

    hooks = torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor)
    with hooks, torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        model(input_ids=torch.arange(tokens)[None], use_cache=False)
    return sum(tensor.untyped_storage().nbytes() for tensor in kept.values()) / tokens


def layout(**changes: Any) -> Layout:
    usual = {
        "devices": 1,
        "shared": None,
        "deepspeed": False,
        "half_weights": False,
        "bf16": True,
        "trained": 0,
        "adapter": False,
        "checkpointing": False,
        "reference": False,
        "tower_trained": False,
    }
    return Layout(**(usual | changes))


@pytest.mark.parametrize(
    ("dtype", "autocast", "of"),
    [
        (torch.float32, True, layout()),
        (torch.float32, False, layout(bf16=False)),
        (torch.bfloat16, False, layout(deepspeed=True)),
    ],
    ids=["autocast", "float32", "bfloat16"],
)
def test_kept_for_the_backward_pass_is_what_autograd_keeps(dtype: torch.dtype, autocast: bool, of: Layout) -> None:
    a_layer = saved(dtype, autocast=autocast, layers=3) - saved(dtype, autocast=autocast, layers=2)
    assert layer_bytes(sizes_of(TINY), of) == a_layer


def test_checkpointing_keeps_the_inputs_of_layers() -> None:
    a_layer = saved(torch.float32, autocast=False, layers=3, checkpointing=True)
    a_layer -= saved(torch.float32, autocast=False, layers=2, checkpointing=True)
    sizes = sizes_of(TINY)
    assert a_layer == 4 * sizes.hidden
    kept, whole = (activations(sizes, layout(bf16=False, checkpointing=on), 10, 0) for on in (True, False))
    assert kept == 10 * (2 * a_layer + layer_bytes(sizes, layout(bf16=False)))
    assert whole == 10 * 2 * layer_bytes(sizes, layout(bf16=False))


def test_states_are_those_of_adamw() -> None:
    model = Qwen2ForCausalLM(Qwen2Config(**TINY))
    optimiser = torch.optim.AdamW(model.parameters())
    model(input_ids=torch.arange(8)[None]).logits.sum().backward()
    optimiser.step()
    held = [*model.parameters(), *(parameter.grad for parameter in model.parameters())]
    held += [moment for state in optimiser.state.values() for name, moment in state.items() if name != "step"]
    sizes = sizes_of(TINY)
    found = device_memory(sizes, layout(trained=sizes.parameters, bf16=False), 8, 0)
    assert sum(found[name] for name in ("weights", "gradients", "optimiser")) == sum(
        t.nbytes for t in held if t is not None
    )


def states(**changes: Any) -> float:
    found = device_memory(sizes_of(THREE), layout(trained=sizes_of(THREE).parameters, **changes), 0, 0)
    return sum(found[name] for name in ("weights", "gradients", "optimiser")) / 1e9


def test_states_of_three_billion_parameters() -> None:
    """16 bytes each, and what DeepSpeed divides among eight."""
    assert states() == pytest.approx(49.4, abs=0.05)
    assert states(deepspeed=True) == pytest.approx(49.4, abs=0.05)
    assert states(deepspeed=True, devices=8, shared="gradients") == pytest.approx(11.6, abs=0.05)
    assert states(deepspeed=True, devices=8, shared="weights") == pytest.approx(49.4 / 8, abs=0.05)
    assert states(devices=8, shared="weights") == pytest.approx(49.4 / 8, abs=0.05)
    assert states(devices=8) == pytest.approx(49.4 + 12.3, abs=0.05)  # and DDP's buckets


def test_a_run_that_cannot_fit_is_refused_with_what_would_fit() -> None:
    site = Gpus(memory_gb=80)
    alone = subject("dpo", 360, 15_200, 800, 2, 1)
    (problem,) = memory_problems(alone, site)
    assert "GB on each GPU (weights 12.3, gradients 12.3, optimiser 24.7, reference 12.3" in problem
    assert "config.yaml, key gpus.memory_gb" in problem
    assert "ZeRO-3 (deepspeed) or FSDP over 2 GPUs" in problem
    assert "LoRA" in problem
    assert memory_problems(alone, Gpus(memory_gb=141)) == []
    assert memory_problems(alone, Gpus()) == []
    zero = {"deepspeed": {"zero_optimization": {"stage": 3}, "bf16": {"enabled": True}}}
    assert memory_problems(subject("dpo", 360, 15_200, 800, 2, 8, **zero), site) == []
    (problem,) = memory_problems(subject("sft", 842, 27_200, 800, 3, 8, **zero, gradient_checkpointing=False), site)
    assert "gradient_checkpointing: true" in problem


def test_nothing_that_is_tried_fits() -> None:
    (problem,) = memory_problems(subject("sft", 842, 27_200, 800, 3, 1), Gpus(memory_gb=4))
    assert problem.endswith("use a smaller model, or lower the modality's context")


def test_what_is_divided_is_read_from_the_recipe() -> None:
    assert divided_states({}) is None
    assert divided_states({"fsdp": "full_shard"}) == "weights"
    assert [divided_states({"deepspeed": {"zero_optimization": {"stage": stage}}}) for stage in range(4)] == [
        None,
        "optimiser",
        "gradients",
        "weights",
    ]


def test_the_speed_of_a_cpu_is_not_made_up() -> None:
    told = estimate(subject("sft", 100, 500, 100, 1, 0), Gpus(tflops=989))
    assert told["seconds"] is told["gpu_hours"] is None
    assert "CPU" in told["unknown"]["time"]
    assert told["flops"]["model"] > 0
    assert "gpus.tflops" in estimate(subject("sft", 100, 500, 100, 1), Gpus())["unknown"]["time"]


def test_what_is_unknown_is_said() -> None:
    one = subject("sft", 100, 500, 100, 1)
    for blank, reason in (({"sizes": None}, "model type"), ({"val": None}, "how many tokens")):
        told = estimate(Subject(**{**vars(one), **blank}), Gpus(tflops=989))
        assert reason in told["unknown"]["everything else"]
        assert told["flops"] is told["memory_gb"] is told["seconds"] is None


def test_the_table_has_a_line_for_every_run() -> None:
    runs = {"sft": subject("sft", 842, 15_200, 800, 3), "cpu": subject("sft", 10, 500, 100, 1, 0)}
    reports = [
        {
            "run": name,
            "stage": "sft",
            "rows": {"train": len(one.train or ())},
            "steps": vars(one.steps),
            "estimate": estimate(one, Gpus(tflops=989, mfu=0.5)),
        }
        for name, one in runs.items()
    ]
    lines = estimate_table(reports).splitlines()
    assert "| sft | sft | 3,085,938,688 (3,085,938,688) | 842 | 13,472,000 | 16,000 | 159 | 9.63e+17 |" in lines[2]
    assert lines[2].endswith("| 8 | 0.07 | 0.54 |")
    assert lines[3].endswith("| 0 | unknown | unknown |")
    assert "GPU hours: 0.54" in estimate_lines(reports[0])
    assert lines[-1].startswith("- cpu: time is unknown, since it is a CPU's")
