"""Logistic regression with an L1 penalty: a baseline that may weight items, which a checklist does not."""

import numpy as np

from winnow.scoring.optimization.counting import Labels, Numbers

_STEPS = 20_000
_SETTLED = 1e-9  # largest change of a coefficient at which it stops


def fit_l1_logistic(features: Numbers, labels: Labels, strength: float) -> Numbers:
    """Return coefficients, the intercept last, that minimise mean log-loss + strength * sum |coefficient|.

    The intercept is not penalised. By proximal gradient with momentum, restarted where it overshoots; nothing is drawn.

    Source: Beck and Teboulle 2009 (FISTA); O'Donoghue and Candes 2015, section 3.2 (gradient restart).

    Args:
        features: shape: [rows, features].
        labels: shape: [rows].
        strength: of the penalty, per row; C of scikit-learn is 1 / (rows * strength).
    """
    inputs = np.concatenate([features, np.ones((len(features), 1))], axis=1)
    rate = 4 * len(inputs) / np.linalg.eigvalsh(inputs.T @ inputs)[-1]
    shrink = np.append(np.full(features.shape[1], rate * strength), 0.0)
    now = ahead = np.zeros(inputs.shape[1])
    momentum = 1.0
    for _ in range(_STEPS):
        residual = 1 / (1 + np.exp(-np.clip(inputs @ ahead, -500, 500))) - labels
        stepped = ahead - rate * (inputs.T @ residual) / len(inputs)
        then = np.sign(stepped) * np.maximum(np.abs(stepped) - shrink, 0)
        if np.abs(then - now).max() < _SETTLED:
            return np.asarray(then)
        if (ahead - then) @ (then - now) > 0:
            momentum = 1.0
        faster = (1 + np.sqrt(1 + 4 * momentum**2)) / 2
        ahead, now, momentum = then + (momentum - 1) / faster * (then - now), then, faster
    return np.asarray(now)
