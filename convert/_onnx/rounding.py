"""Weights of a float32 model as whole numbers of 8 bits that no processor's sums overflow, and biases that make up.

A processor with AVX2 but without VNNI adds two neighbouring products of uint8 and int8 in 16 bits, which saturate
(VPMADDUBSW: at 32,767; 255 * 127 * 2 is 64,770). A file of any int8 weights is then right on phones and wrong on many
desktops, without a word. So two neighbours of one sign never exceed 128 together: 255 * 128 = 32,640. Where windows of
several places make the neighbours depend on a runtime's order, no weight exceeds 64. Depthwise convolutions are not
multiplied in that way and use all numbers from -127 to 127.

The numbers are chosen together (`_joint_rounding`); the choice is kept as steps from the nearest grid point.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from edge.errors import InputError

from .._joint_rounding import LEVELS, bias_correction, on_grid
from .._kept_rounding import Means, Rounding
from .._moments import Moments
from .half import holds
from .layers import Graph, Weighted, rows_of

KEPT = ".onnx.rounding.npz"  # ending of the file beside a checkpoint that keeps it
HALF_LEVELS = 64  # of weights whose neighbours are not known
PAIR = 128  # the largest sum of two neighbours of one sign


@dataclass(frozen=True)
class Held:
    """One layer's weights and bias in a file of 8 bits."""

    scales: np.ndarray  # float32 (O,)
    whole: np.ndarray  # int8 (O, K)
    bias: np.ndarray | None  # float32 (O,)

    @property
    def values(self) -> np.ndarray:
        """float32 (O, K): the weights that the file stands for."""
        return self.whole * self.scales[:, None]


def rounding_for(layers: list[Weighted], graph: Graph, moments: Mapping[str, Moments]) -> Rounding:
    """How weights are best put on the 8-bit grid, given what their layers read."""
    steps = {}
    for layer in layers:
        rows = rows_of(graph.stored(layer.weight).astype(np.float64), layer)
        scales = scales_of(rows, layer)
        h = moments[layer.weight].products  # of each group; its output channels lie next to each other
        chosen = np.concatenate(
            [on_grid(some, own, nearest) for some, own in zip(np.split(rows / scales, len(h)), h, strict=True)]
        )
        steps[layer.weight] = (bounded(chosen, layer) - np.round(rows / scales)).clip(-128, 127).astype(np.int8)
    return Rounding(steps, {weight: seen.means for weight, seen in moments.items()})


def nearest(_: int, values: np.ndarray) -> np.ndarray:
    return np.round(values).clip(-LEVELS, LEVELS)


def scales_of(rows: np.ndarray, layer: Weighted) -> np.ndarray:
    """Of every row (O, K) of weights: the step (O, 1) with which the nearest whole numbers are in bounds."""
    if layer.depthwise:
        most = np.abs(rows).max(axis=1) / LEVELS
    elif neighbours_known(layer):
        low, high = pair_sums(rows)
        most = np.maximum(np.abs(rows).max(axis=1), np.maximum(high, -low).max(axis=1)) / (PAIR - 1)
    else:
        most = np.abs(rows).max(axis=1) / HALF_LEVELS
    return np.where(most == 0, 1.0, most)[:, None]


def neighbours_known(layer: Weighted) -> bool:
    """Whether the weights that a runtime multiplies side by side are those of neighbouring input channels."""
    return layer.operator != "Conv" or (layer.shape[2:] == (1, 1) and layer.groups == 1)


def pair_sums(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of every two neighbours in rows (O, K): the sums of what is negative, and of what is positive, (O, K / 2)."""
    even = np.pad(rows, [(0, 0), (0, rows.shape[1] % 2)]).reshape(len(rows), -1, 2)
    return np.minimum(even, 0).sum(axis=2), np.maximum(even, 0).sum(axis=2)


def bounded(whole: np.ndarray, layer: Weighted) -> np.ndarray:
    """Whole numbers (O, K) with those made smaller that exceed the bounds, the larger of a pair."""
    if layer.depthwise:
        return whole.clip(-LEVELS, LEVELS)
    if not neighbours_known(layer):
        return whole.clip(-HALF_LEVELS, HALF_LEVELS)
    whole = whole.clip(-LEVELS, LEVELS)
    odd = whole.shape[1] % 2
    pairs = np.pad(whole, [(0, 0), (0, odd)]).reshape(len(whole), -1, 2)
    same = (np.sign(pairs[..., 0]) == np.sign(pairs[..., 1])) & (np.abs(pairs).sum(axis=2) > PAIR)
    over = np.where(same, np.abs(pairs).sum(axis=2) - PAIR, 0)
    first = np.abs(pairs[..., 0]) >= np.abs(pairs[..., 1])
    less = np.stack([np.where(first, over, 0), np.where(first, 0, over)], axis=2)
    pairs = np.sign(pairs) * (np.abs(pairs) - less)
    return pairs.reshape(len(whole), -1)[:, : whole.shape[1]]


def held(graph: Graph, layer: Weighted, rounding: Rounding) -> Held:
    """One layer as a rounding has it. InputError if that does not fit the layer."""
    rows = rows_of(graph.stored(layer.weight).astype(np.float64), layer)
    scales = scales_of(rows, layer)
    steps = rounding.steps.get(layer.weight)
    if steps is None or steps.shape != rows.shape or steps.dtype != np.int8:
        raise unfit(f"the weight {layer.weight} {layer.shape}")
    whole = bounded(np.round(rows / scales) + steps, layer)
    scales = scales.astype(np.float32)
    bias = corrected(graph, layer, whole * scales, rounding.means)
    return Held(scales[:, 0], whole.astype(np.int8), bias)


def half_biases(graph: Graph, layers: Iterable[Weighted], means: Means) -> dict[str, np.ndarray]:
    """Tensor of a layer -> float32 (O,): its bias, where weights in half precision change the mean of what it gives."""
    biases = {}
    for layer in layers:
        rows = rows_of(graph.stored(layer.weight).astype(np.float64), layer)
        halves = rows.astype(np.float16) if holds(rows) else rows
        bias = corrected(graph, layer, halves.astype(np.float64), means)
        if bias is not None:
            biases[layer.tensor] = bias
    return biases


def corrected(graph: Graph, layer: Weighted, held_rows: np.ndarray, means: Means) -> np.ndarray | None:
    """A layer's bias, float32 (O,), that takes back the mean of what its weights (O, K) in the file change.

    None where it has none. InputError if the means are not of this layer.
    """
    rows = rows_of(graph.stored(layer.weight).astype(np.float64), layer)
    seen = means.get(layer.weight)
    if seen is None or seen.ndim != 2 or seen.shape[1] != rows.shape[1] or len(rows) % max(1, len(seen)):
        raise unfit(f"the means of what the weight {layer.weight} {layer.shape} reads")
    if not np.isfinite(seen).all():
        raise unfit(f"the means of what the weight {layer.weight} reads, which are not finite,")
    if layer.bias is None:
        return None
    return (graph.stored(layer.bias) + bias_correction(rows, held_rows, seen)).astype(np.float32)


def unfit(what: str) -> InputError:
    return InputError(
        f"the kept rounding ({KEPT}) does not fit {what}; it was changed or damaged: measure anew with `measure_again`"
    )
