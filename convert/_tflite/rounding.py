"""Weights of a float file on the grid that the quantiser will find, and biases that make up for the mean error.

The grid of 8 bits has the scale max |w| / 127 for every output channel, the largest weight kept where it was, and the
point is chosen as `_joint_rounding` says; that of half precision has float16's own numbers, the nearest of them. What
the layers read comes from photographs of training patients. The choice is stored as steps from the nearest grid point,
nearly all 0, 1 or -1, and the means of what each layer reads, so that a checkpoint can bring it along.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from edge.errors import InputError
from edge.tflite.flatbuffer import constant_of, hold, pack, unpack

from .._joint_rounding import LEVELS, bias_correction, rounded_rows, scales_of
from .._kept_rounding import Means, Rounding
from .._moments import Moments
from .layers import STAY_FLOAT, Weighted, name_of, values_of, weighted

KEPT = ".rounding.npz"  # ending of the file beside a checkpoint that keeps it


def rounding_for(content: bytes, moments: Mapping[int, Moments]) -> Rounding:
    """How the weights of a float file are best put on the 8-bit grid, given what its layers read."""
    model = unpack(content)
    names = {layer.weight: name_of(model, layer.weight) for layer in weighted(model)}
    means = {names[weight]: seen.means for weight, seen in moments.items()}
    return Rounding(steps_for(content, {weight: seen.products for weight, seen in moments.items()}), means)


def steps_for(content: bytes, moments: Mapping[int, np.ndarray]) -> dict[str, np.ndarray]:
    """Weight tensor -> how many grid points each weight is put away from the nearest one, int8 in its shape."""
    model = unpack(content)
    steps_by_weight = {}
    for layer in weighted(model):
        values = values_of(model, layer)
        rows = by_channel(values, layer)
        h = moments[layer.weight]  # of each group; its output channels lie next to each other
        chosen = np.concatenate([rounded_rows(some, own) for some, own in zip(np.split(rows, len(h)), h, strict=True)])
        steps = chosen - np.round(rows / scales_of(rows))
        steps_by_weight[name_of(model, layer.weight)] = back(steps, layer).clip(-128, 127).astype(np.int8)
    return steps_by_weight


def by_channel(values: np.ndarray, layer: Weighted) -> np.ndarray:
    """(O, K): one row for each output channel."""
    return np.moveaxis(values, layer.channel_axis, 0).reshape(values.shape[layer.channel_axis], -1)


def back(rows: np.ndarray, layer: Weighted) -> np.ndarray:
    axis = layer.channel_axis
    rest = [n for i, n in enumerate(layer.shape) if i != axis]
    return np.moveaxis(rows.reshape([layer.shape[axis], *rest]), 0, axis)


def rounded(content: bytes, rounding: Rounding) -> bytes:
    """The float file with its weights on the grid points of a rounding. InputError if it does not fit the file."""
    model = unpack(content)
    held = {}
    for layer in weighted(model):
        name = name_of(model, layer.weight)
        steps = rounding.steps.get(name)
        if steps is None or steps.shape != layer.shape or steps.dtype != np.int8:
            raise unfit(f"the weight {name} {layer.shape}")
        rows = by_channel(values_of(model, layer), layer)
        scales = scales_of(rows)
        held[layer.weight] = (np.round(rows / scales) + by_channel(steps, layer)).clip(-LEVELS, LEVELS) * scales
    return holding(model, held, rounding.means)


def halved(content: bytes, means: Means) -> bytes:
    """The float file with its weights as half precision has them. InputError if the means do not fit the file.

    A weight beyond float16's range stays, for the quantiser to refuse or to leave.
    """
    model = unpack(content)
    held = {}
    for layer in weighted(model):
        rows = by_channel(values_of(model, layer), layer)
        with np.errstate(over="ignore"):
            halves = rows.astype(np.float16).astype(np.float64)
        held[layer.weight] = np.where(np.isfinite(halves), halves, rows)
    return holding(model, held, means)


def holding(model, held: Mapping[int, np.ndarray], means: Means) -> bytes:
    """The file with the weights `held`, tensor -> (O, K), and the biases that make up for the mean of the change."""
    layers = weighted(model)
    for layer in layers if means else ():
        name = name_of(model, layer.weight)
        rows = by_channel(values_of(model, layer), layer)
        seen = means.get(name)
        if seen is None or seen.ndim != 2 or seen.shape[1] != rows.shape[1] or len(rows) % max(1, len(seen)):
            raise unfit(f"the means of what the weight {name} {layer.shape} reads")
        if not np.isfinite(seen).all():
            raise unfit(f"the means of what the weight {name} reads, which are not finite,")
        if layer.bias >= 0:
            bias = constant_of(model, layer.bias) + bias_correction(rows, held[layer.weight], seen)
            set_bias(model, layer, bias.astype(np.float32))
    for layer in layers:
        write(model, layer.weight, back(held[layer.weight], layer))
    return pack(model)


def unfit(what: str) -> InputError:
    return InputError(
        f"the kept rounding ({KEPT}) does not fit {what}; it was changed or damaged: measure anew with `measure_again`"
    )


def with_float_depthwise(content: bytes, float32: bytes) -> bytes:
    """A rounded file with the depthwise convolutions as they are in the float file.

    In files with 8-bit activations these stay float (`layers.described`), so that rounding them would only do harm.
    """
    return with_float_layers(content, float32, lambda layer: layer.operator in STAY_FLOAT)


def with_float_layers(content: bytes, float32: bytes, stays: Callable[[Weighted], bool]) -> bytes:
    """A rounded file with the layers that stay float as they are in the float file."""
    model, original = unpack(content), unpack(float32)
    for layer, own in zip(weighted(model), weighted(original), strict=True):
        if stays(layer):
            write(model, layer.weight, values_of(original, own))
            if layer.bias >= 0:
                set_bias(model, layer, constant_of(original, own.bias))
    return pack(model)


def set_bias(model, layer: Weighted, values: np.ndarray) -> None:
    """Give one operator a bias (O,) of its own; several may read the one that it has."""
    graph = model.subgraphs[0]
    readers = sum(int(tensor) == layer.bias for operator in graph.operators for tensor in operator.inputs)
    if readers == 1:
        write(model, layer.bias, values)
        return
    operator = graph.operators[layer.place]
    new = hold(model, values, graph.tensors[layer.bias].name + f"_{layer.place}".encode())
    operator.inputs = np.array([new if int(n) == layer.bias else n for n in operator.inputs], np.int32)


def write(model, tensor: int, values: np.ndarray) -> None:
    buffer = model.buffers[model.subgraphs[0].tensors[tensor].buffer]
    buffer.data = np.frombuffer(values.astype(np.float32).tobytes(), np.uint8)
