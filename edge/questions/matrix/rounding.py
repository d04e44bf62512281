"""How far apart two right implementations of one operator may be, from its own numbers: docs/matrix.md, "Limits".

A float result may be off by the roundings on the way through its sum, whose partial sums grow as a random walk (Higham
and Mary, SIAM J. Sci. Comput. 42, 2020), or by a few units in the last place; a layer with 8-bit weights and float
inputs (dynamic quantisation) by two roundings of its inputs to 8 bits; an 8-bit result by one step, where what is
rounded lies near the middle of two.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from edge.tflite.graph import Node, stored
from edge.tflite.versions import FLOAT16, FLOAT32, INT2, INT4, INT8, INT16, UINT8

from .constants import constant_of
from .squares import reduced_squares, squares_of_layer, squares_of_two

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
# Roundings of a result in each implementation, where several formulas or a few roundings are in use.
ROUNDINGS = {
    "ADD": 1, "SUB": 1, "MUL": 1, "SQUARE": 1, "DIV": 2, "SQRT": 2, "RSQRT": 4, "SQUARED_DIFFERENCE": 3, "PRELU": 1,
    "LEAKY_RELU": 1, "RESIZE_BILINEAR": 6,
}  # fmt: skip
OTHER_ROUNDINGS = 4  # functions such as EXP, LOGISTIC and TANH, and operators that are not named here
PRODUCT_ROUNDINGS = 3  # of a term of a sum: both factors where they are stored shorter, and their product
# Deviation of one rounding, as a share of the number and the unit: even within half a step to each side, where the
# number's leading digits are spread evenly in logarithm, as those of products are (a step is 1 to 2 units of it).
ROUNDING = np.sqrt(1 / 3 * 3 / (8 * np.log(2)))
HALF_STEP, SMALLEST_NORMAL = 2.0**-24, 2.0**-14  # of half precision: the step between its smallest numbers
MOST_BELOW = 104.0  # float32's exponential of the negative is 0
CONVERTS = {"DEQUANTIZE", "CAST"}  # of MOVES: what they give is stored anew
CONSTANTS = {"ADD", "SUB", "MUL", "DIV", "SQUARED_DIFFERENCE", "MAXIMUM", "MINIMUM"}  # may read constants beside values
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


@dataclass(frozen=True)
class Weights:
    """A layer's weights by output channel."""

    squares: np.ndarray  # squared, float64, in their stored shape
    norms: np.ndarray  # of each output channel, (C,) or (1,)
    length: int  # products in a sum
    dynamic: bool  # the operator itself gets 8-bit numbers
    rounded: np.ndarray  # variance of a weight's rounding, to be broadcast to `squares`


def apart(unit: float) -> float:
    """Deviation that a rounding makes between two implementations, as a share of the number: both round, but what is
    held against forced half precision computes in float32."""
    return float(ROUNDING * unit * (1 if unit == FLOAT16_UNIT else np.sqrt(2)))


def spread_of(
    model: Any, node: Node, reads: dict[int, np.ndarray], result: np.ndarray, unit: float, *, source: bool = False
) -> Spread:
    """Of a node's first result. `reads`: its live inputs as the network has them; `unit`: of its float arithmetic.

    `source`: against the float network that the file was made of, whose weights and results were not rounded.
    """
    spread = rounded(model, node, reads, result, unit, source=source)
    if unit != FLOAT16_UNIT or not np.any(spread.sigma):
        return spread
    # a constant that is stored shorter, and what half precision cannot tell from 0
    stored_shorter = apart(unit) * of_constants(model, node, result)
    return Spread(np.sqrt(np.square(spread.sigma) + np.square(stored_shorter) + HALF_STEP**2 / 12), spread.flips)


def of_constants(model: Any, node: Node, result: np.ndarray) -> np.ndarray | float:
    """What the rounding of a constant is a share of, in an operator that takes numbers one by one."""
    if node.kind not in CONSTANTS:
        return 0.0
    constants = [constant_of(model, tensor) for tensor in node.reads if tensor >= 0 and tensor not in node.live]
    if not any(constants):
        return 0.0
    if node.kind in {"MUL", "DIV"}:
        return np.abs(result.astype(np.float64))
    return np.abs(np.concatenate([numbers.reshape(-1) for numbers, _ in filter(None, constants)])).max(initial=0.0)


