"""A network without attention in 8 bits from end to end: every operator between picture and logits on whole numbers.

`int8-full` is that file with the camera's bytes in front, for parts of phones that take whole numbers only and for
plain 8-bit kernels of any age. `int8` is made so, too, where that keeps its answers: no value goes to float and back
between two layers, which costs a chain of convolutions more than the products save (docs/edge_graph.md).

The softmax stays float behind the logits, which are a few numbers: probabilities in steps of 1/256 could not tell 0.2 %
from 0.6 %, where thresholds lie, and this way the file is judged by its logits, as every other.

What has no faithful 8-bit form is refused by name: products of two computed values and softmax inside the network
(attention), and norms that are computed from the picture.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from math import prod
from typing import Any

import numpy as np

from edge.scheme import Layer, Range, Scheme
from edge.tflite.flatbuffer import pack, unpack
from edge.tflite.graph import Node, nodes_of

from .audit import operand_of
from .layers import Modules, activations, described, name_of, weighted
from .quantise import FloatFile, of_tensors, rule_for
from .rounding import with_float_layers
from .whole_picture import BYTES, normalising, picture_in_8_bits

# Operators without weights that LiteRT computes in 8 bits, in XNNPACK or in its plain kernels.
BETWEEN = {
    "ADD", "SUB", "MUL", "PAD", "MEAN", "AVERAGE_POOL_2D", "MAX_POOL_2D", "RESHAPE", "CONCATENATION", "TRANSPOSE",
    "SLICE", "STRIDED_SLICE", "SPLIT", "LOGISTIC", "HARD_SWISH", "TANH", "RELU", "RESIZE_BILINEAR",
    "RESIZE_NEAREST_NEIGHBOR",
}  # fmt: skip
SUMS = {"ADD", "SUB"}
SAME_SCALE = {"PAD", "MAX_POOL_2D", "RESHAPE", "TRANSPOSE", "SLICE", "STRIDED_SLICE", "SPLIT", "CONCATENATION"}
WHY = {
    "BATCH_MATMUL": "multiplies two computed values, as attention does",
    "SOFTMAX": "is a softmax inside the network, as attention has it",
    "RSQRT": "is of a norm that is computed from the picture",
    "SQUARED_DIFFERENCE": "is of a norm that is computed from the picture",
}
RANK = 4  # of maps
SHARES = (4, 16, 64)  # of the picture's places: maps of at most 1/4, 1/16 and 1/64 of them
Ranges = Mapping[str, Range]  # tensor -> smallest and largest value


class Chain:
    """The operators of a float file from the picture to the logits."""

    def __init__(self, content: bytes) -> None:
        self.content = content
        self.model = unpack(content)
        nodes = nodes_of(self.model)
        self.weighted = {layer.output for layer in weighted(self.model)}
        last = max((n for n, node in enumerate(nodes) if node.makes[0] in self.weighted), default=-1)
        self.nodes, self.behind = nodes[: last + 1], nodes[last + 1 :]
        self.normalised = normalising(self.model, nodes)
        self.first = len(self.normalised)  # the first operator behind it

    def refusal(self, modules: Modules | None = None) -> str | None:
        """Why it has no form in whole numbers, with the operator and its module; None where it has one."""
        outputs = len(self.model.subgraphs[0].outputs)
        if outputs > 1:
            return f"not made: it has {outputs} outputs, and a mask in steps of 8 bits is no mask of float32"
        for node in self.nodes[self.first :]:
            if node.makes[0] in self.weighted or (node.kind in BETWEEN and is_alike(self.model, node)):
                continue
            name = name_of(self.model, node.makes[0])
            module = (modules or {}).get(name)
            place = f"{name} in {module[0]}" if module else name
            why = WHY.get(node.kind, "has no 8-bit form that keeps its answers")
            return f"not made: {node.kind} ({place}) {why}; for such networks there is int8"
        kinds = [node.kind for node in self.behind]
        if set(kinds) - {"MUL", "DIV", "SOFTMAX", "RESHAPE"}:
            return (
                f"not made: behind the last layer follow {', '.join(kinds)}, where logits and a softmax were expected"
            )
        return None

    def ranges(self, images: np.ndarray) -> dict[str, Range]:
        """Tensor -> the widest range on uint8 images (N, S, S, 3); of the picture that of its bytes."""
        tensors = sorted({tensor for node in self.nodes for tensor in (*node.live, *node.makes)})
        low, high = dict.fromkeys(tensors, 0.0), dict.fromkeys(tensors, 0.0)  # 0 is always held exactly
        for tensor in activations(self.content, images, "8 bits from end to end: ranges"):
            for t in tensors:
                values = tensor(t)
                low[t], high[t] = min(low[t], float(values.min())), max(high[t], float(values.max()))
        low[self.picture], high[self.picture] = BYTES
        for node, (factor, shift) in self.normalised:
            ends = np.outer(BYTES, factor) + shift
            low[node.makes[0]], high[node.makes[0]] = float(ends.min()), float(ends.max())
        return {name_of(self.model, t): (low[t], high[t]) for t in tensors}

    def with_sums_alike(self, ranges: Ranges) -> dict[str, Range]:
        """The ranges, with those of maps that are added the widest of them and of their sum.

        Three maps with one scale and one zero point are added without rounding: q(a + b) = q(a) + q(b) - q(0). Of two
        with scales of their own the sum is rounded once more, which costs more than the finer scale of one of them
        saves. Where something else reads that one, it may be otherwise: see which of both comes nearer.
        """
        group_of: dict[int, set[int]] = {}
        summed: set[int] = set()
        for node in self.nodes:
            if (node.kind in SUMS and len(node.live) > 1) or node.kind in SAME_SCALE:
                group = set().union(*(group_of.get(tensor, {tensor}) for tensor in (*node.live, *node.makes)))
                group_of.update(dict.fromkeys(group, group))
                summed |= set(node.makes) if node.kind in SUMS else set()
        alike = dict(ranges)
        for group in {id(group_of[tensor]): group_of[tensor] for tensor in summed}.values():
            names = [name_of(self.model, tensor) for tensor in group]
            widest = min(ranges[name][0] for name in names), max(ranges[name][1] for name in names)
            alike |= dict.fromkeys(names, widest)
        return alike

    def layers(self, ranges: Ranges, modules: Modules, *, begin: int = 0) -> list[Layer]:
        """The layers with weights as `int8` has them in this form: static, fully connected ones dynamic."""
        reads = {name_of(self.model, n.makes[0]): name_of(self.model, n.reads[operand_of(n.kind)]) for n in self.nodes}
        before = {name_of(self.model, node.makes[0]) for node in self.nodes[:begin]}
        return [
            replace(layer, kind="float" if layer.tensor in before else "dynamic")
            if layer.operator == "FULLY_CONNECTED" or layer.tensor in before
            else replace(layer, kind="static", input=ranges[reads[layer.tensor]], output=ranges[layer.tensor])
            for layer in described(self.content, modules)
        ]

    def missing(self, ranges: Ranges) -> str | None:
        """The first tensor that has no range; None where each has one."""
        wanted = (name_of(self.model, tensor) for node in self.nodes for tensor in (*node.live, *node.makes))
        return next((name for name in wanted if name not in ranges), None)

    @property
    def picture(self) -> int:
        return int(self.model.subgraphs[0].inputs[0])

    def beginnings(self) -> list[int]:
        """Operators from which on a chain is tried, the longest first: all of it, and behind the largest maps."""
        if self.refusal() is not None:
            return []
        places = [self.first]
        whole = prod(self.shape(self.picture)[1:3])
        for share in SHARES:
            later = (n for n, node in enumerate(self.nodes) if n > places[-1] and self.area(node) * share <= whole)
            place = next(later, None)
            if place is not None:
                places.append(place)
        return places

    def area(self, node: Node) -> int:
        """Places of the first map that it reads."""
        shape = self.shape(node.live[0])
        return prod(shape[1:3]) if len(shape) == RANK else 1

    def shape(self, tensor: int) -> list[int]:
        return [int(n) for n in self.model.subgraphs[0].tensors[tensor].shape]

    def written(self, ranges: Ranges, *, camera: bool = False, begin: int = 0) -> bytes:
        """The file in 8 bits from the operator `begin` on; every tensor of the chain has the scale of its range.

        `camera`: uint8 in and all layers on whole numbers. Otherwise float32 in, and fully connected layers take a
        range for each row while the file runs, as in `int8`.
        """
        if self.first and begin <= self.first:
            picture = picture_in_8_bits(self.content)
            return Chain(picture.content).from_operator(0, {**ranges, **picture.ranges}, camera=camera)
        return self.from_operator(max(begin, self.first), ranges, camera=camera)

    def from_operator(self, begin: int, ranges: Ranges, *, camera: bool) -> bytes:
        """The same, of a file whose picture 8 bits can stand for as it is."""
        rules = []
        for node in self.nodes[begin:]:
            dynamic = node.kind == "FULLY_CONNECTED" and not camera
            made = [name_of(self.model, tensor) for tensor in node.makes]
            layer = Layer(made[0], node.kind, "dynamic" if dynamic else "static", 0)
            rules.append({**rule_for(layer), "regex": of_tensors(made)})
        file = FloatFile(self.content)
        content = file.quantised(rules, {name: limits for name, limits in ranges.items() if name in file.axes})
        return with_bytes(content) if camera else content


def chain_weights(content: bytes, rounded: bytes, begin: int) -> bytes:
    """The file with rounded weights in the chain that begins with that operator, and the float file's before."""
    chain = Chain(content)
    before = {node.makes[0] for node in chain.nodes[:begin]}
    return with_float_layers(rounded, content, lambda layer: layer.output in before)


