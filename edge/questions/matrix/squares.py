"""The sum of the squares of all terms of each result: what a random walk through them, a sum in any order, is long."""

from __future__ import annotations

from typing import Any

import numpy as np

from edge.tflite.graph import Node

SAME_PADDING = 0  # of the schema's enumeration `Padding`


def squares_of_layer(
    model: Any, node: Node, picture: np.ndarray, weights: np.ndarray, shape: tuple[int, ...]
) -> np.ndarray | float:
    """Σ w² x² of each result of a layer with constant weights.

    `picture`: what it reads; `weights`: squared, in their stored shape; `shape`: of the result. Where the layer's form
    is not known here, what none of its results exceeds.
    """
    squared = np.square(picture.astype(np.float64))
    bound = float(squared.max(initial=0.0)) * float(weights.sum(axis=tuple(range(1, weights.ndim))).max(initial=0.0))
    if node.kind == "DEPTHWISE_CONV_2D":
        bound = float(squared.max(initial=0.0)) * float(weights.sum(axis=(0, 1, 2)).max(initial=0.0))
    options = model.subgraphs[0].operators[node.place].builtinOptions
    try:
        if node.kind == "FULLY_CONNECTED":
            return (squared.reshape(-1, weights.shape[1]) @ weights.T).reshape(shape)
        if node.kind == "BATCH_MATMUL":
            first = node.reads[0] in node.live
            pair = (squared, weights) if first else (weights, squared)
            return product(*pair, options).reshape(shape)
        if node.kind in {"CONV_2D", "DEPTHWISE_CONV_2D"}:
            return convolved(squared, weights, options, shape, depthwise=node.kind == "DEPTHWISE_CONV_2D")
    except ValueError:  # shapes that do not fit, as of a convolution in groups
        pass
    if node.kind == "BATCH_MATMUL":
        bound = float(squared.max(initial=0.0)) * float(weights.sum(axis=-2).max(initial=0.0))
        bound = max(bound, float(squared.max(initial=0.0)) * float(weights.sum(axis=-1).max(initial=0.0)))
    return bound


def squares_of_two(
    model: Any, node: Node, values: list[np.ndarray], shape: tuple[int, ...]
) -> tuple[np.ndarray | float, int]:
    """Σ a² b² of each result of a product of two values that depend on the input, and how many terms its sums have."""
    first, second = (np.square(value.astype(np.float64)) for value in (values[0], values[-1]))
    options = model.subgraphs[0].operators[node.place].builtinOptions
    terms = int(first.shape[-2 if getattr(options, "adjX", False) and first.ndim > 1 else -1])
    try:
        if node.kind == "FULLY_CONNECTED":
            return (first.reshape(-1, second.shape[-1]) @ second.reshape(-1, second.shape[-1]).T).reshape(shape), terms
        if node.kind == "BATCH_MATMUL":
            return product(first, second, options).reshape(shape), terms
    except ValueError:
        pass
    return terms * float(first.max(initial=0.0)) * float(second.max(initial=0.0)), terms


def product(first: np.ndarray, second: np.ndarray, options: Any) -> np.ndarray:
    if getattr(options, "adjX", False):
        first = np.swapaxes(first, -1, -2)
    if getattr(options, "adjY", False):
        second = np.swapaxes(second, -1, -2)
    return np.matmul(first, second)


def convolved(
    squared: np.ndarray, weights: np.ndarray, options: Any, shape: tuple[int, ...], *, depthwise: bool
) -> np.ndarray:
    """A convolution of (N, H, W, C) with (O, h, w, C), depthwise (1, h, w, C m), to the `shape` of the result.

    ValueError where these do not fit.
    """
    strides = (int(options.strideH), int(options.strideW))
    dilations = (int(options.dilationHFactor or 1), int(options.dilationWFactor or 1))
    padding = [(0, 0)] * 4
    for axis in (0, 1):
        reach = (shape[1 + axis] - 1) * strides[axis] + (weights.shape[1 + axis] - 1) * dilations[axis] + 1
        missing = max(0, reach - squared.shape[1 + axis])
        if missing and options.padding != SAME_PADDING:
            raise ValueError("a convolution that reaches beyond its input")
        padding[1 + axis] = (missing // 2, missing - missing // 2)
    squared = np.pad(squared, padding)
    if depthwise:
        squared = np.repeat(squared, weights.shape[3] // squared.shape[3], axis=3)
    total = np.zeros(shape)
    for down in range(weights.shape[1]):
        for right in range(weights.shape[2]):
            rows = slice(down * dilations[0], down * dilations[0] + (shape[1] - 1) * strides[0] + 1, strides[0])
            columns = slice(right * dilations[1], right * dilations[1] + (shape[2] - 1) * strides[1] + 1, strides[1])
            seen = squared[:, rows, columns]
            total += seen * weights[0, down, right] if depthwise else seen @ weights[:, down, right].T
    return total


def reduced_squares(
    model: Any, node: Node, value: np.ndarray, shape: tuple[int, ...]
) -> tuple[np.ndarray | float, int]:
    """Σ x² of each result of a sum or mean over axes, and how many terms it has."""
    squared = np.square(value.astype(np.float64))
    terms = max(1, value.size // max(1, int(np.prod(shape))))
    axes = axes_of(model, node, value.ndim)
    total = squared.sum(axis=axes) if axes else np.zeros(0)
    return (total.reshape(shape) if total.size == np.prod(shape) else terms * float(squared.max(initial=0.0))), terms


def axes_of(model: Any, node: Node, rank: int) -> tuple[int, ...]:
    """The axes that a reduction names; none where they are no constant."""
    tensor = node.reads[1] if len(node.reads) > 1 else -1
    data = model.buffers[model.subgraphs[0].tensors[tensor].buffer].data if tensor >= 0 else None
    if data is None or len(data) % 4:
        return ()
    axes = np.frombuffer(np.asarray(data, np.uint8).tobytes(), np.int32)
    return tuple({int(axis) % rank for axis in axes if -rank <= axis < rank})
