"""Operators of a .tflite file that phones' GPUs are reported to get wrong; reports: `edge/accelerators.py`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from ai_edge_litert import schema_py_generated as schema

from edge.accelerators import notice
from edge.tflite.flatbuffer import operator_names

FLOATS = {schema.TensorType.FLOAT32, schema.TensorType.FLOAT16}
EIGHT_BITS = {schema.TensorType.INT8, schema.TensorType.INT4}
BY_ELEMENT = {"ADD", "SUB", "MUL", "DIV", "MAXIMUM", "MINIMUM"}
BETWEEN = BY_ELEMENT | {"RESHAPE", "TRANSPOSE"}  # of a product and its softmax
GATES = BETWEEN | {"CONV_2D", "FULLY_CONNECTED", "LOGISTIC", "HARD_SWISH", "RELU", "RELU6", "TANH", "DEQUANTIZE"}


@dataclass
class Step:
    """An operator with what the rules ask of it."""

    name: str
    inputs: list[int]
    outputs: list[int]
    readers: list[Step] = field(default_factory=list)


@dataclass(frozen=True)
class File:
    steps: list[Step]
    ranks: list[int]  # of tensors
    shapes: list[list[int]]
    types: list[int]
    constant: list[bool]
    places: list[str]  # names of tensors


def known_faults(model: Any) -> list[str]:
    """A notice for each report that the file has operators for, with their number and the first one's place."""
    file = read(model)
    lines = []
    for fault, (kinds, has) in RULES.items():
        hits = [step for step in file.steps if step.name in kinds and has(file, step)]
        if hits:
            names = sorted({step.name for step in hits})
            lines.append(notice(fault, f"{len(hits)} {' and '.join(names)}", file.places[hits[0].outputs[0]]))
    return lines


def read(model: Any) -> File:
    graph, names = model.subgraphs[0], operator_names()
    steps = [
        Step(
            names[model.operatorCodes[o.opcodeIndex].builtinCode],
            [int(i) for i in o.inputs if i >= 0],
            [int(i) for i in o.outputs],
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
        [t.name.decode() for t in graph.tensors],
    )


def products_into_sums(file: File, step: Step) -> bool:
    x, weight = step.inputs[:2]
    return (
        file.types[weight] in EIGHT_BITS
        and file.types[x] in FLOATS
        and file.ranks[x] == 3
        and any(reader.name == "ADD" for reader in step.readers)
    )


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


RULES: dict[str, tuple[set[str], Callable[[File, Step], bool]]] = {
    "LiteRT#9277": ({"FULLY_CONNECTED"}, products_into_sums),
    "LiteRT#8619": ({"BATCH_MATMUL"}, attention_of_rank_3),
    "LiteRT#9249": ({"SUM", "MEAN"}, large_sums),
    "LiteRT#8980": (BY_ELEMENT, ranks_that_differ),
}
