"""The operators of a float32 model that have weights, what lies around them, and what they multiply."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from math import prod
from typing import Any

import numpy as np
from onnx import ModelProto, numpy_helper

from .._resize_names import is_matrix
from .emit.writer import attribute

CONVOLUTIONS = {"Conv", "ConvTranspose"}
PRODUCTS = {"Gemm", "MatMul"}
CLIPS = {"Relu", "Clip"}  # behind a layer: the range of its output is taken after them


class Graph:
    """A model of one graph with closed shapes, and the answers to who makes and who reads a value."""

    def __init__(self, content: bytes) -> None:
        self.model = ModelProto.FromString(content)
        self.nodes: list[Any] = list(self.model.graph.node)
        stated = (*self.model.graph.value_info, *self.model.graph.input, *self.model.graph.output)
        self.shapes: dict[str, tuple[int, ...]] = {
            entry.name: tuple(int(d.dim_value) for d in entry.type.tensor_type.shape.dim) for entry in stated
        }
        self.entries = {entry.name: entry for entry in self.model.graph.initializer}
        self.shapes |= {name: tuple(entry.dims) for name, entry in self.entries.items()}
        self.outputs = {entry.name for entry in self.model.graph.output}
        self.makers = {name: node for node in self.nodes for name in node.output}
        self.readers: dict[str, list[Any]] = {}
        for node in self.nodes:
            for name in dict.fromkeys(node.input):
                self.readers.setdefault(name, []).append(node)

    def stored(self, name: str) -> np.ndarray:
        return numpy_helper.to_array(self.entries[name])

    def only_reader(self, name: str) -> Any | None:
        readers = self.readers.get(name, [])
        return readers[0] if len(readers) == 1 and name not in self.outputs else None

    @cached_property
    def layers(self) -> list[Weighted]:
        """All operators with learned weights, in the file's order; a resize's matrix is none."""
        found = (layer_of(self, node) for node in self.nodes)
        return [layer for layer in found if layer is not None]

    @cached_property
    def macs_weights(self) -> int:
        return sum(layer.macs for layer in self.layers)


@dataclass(frozen=True)
class Weighted:
    """One operator with constant weights."""

    node: Any
    operator: str
    input: str
    output: str  # of the operator itself
    after: str  # the same, or what a Relu or Clip behind it makes of it: what a fixed output range is of
    clips: tuple[Any, ...]  # these nodes
    weight: str
    bias: str | None  # of a MatMul, what the Add behind it adds
    shape: tuple[int, ...]  # of the weight
    macs: int
    groups: int

    @property
    def tensor(self) -> str:
        """What schemes know the layer by."""
        return self.output

    @property
    def depthwise(self) -> bool:
        return self.operator == "Conv" and self.groups > 1 and self.shape[1] == 1


def layer_of(graph: Graph, node: Any) -> Weighted | None:
    kind = node.op_type
    if kind not in CONVOLUTIONS | PRODUCTS or node.input[1] not in graph.entries or is_matrix(node.input[1]):
        return None
    shape, output = graph.shapes[node.input[1]], graph.shapes[node.output[0]]
    bias = node.input[2] if len(node.input) > 2 and node.input[2] in graph.entries else None
    if kind == "MatMul":
        bias = added_behind(graph, node.output[0], shape[-1])
    clips = clips_behind(graph, node.output[0])
    return Weighted(
        node=node,
        operator=kind,
        input=node.input[0],
        output=node.output[0],
        after=clips[-1].output[0] if clips else node.output[0],
        clips=tuple(clips),
        weight=node.input[1],
        bias=bias,
        shape=shape,
        macs=macs_of(node, [graph.shapes[name] for name in node.input if name], output),
        groups=int(attribute(node, "group", 1)),
    )


def added_behind(graph: Graph, product: str, length: int) -> str | None:
    """The stored vector that the only reader of a product adds to it."""
    reader = graph.only_reader(product)
    if reader is None or reader.op_type != "Add":
        return None
    others = [name for name in reader.input if name != product and name in graph.entries]
    return next((name for name in others if graph.shapes[name] == (length,)), None)


def clips_behind(graph: Graph, value: str) -> list[Any]:
    reader = graph.only_reader(value)
    return [reader] if reader is not None and reader.op_type in CLIPS and reader.input[0] == value else []


def macs_of(node: Any, inputs: Iterable[tuple[int, ...]], output: tuple[int, ...]) -> int:
    """Multiply-accumulates of one operator; 0 for all that are not products. `inputs`, `output`: shapes."""
    shapes = list(inputs)
    if node.op_type == "Conv":
        return prod(output) * prod(shapes[1][1:])
    if node.op_type == "ConvTranspose":
        return prod(shapes[0]) * prod(shapes[1][1:])
    if node.op_type == "Gemm":
        return prod(output) * shapes[0][0 if attribute(node, "transA", 0) else 1]
    if node.op_type in {"MatMul", "MatMulInteger"}:
        return prod(output) * shapes[0][-1]
    return 0


def rows_of(values: np.ndarray, layer: Weighted) -> np.ndarray:
    """(O, K): the weights of each output channel, of a Conv, Gemm (transposed) or MatMul."""
    return values.T if layer.operator == "MatMul" else values.reshape(len(values), -1)


def shaped(rows: np.ndarray, layer: Weighted) -> np.ndarray:
    """`rows_of` backwards."""
    return np.ascontiguousarray(rows.T) if layer.operator == "MatMul" else rows.reshape(layer.shape)