def rounded(
    model: Any, node: Node, reads: dict[int, np.ndarray], result: np.ndarray, unit: float, *, source: bool
) -> Spread:
    kind = model.subgraphs[0].tensors[node.makes[0]].type
    if kind in (INT8, UINT8):
        if node.kind in MOVES and same_scale(model, node):
            return Spread()
        if source:
            return Spread(flips=STORED)
        return Spread(flips=1.0 if node.kind in APPROXIMATE else NEAR_MIDDLE)
    if kind not in (FLOAT32, FLOAT16) or not np.issubdtype(result.dtype, np.floating):
        return Spread()
    size = np.abs(result.astype(np.float64))
    if node.kind in MOVES:
        stores = unit == FLOAT16_UNIT and node.kind in CONVERTS  # the others move what was rounded before
        return Spread(apart(unit) * size if stores else 0.0)
    values = [value for value in reads.values() if np.issubdtype(value.dtype, np.floating)]
    if not values:
        return Spread(apart(unit) * OTHER_ROUNDINGS * size)
    most = max(float(np.abs(value).max(initial=0.0)) for value in values)
    if node.kind in LAYERS:
        return of_layer(model, node, values, result, unit, source=source)
    if node.kind == "SOFTMAX":
        return of_softmax(model, node, values[0], size, unit)
    if node.kind in {"MEAN", "SUM"}:
        squares, terms = reduced_squares(model, node, values[0], result.shape)
        whole = size * terms if node.kind == "MEAN" else size
        return Spread(of_sum(squares, whole, terms, unit) / (terms if node.kind == "MEAN" else 1))
    if node.kind in SUMS:
        terms = max(2, values[0].size // max(1, result.size))
        return Spread(apart(unit) * np.sqrt(terms) * np.maximum(size, most))
    if node.kind not in ROUNDINGS:  # a function may take over an absolute error of its argument
        return Spread(apart(unit) * OTHER_ROUNDINGS * np.maximum(size, min(most, 1.0)))
    most = most if node.kind == "RESIZE_BILINEAR" else 0.0
    return Spread(apart(unit) * ROUNDINGS[node.kind] * np.maximum(size, most))


def of_sum(squares: Any, size: Any, terms: int, unit: float) -> Any:
    """Standard deviation between two sums of the same terms, each in an order of its own: `squares` of the terms added
    up, `size` of the sum, or of what is added first if that is larger."""
    return apart(unit) * np.sqrt((terms / 6 + PRODUCT_ROUNDINGS) * squares + terms / 3 * np.square(size))


def of_softmax(model: Any, node: Node, argument: np.ndarray, size: np.ndarray, unit: float) -> Spread:
    """An exponential takes over the absolute error of its argument, which is its distance to the largest one; beside
    it are its own error and that of the sum."""
    beta = getattr(model.subgraphs[0].operators[node.place].builtinOptions, "beta", None) or 1.0
    below = np.abs(beta) * (argument.max(axis=-1, keepdims=True) - argument.astype(np.float64))
    below = np.minimum(below, MOST_BELOW)  # e to that is 0: nothing is left to be off
    relative = apart(unit) * np.sqrt(OTHER_ROUNDINGS**2 + np.square(below) + size.shape[-1] / 3)
    if unit == FLOAT16_UNIT:  # an exponential below its smallest normal number, or near it, may count as 0
        relative = np.where(np.exp(-below) < 2 * SMALLEST_NORMAL, 1.0, relative)
    return Spread(size * relative)


def of_layer(
    model: Any, node: Node, values: list[np.ndarray], result: np.ndarray, unit: float, *, source: bool
) -> Spread:
    weights = weights_of(model, node)
    size = np.abs(result.astype(np.float64))
    if weights is None:  # a product of two results
        squares, terms = squares_of_two(model, node, values, result.shape)
        return Spread(of_sum(squares, size, terms, unit))
    squares = squares_of_layer(model, node, values[0], weights.squares, result.shape)
    sigma = of_sum(squares, np.maximum(size, np.abs(bias_of(model, node))), weights.length, unit)
    variance = np.square(sigma)
    if weights.dynamic:  # each implementation rounds its inputs once
        step = float(np.abs(values[0]).max(initial=0.0)) / STEPS
        variance = variance + by_channel(np.square(step * weights.norms) * (1 if source else 2) / 12, result.shape)
    if source:
        rounded = np.broadcast_to(weights.rounded, weights.squares.shape)
        variance = variance + squares_of_layer(model, node, values[0], rounded, result.shape)
    return Spread(np.sqrt(variance))


def by_channel(numbers: np.ndarray, shape: tuple[int, ...]) -> np.ndarray | float:
    """Numbers of output channels as they are broadcast to a result; the largest where they are no channels of it."""
    return numbers if numbers.size == shape[-1] else float(numbers.max(initial=0.0))


def bias_of(model: Any, node: Node) -> np.ndarray | float:
    """What a layer's sums begin with."""
    tensor = node.reads[2] if len(node.reads) > 2 and node.kind != "BATCH_MATMUL" else -1
    constant = constant_of(model, tensor) if tensor >= 0 and tensor not in node.live else None
    return constant[0].reshape(-1).astype(np.float64) if constant is not None else 0.0


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
    squares = np.square(numbers.astype(np.float64))
    sums = squares.sum(axis=tuple(other for other in range(numbers.ndim) if other != axis))
    kind = model.subgraphs[0].tensors[tensor].type
    variance = np.square(steps) / 12
    if model.subgraphs[0].tensors[stored(model, tensor)].type == FLOAT16:
        variance = squares * FLOAT16_UNIT**2 / 3
    elif steps.size > 1 and steps.size == sums.size:
        variance = variance.reshape([-1 if place == axis else 1 for place in range(numbers.ndim)])
    elif steps.size > 1:
        variance = variance.max()
    return Weights(squares, np.sqrt(sums), squares.size // max(1, sums.size), kind in EIGHT_OR_FEWER, variance)


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
