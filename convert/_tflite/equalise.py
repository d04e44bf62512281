"""Channels of one map brought to ranges alike, which 8 bits with one range for all of them hold better.

A convolution without an activation behind it, or with a ReLU, may give each channel times a positive number of its
own, if every layer that reads the map divides by it: the network stays the same in float (Nagel et al. 2019, arXiv
1906.04721, section 4.1). Maps that are added to each other keep one number per channel together.

Behind a ReLU6 that is not so, as it cuts at the same 6 for every channel: such maps stay as they are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from edge.errors import InputError
from edge.tflite.flatbuffer import constant_of, pack, unpack
from edge.tflite.graph import Node, nodes_of

from .layers import Weighted, activations, name_of, values_of, weighted
from .rounding import set_bias, write

Factors = Mapping[str, np.ndarray]  # first tensor of a group -> float32 (C,): what its maps are divided by
PASSING = {
    "ADD",
    "SUB",
    "PAD",
    "MEAN",
    "AVERAGE_POOL_2D",
    "MAX_POOL_2D",
}  # a factor per channel stays one
PLAIN = (0, 1)  # the schema's fused activations that a positive factor passes: none and ReLU
LEAST = 1 / 64  # of the widest channel: a channel is made wider by at most 64
INPUT_AXIS = {"CONV_2D": 3, "DEPTHWISE_CONV_2D": 3, "FULLY_CONNECTED": 1}


@dataclass
class Group:
    """Maps that share their factors, and the layers that write and read them."""

    maps: list[int]
    writers: list[Weighted] = field(default_factory=list)
    readers: list[Weighted] = field(default_factory=list)


def groups_of(model: Any) -> dict[str, Group]:
    """First tensor -> the group of maps whose channels may have factors, of an unpacked float file."""
    graph, nodes = model.subgraphs[0], nodes_of(model)
    layers = {layer.output: layer for layer in weighted(model)}
    parent = {int(tensor): int(tensor) for node in nodes for tensor in (*node.live, *node.makes)}
    held = {int(tensor) for tensor in (*graph.inputs, *graph.outputs)}  # that stay as they are

    def root(tensor: int) -> int:
        while parent[tensor] != tensor:
            tensor = parent[tensor]
        return tensor

    for node in nodes:
        layer = layers.get(node.makes[0])
        fused = getattr(graph.operators[node.place].builtinOptions, "fusedActivationFunction", 0)
        if layer is not None and node.live == (layer.input,) and reads_by_channel(model, layer):
            if fused not in PLAIN or not is_own(model, layer):
                held.add(layer.output)
            if not is_own(model, layer):
                held.add(layer.input)
        elif layer is None and fused == 0 and passes(model, node):
            for tensor in node.live:
                parent[root(tensor)] = root(node.makes[0])
        else:
            held |= {*node.live, *node.makes}
    stay = {root(tensor) for tensor in held}
    groups: dict[int, Group] = {}
    for tensor in sorted(parent):
        if root(tensor) not in stay:
            groups.setdefault(root(tensor), Group([])).maps.append(tensor)
    for layer in layers.values():
        if root(layer.output) in groups:
            groups[root(layer.output)].writers.append(layer)
        if root(layer.input) in groups:
            groups[root(layer.input)].readers.append(layer)
    return {name_of(model, group.maps[0]): group for group in groups.values() if group.writers and group.readers}


def reads_by_channel(model: Any, layer: Weighted) -> bool:
    """Whether the layer has one weight, or one set of weights, for each channel of its input."""
    axis = INPUT_AXIS.get(layer.operator)
    return axis is not None and layer.shape[axis] == channels(model, layer.input)


def passes(model: Any, node: Node) -> bool:
    """Whether a factor for each channel of what the operator reads is one of what it makes."""
    made = channels(model, node.makes[0])
    if node.kind not in PASSING or any(channels(model, tensor) != made for tensor in node.live):
        return False
    if node.kind in {"ADD", "SUB"}:
        shapes = {tuple(model.subgraphs[0].tensors[tensor].shape) for tensor in node.live}
        return len(node.live) == 2 and len(shapes) == 1
    if node.kind == "MEAN":
        rank = len(model.subgraphs[0].tensors[node.live[0]].shape)
        return rank - 1 not in {int(axis) % rank for axis in whole_numbers(model, node.reads[1])}
    if node.kind == "PAD":
        return not any(whole_numbers(model, node.reads[1])[-2:])
    return True


def whole_numbers(model: Any, tensor: int) -> list[int]:
    """The numbers of an int32 constant."""
    data = np.asarray(model.buffers[model.subgraphs[0].tensors[tensor].buffer].data, np.uint8)
    return [int(n) for n in np.frombuffer(data.tobytes(), np.int32)]


def channels(model: Any, tensor: int) -> int:
    shape = model.subgraphs[0].tensors[tensor].shape
    return int(shape[-1]) if shape is not None and len(shape) else 0


def is_own(model: Any, layer: Weighted) -> bool:
    """Whether the layer has a bias, and nothing else reads its weights."""
    readers = sum(int(n) == layer.weight for operator in model.subgraphs[0].operators for n in operator.inputs)
    return layer.bias >= 0 and readers == 1


def factors_for(content: bytes, images: np.ndarray) -> dict[str, np.ndarray]:
    """Factors that bring the largest value of each channel to that of the widest, on uint8 images (N, S, S, 3)."""
    model = unpack(content)
    groups = groups_of(model)
    largest: dict[str, np.ndarray] = {}
    for tensor in activations(content, images, "8 bits from end to end: channels"):
        for name, group in groups.items():
            seen = [np.abs(tensor(t)).reshape(-1, channels(model, t)).max(axis=0) for t in group.maps]
            largest[name] = np.maximum.reduce([*seen, largest.get(name, seen[0])])
    return {
        name: np.clip(tops / max(float(tops.max()), 1e-30), LEAST, 1.0).astype(np.float32)
        for name, tops in largest.items()
    }


def equalised(content: bytes, factors: Factors) -> bytes:
    """The float file with every group's maps divided by its factors, which gives the same answers.

    InputError if the factors do not fit the file.
    """
    if not factors:
        return content
    model = unpack(content)
    groups = groups_of(model)
    weights = {layer.weight: values_of(model, layer) for layer in weighted(model)}
    for name, by in factors.items():
        group = groups.get(name)
        if group is None or by.shape != (channels(model, group.maps[0]),) or not (np.isfinite(by) & (by > 0)).all():
            raise InputError(
                f"the kept factors of channels do not fit the map {name}; they were changed or damaged: measure anew "
                "with `measure_again`"
            )
        for layer in group.writers:
            weights[layer.weight] = weights[layer.weight] / along(by, layer, layer.channel_axis)
            set_bias(model, layer, (constant_of(model, layer.bias) / by).astype(np.float32))
        for layer in group.readers:
            weights[layer.weight] = weights[layer.weight] * along(by, layer, INPUT_AXIS[layer.operator])
    for weight, values in weights.items():
        write(model, weight, values)
    return pack(model)


def along(by: np.ndarray, layer: Weighted, axis: int) -> np.ndarray:
    """The factors (C,) in the shape of the layer's weight, along one axis of it."""
    shape: Sequence[int] = [len(by) if n == axis else 1 for n in range(len(layer.shape))]
    return by.astype(np.float64).reshape(shape)
