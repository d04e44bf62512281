"""Operators of a .tflite that old CPUs, GPUs and NPUs refuse or get wrong; the rules: `edge/accelerators.py`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from math import prod
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from edge.accelerators import EDGE_TPU_RANK, OLD_PRODUCT, OLD_WHOLE_PRODUCT, WHOLE_INTEGERS, notice
from edge.tflite.flatbuffer import operator_names

from .channel_scales import SUFFIX

FLOATS = {schema.TensorType.FLOAT32, schema.TensorType.FLOAT16}
EIGHT_BITS = {schema.TensorType.INT8, schema.TensorType.INT4}
BY_ELEMENT = {"ADD", "SUB", "MUL", "DIV", "MAXIMUM", "MINIMUM"}
SCALED = {"MUL"}  # of a product and the sum that reads it: the channel scales (channel_scales.py)
PRODUCTS = {"CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED"}
NAMED = 3  # kinds of operators in a notice
SMALL = 1024  # bytes of a constant that is read
WHOLE = {schema.TensorType.INT8, schema.TensorType.UINT8}  # of activations
BETWEEN = BY_ELEMENT | {"RESHAPE", "TRANSPOSE"}  # of a product and its softmax
GATES = BETWEEN | {"CONV_2D", "FULLY_CONNECTED", "LOGISTIC", "HARD_SWISH", "RELU", "RELU6", "TANH", "DEQUANTIZE"}


@dataclass
class Step:
    """An operator with what the rules ask of it."""

    name: str
    inputs: list[int]
    outputs: list[int]
    options: Any = None
    readers: list[Step] = field(default_factory=list)


@dataclass(frozen=True)
class File:
    steps: list[Step]
    ranks: list[int]  # of tensors
    shapes: list[list[int]]
    types: list[int]
    constant: list[bool]
    scales: list[int]  # how many a tensor has
    places: list[str]  # names of tensors
    outputs: set[int]  # of the file
    fixed: dict[int, np.ndarray]  # whole numbers of small constants

    @property
    def in_whole_numbers(self) -> bool:
        """Whether anything is computed in 8 bits from end to end, as parts that take whole integers only want it."""
        return any(step.name in PRODUCTS and self.whole(step) for step in self.steps)

    def whole(self, step: Step) -> bool:
        """Whether what it computes with is 8-bit numbers."""
        return self.types[step.inputs[0]] in WHOLE and self.types[step.outputs[0]] in WHOLE


def known_faults(model: Any, modules: Mapping[str, tuple[str, str | None]] | None = None) -> list[str]:
    """A notice for each rule that the file breaks, with the number of operators, and the first one's module and place.

    `modules`: name of a tensor -> the network's module that it is computed in.
    """
    file = read(model)
    lines = []
    for fault, (kinds, has) in RULES.items():
        hits = [step for step in file.steps if (not kinds or step.name in kinds) and has(file, step)]
        if hits:
            names = sorted({step.name for step in hits})
            counted = f"{len(hits)} {' and '.join(names[:NAMED])}{' and others' if len(names) > NAMED else ''}"
            lines.append(notice(fault, counted, place_of(file.places[hits[0].outputs[0]], modules or {})))
    return lines


def place_of(tensor: str, modules: Mapping[str, tuple[str, str | None]]) -> str:
    """A tensor's name, and in which module it is computed where that is known."""
    module = modules.get(tensor.removesuffix(SUFFIX.decode()))
    return f"{tensor} in {module[0]}" if module else tensor


def read(model: Any) -> File:
    graph, names = model.subgraphs[0], operator_names()
    steps = [
        Step(
            names[model.operatorCodes[o.opcodeIndex].builtinCode],
            [int(i) for i in o.inputs if i >= 0],
            [int(i) for i in o.outputs],
            o.builtinOptions,
        )
        for o in graph.operators
    ]
    made_by = {tensor: step for step in steps for tensor in step.outputs}
    for step in steps:
        for tensor in step.inputs:
            if tensor in made_by:
                made_by[tensor].readers.append(step)
    shapes = [[] if t.shape is None else [int(n) for n in t.shape] for t in graph.tensors]
    held = [model.buffers[t.buffer].data is not None and len(model.buffers[t.buffer].data) > 0 for t in graph.tensors]
    expanded = {i for step in steps if step.name == "DEQUANTIZE" and held[step.inputs[0]] for i in step.outputs}
    return File(
        steps,
        [len(shape) for shape in shapes],
        shapes,
        [int(t.type) for t in graph.tensors],
        [known or number in expanded for number, known in enumerate(held)],
        [0 if (q := t.quantization) is None or q.scale is None else len(q.scale) for t in graph.tensors],
        [t.name.decode() for t in graph.tensors],
        {int(i) for i in graph.outputs},
        {
            number: np.frombuffer(np.asarray(model.buffers[t.buffer].data, np.uint8).tobytes(), np.int32)
            for number, t in enumerate(graph.tensors)
            if held[number] and t.type == schema.TensorType.INT32 and len(model.buffers[t.buffer].data) <= SMALL
        },
    )


def old_products(file: File, step: Step) -> bool:
    x, weight = step.inputs[:2]
    return file.types[x] in FLOATS and file.types[weight] in EIGHT_BITS and file.scales[weight] > 1


def old_whole_products(file: File, step: Step) -> bool:
    weight = step.inputs[1]
    types = {file.types[i] for i in (step.inputs[0], weight, step.outputs[0])}
    return types == {schema.TensorType.INT8} and file.scales[weight] > 1


