"""What the weights of each layer of a float file are multiplied with, on given images, summed up."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from edge.tflite.flatbuffer import unpack

from .._moments import Moments, step_between
from .layers import Weighted, activations, weighted

SAME = 0  # the schema's number of this padding


def moments_of(content: bytes, images: np.ndarray) -> dict[int, Moments]:
    """Weight tensor -> moments of its inputs; depthwise convolutions have a group for each channel.

    `images` are uint8 (N, S, S, 3). A weight that several operators read gets the sum.
    """
    products: dict[int, np.ndarray] = {}
    sums: dict[int, np.ndarray] = {}
    places: dict[int, int] = {}
    for weight, rows in rows_seen(content, images):
        products[weight] = products.get(weight, 0.0) + (rows.transpose(0, 2, 1) @ rows).astype(np.float64)
        sums[weight] = sums.get(weight, 0.0) + rows.sum(axis=1, dtype=np.float64)
        places[weight] = places.get(weight, 0) + rows.shape[1]
    return {n: Moments(h, (sums[n] / places[n]).astype(np.float32), places[n]) for n, h in products.items()}


def means_of(content: bytes, images: np.ndarray) -> dict[int, np.ndarray]:
    """The means of `moments_of` alone, which takes a fraction of the time."""
    sums: dict[int, np.ndarray] = {}
    places: dict[int, int] = {}
    for weight, rows in rows_seen(content, images):
        sums[weight] = sums.get(weight, 0.0) + rows.sum(axis=1, dtype=np.float64)
        places[weight] = places.get(weight, 0) + rows.shape[1]
    return {n: (total / places[n]).astype(np.float32) for n, total in sums.items()}


def rows_seen(content: bytes, images: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    """For each image and layer: the weight tensor, and float32 (groups, places, weights), of a large map a part."""
    layers = weighted(unpack(content))
    for tensor in activations(content, images, "what the layers see"):
        for layer in layers:
            rows = inputs_of(layer, tensor(layer.input))
            yield layer.weight, rows[:, :: step_between(rows.shape[1])]


def inputs_of(layer: Weighted, x: np.ndarray) -> np.ndarray:
    """What the weights of one output channel are multiplied with: float32 (groups, places, weights)."""
    if layer.operator == "FULLY_CONNECTED":
        return x.reshape(1, -1, layer.shape[1])
    height, width = layer.shape[1:3]
    options = layer.options
    if layer.operator == "TRANSPOSE_CONV":
        return inputs_of_transposed(layer, x)
    steps, spread = (options.strideH, options.strideW), (options.dilationHFactor, options.dilationWFactor)
    if options.padding == SAME:
        x = np.pad(
            x, [(0, 0), *(around(x.shape[i + 1], layer.shape[i + 1], steps[i], spread[i]) for i in (0, 1)), (0, 0)]
        )
    reach = [spread[i] * (layer.shape[i + 1] - 1) + 1 for i in (0, 1)]
    windows = np.lib.stride_tricks.sliding_window_view(x[0], reach, axis=(0, 1))  # (rows, columns, C, kh, kw)
    windows = windows[:: steps[0], :: steps[1], :, :: spread[0], :: spread[1]]
    if layer.operator == "DEPTHWISE_CONV_2D":
        channels = windows.transpose(2, 0, 1, 3, 4).reshape(x.shape[3], -1, height * width)
        return channels.repeat(layer.shape[3] // x.shape[3], axis=0)
    groups, own = x.shape[3] // layer.shape[3], layer.shape[3]
    split = windows.reshape(*windows.shape[:2], groups, own, *windows.shape[3:])
    return split.transpose(2, 0, 1, 4, 5, 3).reshape(groups, -1, height * width * own)


def inputs_of_transposed(layer: Weighted, x: np.ndarray) -> np.ndarray:
    """The same for a transposed convolution, including the results that it cuts off at the border."""
    height, width, own = layer.shape[1:]
    down, right = layer.options.strideH, layer.options.strideW
    rows, columns = ((n - 1) * step + 1 for n, step in zip(x.shape[1:3], (down, right), strict=True))
    wide = np.zeros((rows + 2 * (height - 1), columns + 2 * (width - 1), own), np.float32)
    wide[height - 1 :, width - 1 :][:rows:down, :columns:right] = x[0]
    windows = np.lib.stride_tricks.sliding_window_view(wide, (height, width), axis=(0, 1))[..., ::-1, ::-1]
    return windows.transpose(0, 1, 3, 4, 2).reshape(1, -1, height * width * own)


def around(length: int, kernel: int, stride: int, dilation: int) -> tuple[int, int]:
    """How much SAME pads before and behind (the TFLite reference kernels)."""
    total = max((-(-length // stride) - 1) * stride + dilation * (kernel - 1) + 1 - length, 0)
    return total // 2, total - total // 2
