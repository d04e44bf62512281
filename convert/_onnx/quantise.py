"""A float32 model with some layers in 8 bits: QuantizeLinear and DequantizeLinear around them, or products of integers.

A `static` convolution reads and gives uint8 with fixed ranges, between the two operators that say so; ONNX Runtime
makes one QLinearConv of it. A `dynamic` product takes the range of its input while the model runs: the runtime's
DynamicQuantizeLinear and MatMulInteger, whose sums are scaled back to float32. Weights are int8, with one scale for
each output channel; those of layers that stay float32 are stored in half precision (`half.py`).

ONNX Runtime puts a convolution that was left in float32 into 8 bits by itself, with one scale for all its weights, if
it stands between the operators of two others (WeightBiasQuantization in ONNX Runtime 1.32). It leaves those alone whose
bias is no plain constant; so such a convolution gets its bias through a DequantizeLinear of int32, in steps of 2^-30 of
the largest.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from edge.scheme import Layer, Range

from .half import SMALLEST, holds
from .layers import CONVOLUTIONS, Graph, Weighted, shaped
from .rounding import Held

STEPS = 255  # of an activation
LEAST = 1e-30  # of a range's width; float32 divides by it
FINE = 2**30  # steps of a bias that stays as it is
INT32 = np.iinfo(np.int32)


def quantised(content: bytes, layers: Sequence[Layer], holding: Mapping[str, Held]) -> bytes:
    """The model with every layer as the scheme says; `holding`: tensor of a layer -> its weights and bias in 8 bits."""
    graph = Graph(content)
    writing = Writing(graph, holding)
    places = {layer.tensor: layer for layer in graph.layers}
    kinds = [(places[layer.tensor], layer) for layer in layers if layer.kind != "float"]
    for place, layer in kinds:
        if layer.kind == "static" and layer.input and layer.output:
            writing.ranges |= {place.input: layer.input, place.after: layer.output}
    for place, layer in kinds:
        if layer.kind == "static":
            writing.fixed(place)
        else:
            writing.at_run_time(place)
    writing.keep_float([places[layer.tensor] for layer in layers if layer.kind == "float"])
    return writing.finish()


def with_weights(content: bytes, holding: Mapping[str, Held]) -> bytes:
    """The float32 model with the weights and biases that 8 bits hold: what no choice of activations can better."""
    graph = Graph(content)
    for layer in graph.layers:
        if layer.tensor in holding:
            own = holding[layer.tensor]
            values = shaped(own.values.astype(np.float32), layer)
            layer.node.input[1] = added(graph, f"{layer.tensor}_weight", values)
            if own.bias is not None:
                with_bias(graph, layer, added(graph, f"{layer.tensor}_bias", own.bias))
    return graph.model.SerializeToString()


def with_biases(content: bytes, biases: Mapping[str, np.ndarray]) -> bytes:
    """The model with other biases, float32 (O,), by the tensor of their layer."""
    graph = Graph(content)
    for layer in graph.layers:
        if layer.tensor in biases:
            with_bias(graph, layer, added(graph, f"{layer.tensor}_bias", biases[layer.tensor]))
    read = {name for node in graph.nodes for name in node.input}
    kept = [entry for entry in graph.model.graph.initializer if entry.name in read]
    del graph.model.graph.initializer[:]
    graph.model.graph.initializer.extend(kept)
    return graph.model.SerializeToString()


def added(graph: Graph, name: str, values: np.ndarray) -> str:
    graph.model.graph.initializer.append(numpy_helper.from_array(values, name))
    return name


def with_bias(graph: Graph, layer: Weighted, bias: str) -> None:
    """Let a layer add another constant; of a MatMul that is done by the Add behind it."""
    if layer.operator != "MatMul":
        layer.node.input[2] = bias
        return
    adder = graph.only_reader(layer.output)
    assert adder is not None
    adder.input[:] = [bias if name == layer.bias else name for name in adder.input]


class Writing:
    """A graph whose layers are replaced one by one."""

    def __init__(self, graph: Graph, holding: Mapping[str, Held]) -> None:
        self.graph, self.holding = graph, holding
        self.ranges: dict[str, Range] = {}
        self.stored: dict[str, Any] = {}
        self.instead: dict[str, list[Any]] = {}  # value that a node makes -> the nodes in its place
        self.behind: dict[str, list[Any]] = {}  # value -> nodes right behind the one that makes it; "" before all
        self.renamed: dict[str, str] = {}  # value -> what its readers read instead
        self.done: dict[str, Any] = {}

    def fixed(self, layer: Weighted) -> None:
        """Input and output in uint8 between fixed ends; the bias in int32, as the sums are."""
        own = self.holding[layer.tensor]
        step, _ = grid_of(self.ranges[layer.input])
        operands = [self.eight_bit(layer.input), self.weight(layer, own)]
        if own.bias is not None:
            operands.append(self.whole_bias(layer, own.bias, step * own.scales.astype(np.float64)))
        kept = {entry.name: helper.get_attribute_value(entry) for entry in layer.node.attribute}
        self.instead[layer.output] = [
            helper.make_node(layer.operator, operands, [layer.output], name=layer.node.name, **kept)
        ]
        self.renamed[layer.after] = self.eight_bit(layer.after)

    def at_run_time(self, layer: Weighted) -> None:
        """The form of a Gemm or MatMul that ONNX Runtime makes one operator of."""
        own, name = self.holding[layer.tensor], layer.tensor
        numbers, scale, zero = self.measured(layer.input)
        weight = self.keep(f"{name}_weight_8bit", np.ascontiguousarray(own.whole.T))
        scales = self.keep(f"{name}_weight_scale", own.scales)
        gemm = layer.operator == "Gemm" and own.bias is not None
        result = f"{name}_scaled" if gemm else name
        self.instead[name] = [
            helper.make_node("MatMulInteger", [numbers, weight, zero], [f"{name}_sums"], name=f"{name}_sums"),
            helper.make_node("Cast", [f"{name}_sums"], [f"{name}_float"], name=f"{name}_float", to=TensorProto.FLOAT),
            helper.make_node("Mul", [scale, scales], [f"{name}_scales"], name=f"{name}_scales"),
            helper.make_node("Mul", [f"{name}_float", f"{name}_scales"], [result], name=result),
        ]
        if own.bias is None:
            return
        bias = self.keep(f"{name}_bias", own.bias)
        if gemm:
            self.instead[name].append(helper.make_node("Add", [result, bias], [name], name=name))
        else:
            with_bias(self.graph, layer, bias)

    def keep_float(self, layers: Iterable[Weighted]) -> None:
        """Weights in half precision, and biases of convolutions that read 8-bit values so that they are left alone."""
        for layer in layers:
            weight = self.graph.stored(layer.weight)
            if weight.size >= SMALLEST and holds(weight):
                half = self.keep(f"{layer.tensor}_weight_half", weight.astype(np.float16))
                name = f"{layer.tensor}_weight"
                node = helper.make_node("Cast", [half], [name], name=name, to=TensorProto.FLOAT)
                self.behind.setdefault("", []).append(node)
                layer.node.input[1] = name
            if layer.operator not in CONVOLUTIONS or layer.input not in self.renamed.keys() | self.ranges.keys():
                continue
            length = self.graph.shapes[layer.output][1]
            values = np.zeros(length) if layer.bias is None else self.graph.stored(layer.bias).astype(np.float64)
            step = max(float(np.abs(values).max()), LEAST) / FINE
            bias = self.whole_bias(layer, values, np.full(length, step))
            layer.node.input[:] = [*layer.node.input[:2], bias]

    def eight_bit(self, value: str) -> str:
        """What readers get of a value that is held in uint8 between its fixed ends."""
        if value not in self.done:
            step, zero = grid_of(self.ranges[value])
            operands = [self.keep(f"{value}_step", np.float32(step)), self.keep(f"{value}_zero", np.uint8(zero))]
            numbers, read = f"{value}_8bit", f"{value}_read"
            self.behind.setdefault(value, []).extend(
                [
                    helper.make_node("QuantizeLinear", [value, *operands], [numbers], name=numbers),
                    helper.make_node("DequantizeLinear", [numbers, *operands], [read], name=read),
                ]
            )
            self.done[value] = read
        return self.done[value]

    def measured(self, value: str) -> list[str]:
        """A value in uint8 with the step and the zero point that the runtime finds for it."""
        names = [f"{value}_{part}" for part in ("numbers", "scale", "point")]
        if names[0] not in self.done:
            node = helper.make_node("DynamicQuantizeLinear", [value], names, name=names[0])
            self.behind.setdefault(value, []).append(node)
            self.done[names[0]] = names
        return self.done[names[0]]

    def weight(self, layer: Weighted, own: Held) -> str:
        """The weights as a DequantizeLinear of int8 gives them, one scale for each output channel."""
        zero = np.zeros(len(own.scales), np.int8)
        return self.expanded(f"{layer.tensor}_weight", shaped(own.whole, layer), own.scales, zero)

    def whole_bias(self, layer: Weighted, values: np.ndarray, steps: np.ndarray) -> str:
        """A bias (O,) as a DequantizeLinear of int32 gives it."""
        whole = np.round(values / steps).clip(INT32.min, INT32.max).astype(np.int32)
        zero = np.zeros(len(whole), np.int32)
        return self.expanded(f"{layer.tensor}_bias", whole, steps.astype(np.float32), zero)

    def expanded(self, name: str, whole: np.ndarray, scales: np.ndarray, zero: np.ndarray) -> str:
        parts = {"numbers": whole, "scale": scales, "zero": zero}
        operands = [self.keep(f"{name}_{part}", values) for part, values in parts.items()]
        node = helper.make_node("DequantizeLinear", operands, [name], name=name, axis=0)
        self.behind.setdefault("", []).append(node)
        return name

    def keep(self, name: str, values: np.ndarray | np.generic) -> str:
        self.stored[name] = numpy_helper.from_array(np.asarray(values), name)
        return name

    def finish(self) -> bytes:
        """The model, its nodes in an order in which each finds what it reads."""
        graph = self.graph.model.graph
        own = {id(node) for some in self.behind.values() for node in some}
        nodes = [node for name in ("", *(entry.name for entry in graph.input)) for node in self.behind.pop(name, [])]
        for node in self.graph.nodes:
            nodes += self.instead.get(node.output[0], [node])
            for name in node.output:
                nodes += self.behind.pop(name, [])
        for node in nodes:
            if id(node) not in own:
                node.input[:] = [self.renamed.get(name, name) for name in node.input]
        read = {name for node in nodes for name in node.input}
        makes = {name for node in nodes for name in node.output}
        initializers = [entry for entry in graph.initializer if entry.name in read]
        stated = [entry for entry in graph.value_info if entry.name in makes]
        longer = [*initializers, *(entry for name, entry in self.stored.items() if name in read)]
        del graph.node[:], graph.initializer[:], graph.value_info[:]
        graph.node.extend(nodes)
        graph.initializer.extend(longer)
        graph.value_info.extend(stated)
        return self.graph.model.SerializeToString()


def grid_of(limits: Range) -> tuple[float, int]:
    """Step and zero point of a range, which always holds 0; as ONNX defines them for DynamicQuantizeLinear."""
    low, high = min(limits[0], 0.0), max(limits[1], 0.0)
    step = max(high - low, LEAST) / STEPS
    return float(np.float32(step)), int(np.clip(np.round(-low / step), 0, STEPS))
