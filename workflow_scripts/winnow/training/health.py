"""Judging a training by its numbers: what stops it at once, and what its manifest must warn of."""

import math
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from winnow.core.errors import WinnowError

Row = Mapping[str, Any]

# docs/methods.md, Training.
LEAST_DELTA_CHOSEN = -0.1  # nats per token
MOST_DISPLACED = 0.8  # share of pairs
FAR_OFF_POLICY = -2.5  # nats per token
ONE_LABEL = (0.05, 0.95)  # outside it almost every prompt gets the same answer, whatever it says
FIRST_LOSS_TOLERANCE = 1e-3
POSITIVE_RATE = "predicted_positive_rate/"
ZERO = 1e-12  # KL below it is rounding

# An exploded training: so many steps one after another in which loss or gradient is so many times what it was before,
# the median of steps before those. One wild batch is no explosion, and neither is a loss that rises from almost 0.
EXPLODED_STEPS = 3
EXPLODED_AFTER = 10  # steps that a median needs
EXPLODED_MEMORY = 100  # steps that it looks back
EXPLODED_LOSS = 4.0  # times the median, which counts as 1 at least
EXPLODED_GRADIENT = 100.0  # times the median, which counts as the norm that gradients are clipped to at least


def expected_first_loss(recipe: Mapping[str, Any]) -> float | None:
    """Return the DPO loss where policy and reference agree, or None where it depends on the data.

    Every margin is 0 there, so each loss of TRL becomes a constant (trl/trainer/dpo_trainer.py 1.16.0, _compute_loss).
    """
    beta, smoothing = float(recipe.get("beta", 0.1)), float(recipe.get("label_smoothing", 0.0))
    ln2 = math.log(2)
    constants = {
        "sigmoid": ln2,
        "hinge": 1.0,
        "ipo": (1 / (2 * beta)) ** 2,
        "nca_pair": 2 * ln2,
        "robust": ln2,
        "bco_pair": 2 * ln2,
        "sppo_hard": 2 * (0.5 / beta) ** 2,
        "aot": ln2,
        "aot_unpaired": ln2,
        "apo_zero": 1.0,
        "apo_down": 1.0,
        "discopop": 0.5 * (ln2 + 1),
        "sigmoid_norm": ln2,
    }
    if 0 < smoothing < 1:
        # KL between even odds and the smoothed label.
        constants["exo_pair"] = -ln2 - 0.5 * (math.log1p(-smoothing) + math.log(smoothing))
    kinds: Sequence[str] = recipe.get("loss_type", ["sigmoid"])
    weights = recipe.get("loss_weights") or [1.0] * len(kinds)
    if recipe.get("use_weighting") or any(kind not in constants for kind in kinds):
        return None
    return float(sum(weight * constants[kind] for kind, weight in zip(kinds, weights, strict=True)))


def check_numbers(row: Row, history: Sequence[Row]) -> None:
    """Check that a training step has a loss and a gradient.

    Raises:
        WinnowError: with the last steps, if either is not a number.
    """
    for name in ("loss", "grad_norm"):
        value = row.get(name)
        if value is not None and not math.isfinite(value):
            before = "; ".join(
                f"step {past['step']}: loss {past['loss']:.4g}, gradient {past.get('grad_norm', math.nan):.4g}"
                for past in history[-3:]
            )
            raise WinnowError(
                f"step {row['step']}",
                f"{name} is {value} at learning rate {row.get('learning_rate', math.nan):.3g}"
                f" (before: {before or 'nothing, it was the first step'})",
                "lower learning_rate or max_grad_norm, or train in float32 (dtype); the last checkpoint is from before",
            )


def check_explosion(row: Row, history: Sequence[Row], clipped_to: float) -> None:
    """Check that loss and gradient norm have not left all that they were before.

    Args:
        row: the step that was just trained.
        history: the steps before it.
        clipped_to: the recipe's max_grad_norm.

    Raises:
        WinnowError: with the last steps, if the latest ones all are far above the median of those before them.
    """
    latest = [*history[-(EXPLODED_STEPS - 1) :], row]
    before = history[: -(EXPLODED_STEPS - 1)][-EXPLODED_MEMORY:]
    if len(before) < EXPLODED_AFTER:
        return
    for name, times, least in (("loss", EXPLODED_LOSS, 1.0), ("grad_norm", EXPLODED_GRADIENT, max(clipped_to, 1.0))):
        known = [past[name] for past in before if past.get(name) is not None]
        usual = statistics.median(known) if known else math.inf
        if all(step.get(name, 0.0) > times * max(usual, least) for step in latest):
            steps = "; ".join(f"step {step['step']}: {step[name]:.4g}" for step in latest)
            raise WinnowError(
                f"step {row['step']}",
                f"the training has exploded: {name} is {steps}, and was {usual:.4g} before (median of {len(known)}"
                f" steps), at learning rate {row.get('learning_rate', math.nan):.3g}",
                "lower learning_rate or raise warmup_steps; the last checkpoint may be from after it began, so delete"
                " the run's checkpoints to start over",
            )


