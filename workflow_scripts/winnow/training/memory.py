"""How much memory a training takes on each GPU, part by part, in bytes: what must fit, not what may be left over.

Counted as PyTorch 2.13 and transformers 5.23 allocate on CUDA with SDPA or FlashAttention. What is kept for the
backward pass is written down from the tensors that autograd saves, and tested against them.
"""

from dataclasses import dataclass

from winnow.training.architecture import Architecture

GIGABYTE = 10**9
OVERHEAD = GIGABYTE  # the CUDA context, cuBLAS and NCCL workspaces
# TRL's head works in tiles of 4,096 tokens x 32,768 words (trl 1.16.0: kernels/chunked_logprob.py, trainer/utils.py).
TILE = 4096 * 32768
LIVE = 10**9  # DeepSpeed ZeRO-3 gathers at most so many weights at a time (stage3_max_live_parameters)


@dataclass(frozen=True)
class Layout:
    """How a run lies in memory.

    Attributes:
        devices: processes that share the work.
        shared: which states are divided among them: None, "optimiser" (ZeRO-1), "gradients" (ZeRO-2: those of the
            optimiser too), "weights" (ZeRO-3 and FSDP: all of them).
        deepspeed: whether DeepSpeed keeps bfloat16 weights beside float32 copies (bf16 under DeepSpeed).
        half_weights: whether weights are kept in 16 bits without DeepSpeed (frozen ones under an adapter).
        bf16: whether matrices are multiplied in bfloat16.
        trained: parameters with gradients.
        adapter: whether these are a LoRA adapter's, beside frozen weights.
        checkpointing: whether only the inputs of layers are kept for the backward pass.
        reference: whether a second model is in memory.
        tower_trained: whether the vision tower has gradients.
    """

    devices: int
    shared: str | None
    deepspeed: bool
    half_weights: bool
    bf16: bool
    trained: int
    adapter: bool
    checkpointing: bool
    reference: bool
    tower_trained: bool

    @property
    def weight_bytes(self) -> int:
        """Bytes of one weight as the model holds it."""
        return 2 if self.half_weights or self.deepspeed else 4

    @property
    def casts(self) -> bool:
        """Whether autocast turns float32 weights and inputs into bfloat16 as they are used."""
        return self.bf16 and self.weight_bytes == 4

    def divided(self, size: float, by: tuple[str, ...]) -> float:
        """Return what of `size` lies on one device, where the states named in `by` are divided."""
        return size / self.devices if self.shared in by else size


def layer_bytes(sizes: Architecture, layout: Layout) -> int:
    """Return the bytes that autograd keeps of one decoder layer for one token, its input included.

    Two norms keep their input in float32 and what they normalised; five matrices keep their input (under autocast
    each a copy of its own, else one for all that share it); the feed-forward keeps gate, activation, other half and
    product; attention keeps queries, keys, values, output and the logarithm of its sums.
    """
    return _kept(
        layout,
        hidden=sizes.hidden,
        wide=sizes.feed_forward,
        attended=sizes.queries + sizes.keys,
        heads=sizes.heads,
    )


def _kept(layout: Layout, *, hidden: int, wide: int, attended: int, heads: int) -> int:
    stream = layout.weight_bytes
    width = 2 if layout.bf16 or stream == 2 else 4
    copies = 5 if layout.casts else 2
    return hidden * (2 * (4 + stream) + copies * width) + width * (4 * wide + 2 * attended) + 4 * heads + 8


def activations(sizes: Architecture, layout: Layout, tokens: int, patches: int) -> float:
    """Return the bytes that are kept for the backward pass of one batch on one device.

    With checkpointing: the input of every layer, and all of the one layer that is computed again.

    Args:
        sizes: of the model.
        layout: of the run.
        tokens: of the batch, padding included.
        patches: of the batch's images together.
    """
    found = float(_of_layers(layout, layer_bytes(sizes, layout), sizes.layers, sizes.hidden) * tokens)
    if sizes.tower is not None and layout.tower_trained and patches:
        tower = sizes.tower
        kept = _kept(layout, hidden=tower.hidden, wide=tower.feed_forward, attended=2 * tower.hidden, heads=tower.heads)
        found += _of_layers(layout, kept, tower.layers, tower.hidden) * patches
    return found


def _of_layers(layout: Layout, kept: int, layers: int, hidden: int) -> int:
    return layers * hidden * layout.weight_bytes + kept if layout.checkpointing else layers * kept


def device_memory(sizes: Architecture, layout: Layout, tokens: int, patches: int) -> dict[str, float]:
    """Return the bytes on one device, by part, and their `total`: the larger of backward pass and optimiser step.

    AdamW in float32 is 16 bytes for each trained parameter: weight 4, gradient 4, two moments 8. DeepSpeed with bf16
    has the same sum: 2, 2, and 12 for the moments and a float32 copy of the weight.
    """
    every = ("weights",)
    frozen = sizes.parameters if layout.adapter else sizes.parameters - layout.trained
    state = 2 if layout.deepspeed else 4
    gradients = layout.trained * state
    if layout.shared is None and layout.devices > 1:
        gradients *= 2  # DistributedDataParallel keeps buckets beside them
    matrices = sizes.trunk + sizes.head + (sizes.tower.block + sizes.tower.merger if sizes.tower else 0)
    parts = {
        "weights": layout.divided(frozen * layout.weight_bytes + layout.trained * state, every),
        "gradients": layout.divided(gradients, ("gradients", *every)),
        "optimiser": layout.divided(
            layout.trained * (12 if layout.deepspeed else 8), ("optimiser", "gradients", *every)
        ),
        "reference": layout.divided(sizes.parameters * layout.weight_bytes, every) if layout.reference else 0.0,
        "gathered": min(LIVE, sizes.parameters) * 2.0 if layout.shared == "weights" else 0.0,
        "activations": activations(sizes, layout, tokens, patches),
        # Autocast keeps its copies until the forward pass ends.
        "casts": 2.0 * matrices if layout.casts and not layout.adapter else 0.0,
        # The tile, and the gradient of the head in float32 where it is trained.
        "logits": 2.0 * TILE + (4.0 * sizes.head if not layout.adapter else 0.0),
        "overhead": float(OVERHEAD),
    }
    backward = parts["activations"] + parts["casts"] + parts["logits"]
    # Without DeepSpeed AdamW goes through all weights at once and needs room for one more of each.
    step = 0.0 if layout.deepspeed else layout.divided(4.0 * layout.trained, every)
    fixed = sum(size for name, size in parts.items() if name not in ("activations", "casts", "logits"))
    return parts | {"total": fixed + max(backward, step)}
