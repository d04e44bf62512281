"""Norms whose sums of squares stay within half precision, in which phones' GPUs and many of their CPUs compute.

A layer norm or RMS norm x / sqrt(mean(x x) + eps) squares what a residual stream has piled up. In half precision a sum
beyond 65504 is infinite, and the norm then answers zero (onnxruntime issue 31626; GPUs add in half precision, too:
LiteRT issue 9249). With a power of two s = 2^-k

    x / sqrt(mean(x x) + eps) = (s x) / sqrt(mean(s x s x) + s^2 eps)

is the same number, to the last bit in float32, and its sums are smaller by s^2. Where only norms read the stream that x
belongs to, s goes into all that is written to the stream: into weights and biases, or, of 8-bit tensors, into their
scales. No operator is added, no stored 8-bit number changes. Where something else reads it too, or where one of its
norms or weights would lose digits below half precision's smallest normal number, x is multiplied by s in front of the
norms that need it. k is the least that leaves a factor of `HEADROOM` on pictures that span what cameras give: black,
white, noise, coarse patches. It ends where s^2 eps would be zero in half precision, because a token of zeros would then
be 0 / 0; the audit names the sums that are left beyond half precision.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from math import inf
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from edge.tflite.flatbuffer import code_name, code_of, constant_of, hold, pack, readers_in, unpack, without_unread

from .._half_steps import NO_STEP, SMALLEST, Step, step_of
from .half_sums import sums_in
from .norms import Norm, holds, norms_of

PRODUCTS = {"FULLY_CONNECTED", "CONV_2D", "DEPTHWISE_CONV_2D"}
SUMS = {"ADD", "SUB", "CONCATENATION"}  # of operands that have to be smaller alike
ALIKE = {"RESHAPE", "TRANSPOSE", "MEAN", "DEQUANTIZE"}  # of the first operand, times s where that is
POSITIVE = {schema.ActivationFunctionType.NONE, schema.ActivationFunctionType.RELU}  # f(s x) = s f(x)
FLOATS = {schema.TensorType.FLOAT32: np.float32, schema.TensorType.FLOAT16: np.float16}


def steps_of(content: bytes) -> dict[str, Step]:
    """Norm -> its step, of all norms of the file; nothing if none needs one. Runs the file."""
    model = unpack(content)
    norms = norms_of(model)
    sums = sums_in(content, [int(norm.mean.outputs[0]) for norm in norms])
    steps = {
        norm.name: step_of(one, float(constant_of(model, int(norm.plus.inputs[norm.eps])).item()))
        for norm, one in zip(norms, sums, strict=True)
    }
    return steps if any(step.needed for step in steps.values()) else {}


def with_half_norms(content: bytes, steps: Mapping[str, Step]) -> bytes:
    """The file, of any recipe, with the norms' operands times 2^-k; the same bytes where no norm needs it."""
    if not steps:
        return content
    model = unpack(content)
    norms = norms_of(model)
    eps: dict[float, int] = {}  # value -> the constant that holds it
    left = [norm for norm in norms if steps.get(norm.name, NO_STEP).needed]
    while left:
        stream = Stream(model, norms)
        if stream.collect(left[0].x) and (k := stream.common(steps)):
            stream.shrink(2.0**-k, eps)
            done = stream.norms
        else:
            multiply(model, left[0], 2.0 ** -steps[left[0].name].needed, eps)
            done = left[:1]
        left = [norm for norm in left if not any(norm is other for other in done)]
    return pack(without_unread(model))