def check_first_step(row: Row, recipe: Mapping[str, Any]) -> None:
    """Check that the first DPO step began with policy and reference in agreement.

    Raises:
        WinnowError: if its loss or margin says otherwise: the reference is not the model that is trained.
    """
    expected = expected_first_loss(recipe)
    margin = row["rewards/margins"]
    off = expected is not None and not abs(row["loss"] - expected) <= FIRST_LOSS_TOLERANCE * max(1.0, expected)
    if off or not abs(margin) <= FIRST_LOSS_TOLERANCE:
        wanted = "any" if expected is None else f"{expected:.6f}"
        raise WinnowError(
            "step 1",
            f"the DPO loss is {row['loss']:.6f} with a margin of {margin:.6f}; it must be {wanted} with a margin of 0,"
            " so the reference is not the model that is trained",
            "check that the parent's model folder is whole and was not replaced during training",
        )


def check_kl(rows: Sequence[Row]) -> None:
    """Check that the measured KL is real: 0 before the first step, then not.

    Raises:
        WinnowError: if it is not 0 at step 0, or never changes.
    """
    series = [(row["step"], row["kl_tok"]) for row in rows if "kl_tok" in row]
    fix = "the measurement does not see the policy or the reference; this is a defect of Winnow, please report it"
    if series and series[0][0] == 0 and abs(series[0][1]) > ZERO:
        raise WinnowError("kl_tok", f"is {series[0][1]:.3g} before the first step, where it must be 0", fix)
    if len(series) > 1 and all(abs(value - series[0][1]) <= ZERO for _, value in series):
        raise WinnowError("kl_tok", f"is {series[0][1]:.3g} at every one of {len(series)} measurements", fix)


def _alarm(name: str, row: Row, value: float, threshold: float, message: str) -> dict[str, Any]:
    return {"name": name, "step": row["step"], "value": value, "threshold": threshold, "message": message}


def _one_label(rows: Sequence[Row], selected: int | None) -> list[dict[str, Any]]:
    """Return an alarm for each dataset to which the finished model gives one answer, at the step since which it does.

    What a run was before its last or selected step does not count: one that learns from nothing begins so.
    """
    measured = [row for row in rows if row["kind"] == "eval" and 0 < row["step"] <= (selected or math.inf)]
    found = []
    for metric in sorted(name for name in (measured or [{}])[-1] if name.startswith(POSITIVE_RATE)):
        since: Row | None = None
        for row in measured:
            since = None if ONE_LABEL[0] <= row[metric] <= ONE_LABEL[1] else since or row
        if since is not None:
            dataset, rate = metric.removeprefix(POSITIVE_RATE), since[metric]
            text = (
                f"from here on almost every prompt of {dataset} gets the same answer: lower learning_rate, raise beta,"
                f" balance the labels, or set select: best with a guard on {metric}"
            )
            found.append(_alarm(f"one_label/{dataset}", since, rate, ONE_LABEL[rate > ONE_LABEL[1]], text))
    return found


def alarms(rows: Sequence[Row], selected: int | None = None) -> list[dict[str, Any]]:
    """Return the alarms of a run, each at the first measurement that raised it (docs/methods.md, Training).

    Args:
        rows: lines of metrics.jsonl.
        selected: the step of the finished model; None for the last.
    """
    found: dict[str, dict[str, Any]] = {}
    for row in rows:
        if row["kind"] != "eval" or "displacement_rate" not in row:
            continue
        delta, displaced, logp = (
            row[name] for name in ("delta_logp_chosen_per_token", "displacement_rate", "logp_chosen_per_token")
        )
        if delta < LEAST_DELTA_CHOSEN:
            text = (
                "chosen responses became less likely than under the reference:"
                " lower learning_rate, raise beta, or add an SFT term (loss_type: [sigmoid, sft])"
            )
            found.setdefault("chosen_less_likely", _alarm("chosen_less_likely", row, delta, LEAST_DELTA_CHOSEN, text))
        if displaced > MOST_DISPLACED:
            text = (
                "margins grow while most chosen responses become less likely (likelihood displacement):"
                " lower learning_rate, raise beta, add an SFT term, or use loss_type: [apo_zero]"
            )
            found.setdefault("displacement", _alarm("displacement", row, displaced, MOST_DISPLACED, text))
        if row["step"] == 0 and logp < FAR_OFF_POLICY:
            text = (
                "the starting model finds the chosen responses very unlikely (far off-policy):"
                " train SFT longer, or pair responses of the model's own"
            )
            found["far_off_policy"] = _alarm("far_off_policy", row, logp, FAR_OFF_POLICY, text)
    return sorted([*found.values(), *_one_label(rows, selected)], key=lambda alarm: (alarm["step"], alarm["name"]))
