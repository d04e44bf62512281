"""Inner values of a float32 model on images, and what the weights of each layer are multiplied with, summed up."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from edge.progress import track
from edge.runtimes.inside.onnx import with_outputs
from edge.runtimes.onnx import IMAGE, MODES, opened

from .._moments import Moments, step_between
from .emit.writer import attribute
from .layers import Graph, Weighted


def activations(
    graph: Graph, names: Sequence[str], images: np.ndarray, doing: str
) -> Iterator[Mapping[str, np.ndarray]]:
    """Run uint8 images (N, S, S, 3); after each, the values of these names, float32."""
    wanted = [name for name in dict.fromkeys(names) if name != IMAGE]
    content = with_outputs(graph.model, [name for name in wanted if name not in graph.outputs])
    session = opened(Path("the float32 model"), content, MODES[0], 1)
    for image in track(images, doing, len(images)):
        picture = image[None].astype(np.float32)
        yield {IMAGE: picture, **dict(zip(wanted, session.run(wanted, {IMAGE: picture}), strict=True))}


def moments_of(graph: Graph, layers: Sequence[Weighted], images: np.ndarray) -> dict[str, Moments]:
    """Weight -> moments of its inputs; depthwise convolutions have a group for each channel.

    A weight that several operators read gets the sum.
    """
    products: dict[str, np.ndarray] = {}
    sums: dict[str, np.ndarray] = {}
    places: dict[str, int] = {}
    for values in activations(graph, [layer.input for layer in layers], images, "what the layers see"):
        for layer in layers:
            rows = inputs_of(layer, values[layer.input])
            rows = rows[:, :: step_between(rows.shape[1])]
            weight = layer.weight
            products[weight] = products.get(weight, 0.0) + (rows.transpose(0, 2, 1) @ rows).astype(np.float64)
            sums[weight] = sums.get(weight, 0.0) + rows.sum(axis=1, dtype=np.float64)
            places[weight] = places.get(weight, 0) + rows.shape[1]
    means = {name: (total / places[name]).astype(np.float32) for name, total in sums.items()}
    return {name: Moments(h, means[name], places[name]) for name, h in products.items()}


def means_of(graph: Graph, layers: Sequence[Weighted], images: np.ndarray) -> dict[str, np.ndarray]:
    """The means of `moments_of` alone, which takes a fraction of the time."""
    sums: dict[str, np.ndarray] = {}
    places: dict[str, int] = {}
    for values in activations(graph, [layer.input for layer in layers], images, "what the layers see"):
        for layer in layers:
            rows = inputs_of(layer, values[layer.input])
            rows = rows[:, :: step_between(rows.shape[1])]
            sums[layer.weight] = sums.get(layer.weight, 0.0) + rows.sum(axis=1, dtype=np.float64)
            places[layer.weight] = places.get(layer.weight, 0) + rows.shape[1]
    return {name: (total / places[name]).astype(np.float32) for name, total in sums.items()}


def inputs_of(layer: Weighted, x: np.ndarray) -> np.ndarray:
    """What the weights of one output channel are multiplied with: float32 (groups, places, weights), of a Conv's map
    (1, C, rows, columns), a Gemm's (1, K) or a MatMul's (…, K)."""
    if layer.operator != "Conv":
        return x.reshape(1, -1, x.shape[-1])
    kernel = layer.shape[2:]
    top, left, bottom, right = attribute(layer.node, "pads", [0, 0, 0, 0])
    down, across = attribute(layer.node, "strides", [1, 1])
    spread = attribute(layer.node, "dilations", [1, 1])
    x = np.pad(x[0], [(0, 0), (top, bottom), (left, right)])
    reach = [d * (k - 1) + 1 for d, k in zip(spread, kernel, strict=True)]
    windows = np.lib.stride_tricks.sliding_window_view(x, reach, axis=(1, 2))  # (C, rows, columns, kh, kw)
    windows = windows[:, ::down, ::across, :: spread[0], :: spread[1]]
    own = layer.shape[1]
    split = windows.reshape(layer.groups, own, *windows.shape[1:])
    return split.transpose(0, 2, 3, 1, 4, 5).reshape(layer.groups, -1, own * kernel[0] * kernel[1])