class Stream:
    """All tensors that have to be s times as large if one of them is, what makes them, and the norms that read them."""

    def __init__(self, model: Any, norms: list[Norm]) -> None:
        self.model, self.graph = model, model.subgraphs[0]
        self.known, self.readers = norms, readers_in(model)
        self.makers = {int(tensor): o for o in self.graph.operators for tensor in o.outputs}
        self.tensors: set[int] = set()  # computed ones
        self.constants: dict[int, list[tuple[Any, int]]] = {}  # constant -> operators of the stream, and which operand
        self.factors: set[int] = set()  # the constants that something is multiplied with
        self.norms: list[Norm] = []

    def collect(self, tensor: int) -> bool:
        """Take in the tensor and all that goes with it; False if something of it forbids the factor."""
        waiting = [tensor]
        while waiting:
            tensor = waiting.pop()
            if tensor in self.tensors:
                continue
            if tensor in self.graph.inputs or tensor in self.graph.outputs or tensor not in self.makers:
                return False
            self.tensors.add(tensor)
            before = self.written_by(self.makers[tensor])
            after = [self.read_by(operator, tensor) for operator in self.readers[tensor]]
            if before is None or any(some is None for some in after):
                return False
            waiting += before + [more for some in after for more in some or ()]
        return all(self.can_shrink(constant) for constant in self.constants)

    def written_by(self, operator: Any) -> list[int] | None:
        """Operands that have to be smaller as well; constants among them are noted. None: it cannot be."""
        kind, inputs = self.kind(operator), [int(tensor) for tensor in operator.inputs]
        if kind in PRODUCTS and self.is_positive(operator):
            parts = [place for place in (1, 2) if place < len(inputs) and inputs[place] >= 0]
            return [] if all(self.note(operator, place) for place in parts) else None
        if kind == "MUL" and self.is_positive(operator):
            held = [place for place, tensor in enumerate(inputs) if self.is_stored(tensor)]
            return [] if held and self.note(operator, held[0]) else None
        if kind in SUMS and self.is_positive(operator):
            held = [place for place, tensor in enumerate(inputs) if self.is_stored(tensor)]
            fits = all(self.note(operator, place) for place in held)
            return [tensor for place, tensor in enumerate(inputs) if place not in held] if fits else None
        return inputs[:1] if kind in ALIKE else None

    def read_by(self, operator: Any, tensor: int) -> list[int] | None:
        """What becomes smaller if the tensor does; None if the operator does something else with it."""
        for norm in self.known:
            if norm.x == tensor and any(operator is one for one in (norm.square, *norm.products)):
                self.norms += [] if any(norm is one for one in self.norms) else [norm]
                return []
        if self.kind(operator) in SUMS | ALIKE and self.is_positive(operator):
            return [int(one) for one in operator.outputs]
        return None

    def note(self, operator: Any, place: int) -> bool:
        """Remember that the operand times s is wanted; an expanded one where it is stored. False if it is computed."""
        tensor = int(operator.inputs[place])
        if not self.is_stored(tensor):
            return False
        factor = self.kind(operator) == "MUL" or (self.kind(operator) in PRODUCTS and place == 1)
        if not holds(self.model, tensor):
            if any(reader is not operator for reader in self.readers[tensor]):
                return False
            operator = self.makers[tensor]
            place, tensor = 0, int(operator.inputs[0])
        self.factors |= {tensor} if factor else set()
        uses = self.constants.setdefault(tensor, [])
        if not any(operator is one and place == other for one, other in uses):
            uses.append((operator, place))
        return True

    def is_stored(self, tensor: int) -> bool:
        """Whether it is a constant, or what a DEQUANTIZE makes of one."""
        maker = self.makers.get(tensor)
        expanded = maker is not None and self.kind(maker) == "DEQUANTIZE" and holds(self.model, int(maker.inputs[0]))
        return expanded or holds(self.model, tensor)

    def common(self, steps: Mapping[str, Step]) -> int:
        """The k that the whole stream can be made smaller by, 0 if one of its norms or weights would lose digits."""
        own = [steps.get(norm.name, NO_STEP) for norm in self.norms]
        k = max(step.needed for step in own)
        if any(step.borne < k for step in own):
            return 0
        return k if all(self.largest(constant) * 2.0**-k >= SMALLEST for constant in self.factors) else 0

    def largest(self, constant: int) -> float:
        """The largest absolute number of weights in float; infinite of zeros and in 8 bits, which bear any factor."""
        entry = self.graph.tensors[constant]
        kind = FLOATS.get(entry.type)
        if kind is None:
            return inf
        values = np.frombuffer(np.asarray(self.model.buffers[entry.buffer].data, np.uint8).tobytes(), kind)
        return float(np.abs(values).max(initial=0)) or inf

    def can_shrink(self, constant: int) -> bool:
        """Whether it is of floats, or has scales."""
        entry = self.graph.tensors[constant]
        scaled = entry.quantization is not None and entry.quantization.scale is not None
        return entry.type in FLOATS or scaled

    def shrink(self, s: float, eps: dict[float, int]) -> None:
        for tensor in self.tensors:
            shrink_scales(self.graph.tensors[tensor], s)
        for constant, uses in self.constants.items():
            if all(any(reader is operator for operator, _ in uses) for reader in self.readers[constant]):
                shrink_constant(self.model, constant, s)
                continue
            smaller = copied(self.model, constant)
            shrink_constant(self.model, smaller, s)
            for operator, place in uses:
                replace_input(operator, place, smaller)
        for norm in self.norms:
            set_eps(self.model, norm, s, eps)

    def kind(self, operator: Any) -> str:
        return code_name(self.model.operatorCodes[operator.opcodeIndex])

    def is_positive(self, operator: Any) -> bool:
        options = operator.builtinOptions
        return getattr(options, "fusedActivationFunction", schema.ActivationFunctionType.NONE) in POSITIVE


