"""Counting a model's parameters from its config.json alone: nothing is loaded, nothing is allocated.

Written from the modules of transformers 5.23 (`modeling_qwen2`, `modeling_qwen2_5_vl`, `modeling_qwen3`,
`modeling_llama`, `modeling_mistral`) and tested against `num_parameters()` of those classes.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

# model_type → whether query, key and value have a bias, the output projection has one, and heads are normalised.
# None: the key attention_bias of config.json says.
_ATTENTION: dict[str, tuple[bool | None, bool | None, bool]] = {
    "qwen2": (True, False, False),
    "qwen2_5_vl": (True, False, False),
    "qwen3": (None, None, True),
    "llama": (None, None, False),
    "mistral": (False, False, False),
}


@dataclass(frozen=True)
class Tower:
    """The vision tower of Qwen2.5-VL: patches in, one vector for each square of merged patches out.

    Attributes:
        layers: transformer blocks, of which `full_layers` attend to every patch of an image, the others to a window.
        window: patches of a window.
        merged: patches that become one token.
        block: weights of the blocks' and the patch embedding's matrices, used once per patch.
        merger: weights of the merger's matrices, used once per token.
        parameters: all of them.
    """

    layers: int
    full_layers: int
    hidden: int
    feed_forward: int
    heads: int
    window: int
    merged: int
    block: int
    merger: int
    parameters: int


@dataclass(frozen=True)
class Architecture:
    """Sizes of a causal language model with rotary positions, RMSNorm and a gated feed-forward.

    Attributes:
        queries: width of all query heads together (heads x head size); `keys` that of the key heads.
        trunk: weights of the matrices that every token passes.
        head: weights of the output head, which only scored tokens pass.
        parameters: all of the language model and the tower; a tied head is counted once.
        linears: name → (layers that have it, inputs, outputs), which an adapter can go on.
    """

    layers: int
    hidden: int
    feed_forward: int
    heads: int
    queries: int
    keys: int
    vocabulary: int
    trunk: int
    head: int
    parameters: int
    linears: Mapping[str, tuple[int, int, int]]
    tower: Tower | None

    def adapter_parameters(self, rank: int, targets: list[str]) -> int:
        """Return the parameters of a LoRA adapter: rank x (inputs + outputs) for each matrix that it goes on."""
        wanted = list(self.linears) if targets == ["all-linear"] else targets
        return sum(n * rank * (i + o) for name, (n, i, o) in self.linears.items() if name in wanted)


def read_architecture(config: Mapping[str, Any]) -> Architecture | None:
    """Return the sizes that a config.json gives, or None for a model of a kind that is not known here.

    Args:
        config: the content of config.json. A vision model's language part may stand in `text_config` or,
            as on the hub, beside `vision_config`.
    """
    kind = config.get("model_type")
    text = config.get("text_config") or config
    if kind not in _ATTENTION or text.get("num_experts"):
        return None
    said = bool(text.get("attention_bias", False))
    bias, output_bias, normalised = _ATTENTION[kind]
    bias, output_bias = said if bias is None else bias, said if output_bias is None else output_bias
    hidden, wide, layers = text["hidden_size"], text["intermediate_size"], text["num_hidden_layers"]
    heads = text["num_attention_heads"]
    size = text.get("head_dim") or hidden // heads
    queries, keys = heads * size, (text.get("num_key_value_heads") or heads) * size
    linears = {
        "q_proj": (layers, hidden, queries),
        "k_proj": (layers, hidden, keys),
        "v_proj": (layers, hidden, keys),
        "o_proj": (layers, queries, hidden),
        "gate_proj": (layers, hidden, wide),
        "up_proj": (layers, hidden, wide),
        "down_proj": (layers, wide, hidden),
    }
    trunk = sum(n * i * o for n, i, o in linears.values())
    vectors = 2 * hidden + bias * (queries + 2 * keys) + output_bias * hidden + normalised * 2 * size
    if text.get("mlp_bias"):
        vectors += 2 * wide + hidden
    head = text["vocab_size"] * hidden
    tied = bool(config.get("tie_word_embeddings", text.get("tie_word_embeddings", False)))
    tower = _tower(config["vision_config"], hidden) if config.get("vision_config") else None
    return Architecture(
        layers=layers,
        hidden=hidden,
        feed_forward=wide,
        heads=heads,
        queries=queries,
        keys=keys,
        vocabulary=text["vocab_size"],
        trunk=trunk,
        head=head,
        parameters=trunk + layers * vectors + hidden + head * (1 if tied else 2) + (tower.parameters if tower else 0),
        linears=linears,
        tower=tower,
    )


def _tower(vision: Mapping[str, Any], out: int) -> Tower:
    """Return the sizes of a vision tower; keys that config.json leaves out have transformers' defaults."""
    hidden, wide, layers = vision["hidden_size"], vision["intermediate_size"], vision["depth"]
    patch, merge = vision.get("patch_size", 14), vision.get("spatial_merge_size", 2)
    channels = vision.get("in_channels", vision.get("in_chans", 3))
    embedding = channels * vision.get("temporal_patch_size", 2) * patch * patch * hidden
    block = 4 * hidden * hidden + 3 * hidden * wide
    merged = merge * merge
    merger = (hidden * merged) * (hidden * merged + out)
    vectors = layers * (2 * hidden + 4 * hidden + 2 * wide + hidden) + hidden + hidden * merged + out
    return Tower(
        layers=layers,
        full_layers=len(vision.get("fullatt_block_indexes", (7, 15, 23, 31))),
        hidden=hidden,
        feed_forward=wide,
        heads=vision["num_heads"],
        window=(vision.get("window_size", 112) // patch) ** 2,
        merged=merged,
        block=layers * block + embedding,
        merger=merger,
        parameters=layers * block + embedding + merger + vectors,
    )
