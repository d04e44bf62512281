"""How far apart two right implementations of one operator may be, from its own numbers: docs/matrix.md, "Limits".

A float result may be off by the rounding of its sum, u sqrt(n) |w| |x| (Higham and Mary, SIAM J. Sci. Comput. 41,
2019), or by a few units in the last place; a layer with 8-bit weights and float inputs (dynamic quantisation) by two
roundings of its inputs to 8 bits; an 8-bit result by one step, where what is rounded lies near the middle of two.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from edge.tflite.graph import Node, stored
from edge.tflite.versions import FLOAT16, FLOAT32, INT2, INT4, INT8, INT16, UINT8

from .constants import constant_of

FLOAT32_UNIT, FLOAT16_UNIT = 2.0**-24, 2.0**-11  # unit roundoff
# The numbers come as they are from what is read, or as the larger or smaller of them.
MOVES = {
    "RESHAPE", "TRANSPOSE", "SLICE", "STRIDED_SLICE", "CONCATENATION", "PAD", "PADV2", "MIRROR_PAD", "GATHER",
    "GATHER_ND", "SQUEEZE", "EXPAND_DIMS", "SPLIT", "SPLIT_V", "PACK", "UNPACK", "TILE", "SPACE_TO_DEPTH",
    "DEPTH_TO_SPACE", "SPACE_TO_BATCH_ND", "BATCH_TO_SPACE_ND", "MAX_POOL_2D", "REDUCE_MAX", "REDUCE_MIN", "MAXIMUM",
    "MINIMUM", "RELU", "RELU6", "RELU_N1_TO_1", "RELU_0_TO_1", "NEG", "ABS", "SELECT", "SELECT_V2", "REVERSE_V2",
    "BROADCAST_TO", "SHAPE", "CAST", "FLOOR", "CEIL", "ROUND", "SIGN", "ARG_MAX", "ARG_MIN", "EQUAL", "NOT_EQUAL",
    "GREATER", "LESS", "GREATER_EQUAL", "LESS_EQUAL", "LOGICAL_AND", "LOGICAL_OR", "LOGICAL_NOT", "WHERE",
    "DEQUANTIZE", "RESIZE_NEAREST_NEIGHBOR",
}  # fmt: skip
# Units in the last place of a result, where several formulas or a few roundings are in use.
ULPS = {
    "ADD": 1, "SUB": 1, "MUL": 1, "SQUARE": 1, "DIV": 2, "SQRT": 2, "RSQRT": 4, "SQUARED_DIFFERENCE": 3, "PRELU": 1,
    "LEAKY_RELU": 1, "RESIZE_BILINEAR": 6,
}  # fmt: skip
OTHER_ULPS = 8  # functions such as EXP, LOGISTIC and TANH, and operators that are not named here
SUMS = {"MEAN", "SUM", "AVERAGE_POOL_2D", "L2_POOL_2D", "L2_NORMALIZATION", "SOFTMAX", "LOG_SOFTMAX", "CUMSUM"}
LAYERS = {"CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "TRANSPOSE_CONV", "BATCH_MATMUL"}
# 8-bit results that come of tables, divisions or fixed-point functions: any of them may be the neighbour.
APPROXIMATE = {"SOFTMAX", "LOG_SOFTMAX", "LOGISTIC", "TANH", "GELU", "HARD_SWISH", "ELU", "RSQRT", "EXP", "LOG", "MEAN",
               "AVERAGE_POOL_2D", "L2_NORMALIZATION", "RESIZE_BILINEAR", "LEAKY_RELU", "PRELU", "DIV"}  # fmt: skip
STORED = 1 / 12  # variance of rounding to a step, as the share of results that are one step off
NEAR_MIDDLE = 2.0**-8  # share of products in fixed point whose rounding depends on how their factor is written
EIGHT_OR_FEWER = {INT8, UINT8, INT4, INT2}
NAMES = {
    FLOAT32: "float32",
    FLOAT16: "float16",
    INT8: "int8",
    UINT8: "uint8",
    INT4: "int4",
    INT2: "int2",
    INT16: "int16",
}
STEPS = 127  # of a range of 8 bits to each side of 0


@dataclass(frozen=True)
class Spread:
    """What may part two right implementations, given the same inputs."""

    sigma: np.ndarray | float = 0.0  # float results: standard deviation, to be broadcast to the result
    flips: float = 0.0  # 8-bit results: the share that may be one step off, 0..1

    @property
    def is_zero(self) -> bool:
        return not self.flips and not np.any(self.sigma)


@dataclass(frozen=True)
class Weights:
    """A layer's weights by output channel."""

    norms: np.ndarray  # of each output channel, (C,) or (1,)
    length: int  # products in a sum
    dynamic: bool  # the operator itself gets 8-bit numbers
    rounded: np.ndarray  # standard deviation of a weight's rounding, by output channel
    kind: str  # in words


