"""Rounds weights to 8 bits so that a layer's answer changes least, rather than each weight to its nearest value.

With X the inputs of a layer (rows) and w one output channel's weights, rounding w to q changes the answers by (q - w)
X^T, whose square is (q - w) H (q - w)^T with H = X^T X. Weights are rounded one after the other, those with the largest
H_ii first; the weights that are still free are adjusted to make up for each error, by the second-order expansion (GPTQ:
Frantar et al. 2022, arXiv 2210.17323, equations 2 and 3, in its Cholesky form).

What is left has a mean: over many places the answers of a channel move by (q - w) m with m the mean of the inputs,
which is far from zero behind a ReLU. That part is constant, so the bias takes it back (Nagel et al. 2019, arXiv
1906.04721, section 4.2), for any way of rounding, half precision among them.
"""

from __future__ import annotations

import numpy as np

LEVELS = 127
DAMPING = 0.01  # of the mean of H's diagonal, added to it: few images leave H singular


def rounded_rows(rows: np.ndarray, h: np.ndarray) -> np.ndarray:
    """Weights (O, K) as whole numbers of their row's scale, chosen with H (K, K)."""
    scales = scales_of(rows)
    order = np.argsort(-np.diagonal(h), kind="stable")
    h = h[np.ix_(order, order)] + np.eye(len(h)) * max(DAMPING * np.diagonal(h).mean(), 1e-8)
    # row k of the upper factor of H^-1 says how the error of weight k is spread over the weights after it
    factor = np.linalg.cholesky(np.linalg.inv(h)).T
    left = (rows / scales)[:, order]
    largest = np.abs(left).argmax(axis=1)
    chosen = np.empty_like(left)
    for k in range(left.shape[1]):
        value = np.round(left[:, k]).clip(-LEVELS, LEVELS)
        # the quantiser takes the scale from the largest weight, so that one has to stay
        value = np.where(largest == k, np.sign(rows[np.arange(len(rows)), order[k]]) * LEVELS, value)
        chosen[:, k] = value
        lost = (left[:, k] - value) / factor[k, k]
        left[:, k + 1 :] -= lost[:, None] * factor[k, k + 1 :]
    result = np.empty_like(chosen)
    result[:, order] = chosen
    return result


def scales_of(rows: np.ndarray) -> np.ndarray:
    """Of every row: the largest weight over 127; 1 where all are zero."""
    scales = np.abs(rows).max(axis=1, keepdims=True) / LEVELS
    return np.where(scales == 0, 1.0, scales)


def bias_correction(rows: np.ndarray, held: np.ndarray, means: np.ndarray) -> np.ndarray:
    """What to add to the biases (O,), float64, where the file holds `held` (O, K) for the weights `rows` (O, K).

    `means` (G, K): of the inputs, for each of G groups of output channels that lie next to each other.
    """
    return ((rows - held) * means.astype(np.float64).repeat(len(rows) // len(means), axis=0)).sum(axis=1)