def shrink_scales(entry: Any, s: float) -> None:
    if entry.quantization is not None and entry.quantization.scale is not None:
        entry.quantization.scale = np.asarray(entry.quantization.scale, np.float32) * np.float32(s)


def copied(model: Any, constant: int) -> int:
    """Another tensor of the same stored numbers."""
    graph = model.subgraphs[0]
    entry = copy.deepcopy(graph.tensors[constant])
    entry.name = free_name(graph, entry.name)
    graph.tensors.append(entry)
    return len(graph.tensors) - 1


def shrink_constant(model: Any, constant: int, s: float) -> None:
    """Its floats times s, or its scales beside the same stored numbers."""
    entry = model.subgraphs[0].tensors[constant]
    kind = FLOATS.get(entry.type)
    if kind is None:
        shrink_scales(entry, s)
        return
    values = np.frombuffer(np.asarray(model.buffers[entry.buffer].data, np.uint8).tobytes(), kind)
    buffer = schema.BufferT()  # others may have the old one
    buffer.data = (values * kind(s)).view(np.uint8)
    entry.buffer = len(model.buffers)
    model.buffers.append(buffer)


def free_name(graph: Any, name: bytes) -> bytes:
    names, chosen, number = {tensor.name for tensor in graph.tensors}, name, 0
    while chosen in names:
        number += 1
        chosen = name + f"_{number}".encode()
    return chosen


def set_eps(model: Any, norm: Norm, s: float, known: dict[float, int]) -> None:
    values = constant_of(model, int(norm.plus.inputs[norm.eps])) * np.float32(s * s)
    value = float(values.item())
    if value not in known:
        known[value] = hold(model, values, b"eps")
    replace_input(norm.plus, norm.eps, known[value])


def replace_input(operator: Any, place: int, tensor: int) -> None:
    operator.inputs = np.array([tensor if n == place else old for n, old in enumerate(operator.inputs)], np.int32)


def multiply(model: Any, norm: Norm, s: float, eps: dict[float, int]) -> None:
    """A MUL by s in front of the norm."""
    graph = model.subgraphs[0]
    entry = copy.deepcopy(graph.tensors[norm.x])
    entry.name = free_name(graph, entry.name + f"_by_{round(1 / s)}".encode())
    graph.tensors.append(entry)
    smaller = len(graph.tensors) - 1
    operator = schema.OperatorT()
    operator.opcodeIndex = code_of(model, schema.BuiltinOperator.MUL)
    operator.inputs = np.array([norm.x, hold(model, np.array([s], np.float32), b"factor")], np.int32)
    operator.outputs = np.array([smaller], np.int32)
    operator.builtinOptionsType, operator.builtinOptions = schema.BuiltinOptions.MulOptions, schema.MulOptionsT()
    place = next(n for n, one in enumerate(graph.operators) if one is norm.square)
    graph.operators.insert(place, operator)
    for one in (norm.square, *norm.products):
        one.inputs = np.array([smaller if int(n) == norm.x else n for n in one.inputs], np.int32)
    set_eps(model, norm, s, eps)
