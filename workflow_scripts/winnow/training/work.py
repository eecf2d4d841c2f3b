"""How much a training computes: tokens and floating-point operations, by arithmetic on rows and sizes.

Counted are the operations of matrix products and of attention, two for each multiplication with its addition, in the
causal convention: a token attends to those before it and to itself, so attention costs half of the full square.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from winnow.training.architecture import Architecture, Tower


@dataclass(frozen=True)
class RowTokens:
    """Lengths of one row: of the prompt, of each response (SFT one, DPO two), and how many images it shows."""

    prompt: int
    responses: tuple[int, ...]
    images: int = 0

    @property
    def sequences(self) -> tuple[int, ...]:
        """Tokens of each sequence that a model reads: the prompt with each response."""
        return tuple(self.prompt + response for response in self.responses)


@dataclass(frozen=True)
class Forward:
    """Operations of one forward pass, by what a backward pass costs beside it.

    Attributes:
        dense: matrices that every token passes.
        attention: scores and weighted sums.
        head: the output head on the tokens that are scored.
        tower: the vision tower.
    """

    dense: float = 0.0
    attention: float = 0.0
    head: float = 0.0
    tower: float = 0.0

    def __add__(self, other: "Forward") -> "Forward":
        return Forward(
            self.dense + other.dense,
            self.attention + other.attention,
            self.head + other.head,
            self.tower + other.tower,
        )

    @property
    def total(self) -> float:
        """All of it."""
        return self.dense + self.attention + self.head + self.tower


def forward(sizes: Architecture, tokens: int, scored: int) -> Forward:
    """Return the operations of reading a sequence of `tokens` and scoring `scored` of them.

    2 x weights for each token; in each layer 4 x width of the queries for each pair of tokens, of which there are
    tokens² / 2.
    """
    return Forward(
        dense=2.0 * sizes.trunk * tokens,
        attention=2.0 * sizes.layers * sizes.queries * tokens**2,
        head=2.0 * sizes.head * scored,
    )


def tower_forward(tower: Tower, patches: int) -> float:
    """Return the operations of one image: blocks for each patch, the merger for each token, attention both ways."""
    windowed = (tower.layers - tower.full_layers) * min(patches, tower.window)
    pairs = patches * (windowed + tower.full_layers * patches)
    return 2.0 * tower.block * patches + 2.0 * tower.merger * patches / tower.merged + 4.0 * tower.hidden * pairs


def reading(sizes: Architecture, rows: Iterable[RowTokens], *, whole: bool, patches: int) -> Forward:
    """Return the operations of reading every row once.

    Args:
        sizes: of the model.
        rows: lengths.
        whole: whether prompts are scored too, or responses only.
        patches: of one image, at most.
    """
    found = Forward()
    for row in rows:
        for tokens, response in zip(row.sequences, row.responses, strict=True):
            found += forward(sizes, tokens, tokens if whole else response)
            if sizes.tower is not None and row.images:
                found += Forward(tower=row.images * tower_forward(sizes.tower, patches))
    return found


@dataclass(frozen=True)
class Plan:
    """What of a run decides how much it computes.

    Attributes:
        passes: over the training rows; not a whole number where max_steps says so.
        measurements: passes over the validation rows.
        adapter: whether only an adapter is trained: the gradients of frozen weights are not computed.
        tower_trained: whether the vision tower is.
        checkpointing: whether layers are computed twice to save memory.
        reference: whether a reference reads the rows too (DPO).
        precomputed: whether it reads them once, before the first step.
        whole: whether prompts are scored too.
        patches: of one image, at most.
    """

    passes: float
    measurements: int
    adapter: bool
    tower_trained: bool
    checkpointing: bool
    reference: bool
    precomputed: bool
    whole: bool
    patches: int


def operations(
    sizes: Architecture,
    train: Sequence[RowTokens],
    val: Sequence[RowTokens],
    plan: Plan,
    scored: Sequence[RowTokens] = (),
) -> dict[str, Any]:
    """Return the operations of a run.

    Args:
        sizes: of the model.
        train: rows to train on.
        val: rows to measure on.
        plan: what else decides.
        scored: labelled rows whose answers the policy is asked for at every measurement: prompts, for a word each.

    Returns:
        training: forward and backward of the policy. Backward is twice forward; where weights are frozen it is
            once forward, but for attention, which has no weights.
        reference: forward passes of the reference over training rows.
        measuring: forward passes over validation rows, of both, and of the policy over labelled ones. The few samples
            of the KL probe are left out.
        model: the three together: what a rate of model operations (MFU) is a share of.
        recomputed: forward passes that activation checkpointing repeats, beside all these.
    """
    once = reading(sizes, train, whole=plan.whole, patches=plan.patches)
    measured = reading(sizes, val, whole=plan.whole, patches=plan.patches).total
    words = [RowTokens(row.prompt, (1,)) for row in scored]
    answered = plan.measurements * reading(sizes, words, whole=False, patches=plan.patches).total
    frozen = 2.0 if plan.adapter else 3.0
    tower = 3.0 if plan.tower_trained else 1.0
    backward = frozen * (once.dense + once.head) + 3.0 * once.attention + tower * once.tower
    repeated = once.dense + once.attention + (once.tower if plan.tower_trained else 0.0)
    reads = 0.0 if not plan.reference else 1.0 if plan.precomputed else plan.passes
    watched = plan.measurements + (0 if not plan.reference else 1 if plan.precomputed else plan.measurements)
    work = {
        "training": plan.passes * backward,
        "reference": reads * once.total,
        "measuring": watched * measured + answered,
    }
    return work | {
        "model": sum(work.values()),
        "recomputed": plan.passes * repeated if plan.checkpointing else 0.0,
    }
