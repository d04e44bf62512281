"""Temperature scaling: one number that makes the probabilities mean what they say."""

from __future__ import annotations

import numpy as np

LIMITS = (0.2, 5.0)  # beyond these the held-back set is too small or the model broken


def fit_temperature(logits: np.ndarray, targets: np.ndarray) -> float:
    """The T that minimises the negative log-likelihood of softmax(logits / T) on held-back photographs.

    Guo et al., "On Calibration of Modern Neural Networks", ICML 2017. `logits` float (N, K), `targets` int (N,).
    """
    from scipy.optimize import minimize_scalar
    from scipy.special import log_softmax

    def cost(log_t: float) -> float:
        return -float(np.mean(log_softmax(logits / np.exp(log_t), axis=1)[np.arange(len(targets)), targets]))

    found = minimize_scalar(cost, bounds=tuple(np.log(LIMITS)), method="bounded")
    return float(np.exp(found.x))
