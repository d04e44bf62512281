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

from collections.abc import Callable

import numpy as np

LEVELS = 127
DAMPING = 0.01  # of the mean of H's diagonal, added to it: few images leave H singular
Nearest = Callable[[int, np.ndarray], np.ndarray]  # place in a row, values (O,) -> the grid's points nearest to them


def rounded_rows(rows: np.ndarray, h: np.ndarray) -> np.ndarray:
    """Weights (O, K) as whole numbers of their row's scale, chosen with H (K, K)."""
    return on_grid(rows / scales_of(rows), h, whole_numbers(rows))


def on_grid(rows: np.ndarray, h: np.ndarray, nearest: Nearest, *, first: int | None = None) -> np.ndarray:
    """Rows (O, K) with every number on a grid, chosen together with H (K, K); column `first` before all others."""
    diagonal = np.diagonal(h)
    rank = diagonal if first is None else np.where(np.arange(len(h)) == first, np.inf, diagonal)
    order = np.argsort(-rank, kind="stable")
    damping = np.full(len(h), max(DAMPING * diagonal[order[int(first is not None) :]].mean(), 1e-8))
    damping[: int(first is not None)] = 0.0
    # row k of the upper factor of H^-1 says how the error of weight k is spread over the weights after it
    factor = np.linalg.cholesky(np.linalg.inv(h[np.ix_(order, order)] + np.diag(damping))).T
    left = rows[:, order].astype(np.float64)
    chosen = np.empty_like(left)
    for k in range(left.shape[1]):
        chosen[:, k] = nearest(int(order[k]), left[:, k])
        lost = (left[:, k] - chosen[:, k]) / factor[k, k]
        left[:, k + 1 :] -= lost[:, None] * factor[k, k + 1 :]
    result = np.empty_like(chosen)
    result[:, order] = chosen
    return result


def whole_numbers(rows: np.ndarray) -> Nearest:
    """The grid of 8 bits, in units of a row's scale; the quantiser takes that from the largest weight, which stays."""
    largest = np.abs(rows).argmax(axis=1)
    ends = np.sign(rows[np.arange(len(rows)), largest]) * LEVELS

    def nearest(k: int, values: np.ndarray) -> np.ndarray:
        return np.where(largest == k, ends, np.round(values).clip(-LEVELS, LEVELS))

    return nearest


def with_bias(h: np.ndarray, means: np.ndarray) -> np.ndarray:
    """H (K + 1, K + 1) of the weights and the bias, a weight whose input is 1; `h` (K, K) per place, `means` (K,)."""
    return np.block([[h, means[:, None]], [means[None], np.ones((1, 1))]])


def scales_of(rows: np.ndarray) -> np.ndarray:
    """Of every row: the largest weight over 127; 1 where all are zero."""
    scales = np.abs(rows).max(axis=1, keepdims=True) / LEVELS
    return np.where(scales == 0, 1.0, scales)


def bias_correction(rows: np.ndarray, held: np.ndarray, means: np.ndarray) -> np.ndarray:
    """What to add to the biases (O,), float64, where the file holds `held` (O, K) for the weights `rows` (O, K).

    `means` (G, K): of the inputs, for each of G groups of output channels that lie next to each other.
    """
    return ((rows - held) * means.astype(np.float64).repeat(len(rows) // len(means), axis=0)).sum(axis=1)