def spread_of(
    model: Any, node: Node, reads: dict[int, np.ndarray], result: np.ndarray, unit: float, *, source: bool = False
) -> Spread:
    """Of a node's first result. `reads`: its live inputs as the network has them; `unit`: of its float arithmetic.

    `source`: against the float network that the file was made of, whose weights and results were not rounded.
    """
    kind = model.subgraphs[0].tensors[node.makes[0]].type
    if kind in (INT8, UINT8):
        if node.kind in MOVES and same_scale(model, node):
            return Spread()
        if source:
            return Spread(flips=STORED)
        return Spread(flips=1.0 if node.kind in APPROXIMATE else NEAR_MIDDLE)
    if kind not in (FLOAT32, FLOAT16) or not np.issubdtype(result.dtype, np.floating):
        return Spread()
    if node.kind in MOVES:
        return Spread(0.0 if unit == FLOAT32_UNIT else unit * np.abs(result))  # a stored value is rounded
    values = [value for value in reads.values() if np.issubdtype(value.dtype, np.floating)]
    most = max((float(np.abs(value).max(initial=0.0)) for value in values), default=1.0)
    if node.kind in LAYERS:
        return of_layer(model, node, values, result, unit, source=source)
    if node.kind in SUMS:
        length = max(2, max((value.size for value in values), default=2) // max(1, result.size))
        if node.kind in {"SOFTMAX", "LOG_SOFTMAX", "L2_NORMALIZATION"}:
            size = (OTHER_ULPS + np.sqrt(result.shape[-1])) * np.abs(result)
            # an exponential takes over the absolute error of its argument
            return Spread(unit * (size + (most * np.abs(result) if node.kind == "SOFTMAX" else most)))
        return Spread(float(unit * np.sqrt(length) * most * (length if node.kind == "SUM" else 1)))
    if node.kind in {"ADD", "SUB", "SQUARED_DIFFERENCE"}:
        return Spread(unit * ULPS[node.kind] * np.abs(result))
    if node.kind in {"SIN", "COS", "GELU", "HARD_SWISH", "ELU"} or node.kind not in ULPS:
        return Spread(unit * OTHER_ULPS * np.maximum(np.abs(result), min(most, 1.0)))
    return Spread(unit * ULPS[node.kind] * np.maximum(np.abs(result), most if node.kind == "RESIZE_BILINEAR" else 0))


def of_layer(
    model: Any, node: Node, values: list[np.ndarray], result: np.ndarray, unit: float, *, source: bool
) -> Spread:
    weights = weights_of(model, node)
    if not values:
        return Spread(unit * OTHER_ULPS * np.abs(result))
    if weights is None:  # a product of two results
        first, second = values[0], values[-1]
        length = first.shape[-1]
        return Spread(float(unit * length * np.abs(first).max() * np.abs(second).max()))
    rows = np.sqrt((values[0].astype(np.float64) ** 2).sum(axis=-1))  # length of each position's vector
    if node.kind in {"FULLY_CONNECTED", "BATCH_MATMUL"}:
        length = float(rows.max(initial=0.0))
    elif node.kind == "DEPTHWISE_CONV_2D":
        length = float(np.sqrt(weights.length) * np.abs(values[0]).max(initial=0.0))
    else:
        length = float(np.sqrt(max(1, weights.length // values[0].shape[-1])) * rows.max(initial=0.0))
    sigma = unit * np.sqrt(weights.length) * weights.norms * length
    if weights.dynamic:  # each implementation rounds its inputs once
        step = float(np.abs(values[0]).max(initial=0.0)) / STEPS
        sigma = sigma + np.sqrt((1 if source else 2) / 12) * step * weights.norms
    if source:
        sigma = sigma + weights.rounded * length
    return Spread(sigma if sigma.size == result.shape[-1] else float(sigma.max()))


def weights_of(model: Any, node: Node) -> Weights | None:
    """None of a layer whose second factor depends on the network's input."""
    tensor = node.reads[1] if len(node.reads) > 1 else -1
    if tensor < 0 or tensor in node.live:
        if node.kind != "BATCH_MATMUL" or node.reads[0] in node.live:
            return None
        tensor = node.reads[0]
    constant = constant_of(model, tensor)
    if constant is None:
        return None
    numbers, steps = constant
    axis = {"DEPTHWISE_CONV_2D": 3, "BATCH_MATMUL": numbers.ndim - 1}.get(node.kind, 0)
    rows = np.moveaxis(numbers, axis, 0).reshape(numbers.shape[axis], -1)
    norms = np.sqrt((rows.astype(np.float64) ** 2).sum(axis=1))
    kind = model.subgraphs[0].tensors[tensor].type
    rounded = np.broadcast_to(steps, norms.shape) if steps.size in (1, norms.size) else np.full_like(norms, steps.max())
    return Weights(norms, rows.shape[1], kind in EIGHT_OR_FEWER, rounded / np.sqrt(12), described(model, tensor))


def described(model: Any, tensor: int) -> str:
    """A constant's kind in words: `int8, a scale for each of 64 channels`."""
    source = stored(model, tensor)
    entry = model.subgraphs[0].tensors[source]
    kind = NAMES.get(entry.type, f"type {entry.type}")
    scales = entry.quantization.scale if entry.quantization is not None else None
    if scales is None or not len(scales):
        return kind
    scale = "one scale" if len(scales) == 1 else f"a scale for each of {len(scales)} channels"
    return f"{kind}, {scale}" + ("" if source == tensor else ", expanded to float")


def same_scale(model: Any, node: Node) -> bool:
    """Whether an operator's 8-bit result has the scale and zero of what it reads, so that codes are only moved."""
    tensors = model.subgraphs[0].tensors
    scales = {scale_of(tensors[tensor]) for tensor in (*node.live, node.makes[0])}
    return len(scales) == 1


def scale_of(tensor: Any) -> tuple[float, int]:
    """Scale and zero of a tensor with one of each; (1, 0) of others."""
    quantization = tensor.quantization
    if quantization is None or quantization.scale is None or len(quantization.scale) != 1:
        return 1.0, 0
    zeros = quantization.zeroPoint
    return float(quantization.scale[0]), int(zeros[0]) if zeros is not None and len(zeros) else 0
