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
from edge.tflite.flatbuffer import code_of, constant_of, hold, pack, unpack
from edge.tflite.graph import Node, nodes_of

from .audit import has_data, operand_of
from .layers import Modules, activations, described, name_of, weighted
from .quantise import FloatFile, of_tensors, rule_for
from .rounding import with_float_layers

# Operators without weights that LiteRT computes in 8 bits, in XNNPACK or in its plain kernels.
BETWEEN = {
    "ADD", "SUB", "MUL", "PAD", "MEAN", "AVERAGE_POOL_2D", "MAX_POOL_2D", "RESHAPE", "CONCATENATION", "TRANSPOSE",
    "SLICE", "STRIDED_SLICE", "SPLIT", "LOGISTIC", "HARD_SWISH", "TANH", "RELU", "RESIZE_BILINEAR",
    "RESIZE_NEAREST_NEIGHBOR",
}  # fmt: skip
WHY = {
    "BATCH_MATMUL": "multiplies two computed values, as attention does",
    "SOFTMAX": "is a softmax inside the network, as attention has it",
    "RSQRT": "is of a norm that is computed from the picture",
    "SQUARED_DIFFERENCE": "is of a norm that is computed from the picture",
}
NORMALISING = {"SUB": -1, "ADD": 1, "DIV": -1, "MUL": 1}  # of the picture; -1: by the inverse
BYTES = (0.0, 255.0)
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
            return Chain(with_layer_for_picture(self.content)).written(ranges, camera=camera)
        rules = []
        for node in self.nodes[max(begin, self.first) :]:
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


def normalising(model: Any, nodes: list[Node]) -> list[tuple[Node, tuple[np.ndarray, np.ndarray]]]:
    """The operators that normalise the picture, behind each other from the file's input on, each with the factor and
    the shift (C,) of each channel that its result is of the picture."""
    tensor = int(model.subgraphs[0].inputs[0])
    channels = int(model.subgraphs[0].tensors[tensor].shape[-1])
    factor, shift = np.ones(channels), np.zeros(channels)
    steps = []
    for node in nodes:
        if node.kind not in NORMALISING or node.live != (tensor,) or not per_channel(model, node):
            break
        if node.reads[0] != tensor:  # a constant minus the picture
            break
        values = constant_of(model, node.reads[1]).astype(np.float64).reshape(-1)
        if node.kind in {"SUB", "ADD"}:
            shift = shift + NORMALISING[node.kind] * values
        else:
            values = values ** NORMALISING[node.kind]
            factor, shift = factor * values, shift * values
        steps.append((node, (factor, shift)))
        (tensor,) = node.makes
    return steps


def per_channel(model: Any, node: Node) -> bool:
    """Whether it computes with one constant number for each channel, or one for all."""
    others = [tensor for tensor in node.reads if tensor not in node.live]
    if len(others) != 1 or not has_data(model.buffers[model.subgraphs[0].tensors[others[0]].buffer]):
        return False
    shape = model.subgraphs[0].tensors[others[0]].shape
    size = int(np.prod(shape)) if shape is not None else 1
    return size in (1, int(model.subgraphs[0].tensors[node.makes[0]].shape[-1])) and (size == 1 or shape[-1] == size)


def is_alike(model: Any, node: Node) -> bool:
    """Whether the operator's computed operands and its result are of float32, as 8 bits can stand for."""
    from ai_edge_litert import schema_py_generated as schema

    tensors = model.subgraphs[0].tensors
    return all(tensors[n].type == schema.TensorType.FLOAT32 for n in (*node.live, *node.makes))


def with_layer_for_picture(content: bytes) -> bytes:
    """The float file with its picture normalised by a depthwise 1 x 1 convolution, which 8 bits can stand for."""
    from ai_edge_litert import schema_py_generated as schema

    model = unpack(content)
    graph = model.subgraphs[0]
    steps = normalising(model, nodes_of(model))
    nodes = [node for node, _ in steps]
    factor, shift = steps[-1][1]
    options = schema.DepthwiseConv2DOptionsT()
    options.strideH = options.strideW = options.dilationHFactor = options.dilationWFactor = options.depthMultiplier = 1
    options.padding = schema.Padding.VALID
    layer = graph.operators[nodes[0].place]
    layer.opcodeIndex = code_of(model, schema.BuiltinOperator.DEPTHWISE_CONV_2D)
    layer.builtinOptionsType, layer.builtinOptions = schema.BuiltinOptions.DepthwiseConv2DOptions, options
    weight = hold(model, factor.reshape(1, 1, 1, -1).astype(np.float32), b"picture_factor")
    layer.inputs = np.array(
        [graph.inputs[0], weight, hold(model, shift.astype(np.float32), b"picture_shift")], np.int32
    )
    layer.outputs = np.array(nodes[-1].makes, np.int32)
    rest = {node.place for node in nodes[1:]}
    graph.operators = [operator for place, operator in enumerate(graph.operators) if place not in rest]
    return pack(model)


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