def chain_file(floats: bytes, on_grid: bytes, scheme: Scheme, *, whole: bool = False) -> bytes | None:
    """The file of `int8` where its scheme has a chain, None where it has none; if `whole`, that of `int8-full`.

    `floats`, `on_grid`: the float file as a chain has it, and with its weights on the 8-bit grid (`whole_weights.py`).
    """
    if whole:
        return Chain(on_grid).written(scheme.ranges, camera=True) if scheme.ranges else None
    if scheme.chain_from is None:
        return None
    begin = scheme.chain_from
    return Chain(chain_weights(floats, on_grid, begin)).written(scheme.ranges, begin=begin)


def is_alike(model: Any, node: Node) -> bool:
    """Whether the operator's computed operands and its result are of float32, as 8 bits can stand for."""
    from ai_edge_litert import schema_py_generated as schema

    tensors = model.subgraphs[0].tensors
    return all(tensors[n].type == schema.TensorType.FLOAT32 for n in (*node.live, *node.makes))


def with_bytes(content: bytes) -> bytes:
    """The file with the camera's bytes as its input: its QUANTIZE reads uint8 in place of float32, exactly."""
    from ai_edge_litert import schema_py_generated as schema

    model = unpack(content)
    graph = model.subgraphs[0]
    picture = graph.tensors[int(graph.inputs[0])]
    picture.type = schema.TensorType.UINT8
    picture.quantization = schema.QuantizationParametersT()
    picture.quantization.scale, picture.quantization.zeroPoint = np.ones(1, np.float32), np.zeros(1, np.int64)
    return pack(model)