def products_into_sums(file: File, step: Step) -> bool:
    x, weight = step.inputs[:2]
    return (
        file.types[weight] in EIGHT_BITS
        and file.types[x] in FLOATS
        and file.ranks[x] == 3
        and reaches(step, SCALED, lambda reader: reader.name == "ADD")
    )


def expanded_weights(file: File, step: Step) -> bool:
    """A product whose 8-bit weights an operator expands to float."""
    weight = step.inputs[1]
    makers = [other for other in file.steps if weight in other.outputs]
    return any(maker.name == "DEQUANTIZE" and file.types[maker.inputs[0]] in EIGHT_BITS for maker in makers)


def masked_attention(file: File, step: Step) -> bool:
    """A product of two computed values read by an ADD whose other operand has another shape and is more than a row."""
    result = step.outputs[0]
    if any(file.constant[i] for i in step.inputs[:2]):
        return False
    others = [i for reader in step.readers if reader.name == "ADD" for i in reader.inputs if i != result]
    return any(file.shapes[i] != file.shapes[result] and prod(file.shapes[i][:-1]) > 1 for i in others)


def sums_out_and_in(file: File, step: Step) -> bool:
    return bool(step.readers) and step.outputs[0] in file.outputs


def outer_padding(file: File, step: Step) -> bool:
    """At rank 3 on another axis than the last."""
    amounts = file.fixed.get(step.inputs[1])
    return file.ranks[step.inputs[0]] == 3 and amounts is not None and bool(amounts.reshape(-1, 2)[:-1].any())


def anything(file: File, step: Step) -> bool:
    return True


def tall_transposed(file: File, step: Step) -> bool:
    first, second = (file.shapes[i] for i in step.inputs[:2])
    if not getattr(step.options, "adjY", False) or min(len(first), len(second)) < 2:
        return False
    rows, others = first[-2], second[-2]
    return rows < others and others % 4 != 0


def in_float(file: File, step: Step) -> bool:
    """An operator that computes in float in a file that has 8-bit products; not the step into and out of 8 bits."""
    if not file.in_whole_numbers or step.name in {"QUANTIZE", "DEQUANTIZE"}:
        return False
    return file.types[step.outputs[0]] in FLOATS and not all(file.constant[i] for i in step.inputs)


def too_many_sides(file: File, step: Step) -> bool:
    shape = file.shapes[step.outputs[0]]
    return file.in_whole_numbers and file.types[step.outputs[0]] in WHOLE and any(side > 1 for side in shape[:-3])


def attention_of_rank_3(file: File, step: Step) -> bool:
    """A product of two computed values of rank 3 whose result is read by a softmax."""
    computed = not any(file.constant[i] for i in step.inputs[:2])
    flat = all(file.ranks[i] == 3 for i in step.inputs[:2])
    return computed and flat and reaches(step, BETWEEN, lambda reader: reader.name == "SOFTMAX")


def large_sums(file: File, step: Step) -> bool:
    """A sum over rows and columns, or a mean that gates the map that it is of (squeeze and excite)."""
    x, result = step.inputs[0], step.outputs[0]
    summed = len(file.shapes[x]) == 4 and file.types[x] in FLOATS and size(file, result) * 4 <= size(file, x)
    if step.name == "SUM" or not summed:
        return summed
    return reaches(step, GATES, lambda reader: reader.name == "MUL" and x in reader.inputs)


def size(file: File, tensor: int) -> int:
    _, height, width, _ = [1] * (4 - len(file.shapes[tensor])) + file.shapes[tensor]
    return height * width


def ranks_that_differ(file: File, step: Step) -> bool:
    ranks = {file.ranks[i] for i in step.inputs[:2] if not file.constant[i] and file.ranks[i] > 0}
    return len(ranks) > 1


def reaches(step: Step, through: Sequence[str] | set[str], wanted: Callable[[Step], bool]) -> bool:
    """Whether a reader of the step, or of its readers of these kinds, is a wanted one."""
    waiting, seen = list(step.readers), set()
    while waiting:
        reader = waiting.pop()
        if id(reader) in seen:
            continue
        seen.add(id(reader))
        if wanted(reader):
            return True
        if reader.name in through:
            waiting += reader.readers
    return False


# rule -> kinds of operators (none: all), and whether one of them breaks it
RULES: dict[str, tuple[set[str], Callable[[File, Step], bool]]] = {
    OLD_PRODUCT: ({"FULLY_CONNECTED"}, old_products),
    OLD_WHOLE_PRODUCT: ({"FULLY_CONNECTED"}, old_whole_products),
    "LiteRT#9277": ({"FULLY_CONNECTED"}, products_into_sums),
    "LiteRT#9523": ({"FULLY_CONNECTED"}, expanded_weights),
    "LiteRT#8619": ({"BATCH_MATMUL"}, attention_of_rank_3),
    "LiteRT#9249": ({"SUM", "MEAN"}, large_sums),
    "LiteRT#8980": (BY_ELEMENT, ranks_that_differ),
    "LiteRT#8593": ({"BATCH_MATMUL"}, masked_attention),
    "LiteRT#8599": ({"ADD"}, sums_out_and_in),
    "LiteRT#9272": ({"PAD", "PADV2", "MIRROR_PAD"}, outer_padding),
    "LiteRT#9191": ({"BROADCAST_TO"}, anything),
    "LiteRT#6518": ({"BATCH_MATMUL"}, tall_transposed),
    WHOLE_INTEGERS: (set(), in_float),
    EDGE_TPU_RANK: (set(), too_many_sides),
}
