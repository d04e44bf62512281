"""Products with 8-bit weights in front of sums at rank 4, where GPUs compile them, instead of rank 3.

LiteRT's GPU delegate is reported to fail at a FULLY_CONNECTED with 8-bit weights and a float operand (a, b, c) whose
result goes into an ADD, as every residual stream has it (LiteRT issue 9277); with (1, a, b, c) the tokens lie along
rows and columns of one picture, as in the rest of the network. The stream gets that axis as a whole, from the RESHAPE
that makes it to those that leave it, so that no operator is added and no value is computed otherwise. A stream with an
operator that is not listed here stays as it is.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from edge.tflite.flatbuffer import code_name, pack, unpack

from .known_faults import BY_ELEMENT, products_into_sums, read

RANK = 3
# Operators that do the same to (1, a, b, c) as to (a, b, c); of those below them a constant or an option changes.
ALIKE = BY_ELEMENT | {
    "FULLY_CONNECTED", "GELU", "LOGISTIC", "TANH", "RELU", "RELU6", "HARD_SWISH", "RSQRT", "SQRT", "EXP", "ABS", "NEG",
    "SQUARED_DIFFERENCE", "QUANTIZE", "DEQUANTIZE",
}  # fmt: skip
BY_AXIS = {"MEAN", "SUM", "REDUCE_MAX"}
CHANGED = BY_AXIS | {"TRANSPOSE", "CONCATENATION"}


def with_rank_four(content: bytes) -> bytes:
    """The file with these streams at rank 4; the same bytes where it has none."""
    model = unpack(content)
    file = read(model)
    seeds = [step.inputs[0] for step in file.steps if step.name == "FULLY_CONNECTED" and products_into_sums(file, step)]
    streams: list[set[int]] = []
    for seed in seeds:
        if not any(seed in known for known in streams):
            stream = stream_of(model, seed)
            if stream:
                streams.append(stream)
    if not streams:
        return content
    widen(model, set.union(*streams))
    return pack(model)


def stream_of(model: Any, seed: int) -> set[int] | None:
    """The tensors of rank 3 that are joined to one by operators of `ALIKE` and `CHANGED`; None where another kind
    reads or makes one of them, or the file gives or takes one."""
    graph = model.subgraphs[0]
    outside = {int(tensor) for tensor in (*graph.inputs, *graph.outputs)}
    stream, waiting = {seed}, [seed]
    while waiting:
        tensor = waiting.pop()
        if tensor in outside:
            return None
        for operator in graph.operators:
            used = [int(n) for n in (*operator.inputs, *operator.outputs) if n >= 0]
            kind = code_name(model.operatorCodes[operator.opcodeIndex])
            if tensor not in used or kind == "RESHAPE":
                continue
            if ends(model, operator, kind):
                continue
            if kind not in ALIKE | CHANGED or not keeps_rank(operator, kind):
                return None
            live = [n for n in used if not holds(model, n)]
            if any(rank_of(graph, n) > RANK for n in live) or (kind in CHANGED and not fixed(model, operator, kind)):
                return None
            joined = [n for n in live if rank_of(graph, n) == RANK and n not in stream]
            stream.update(joined)
            waiting += joined
    return stream


def keeps_rank(operator: Any, kind: str) -> bool:
    options = operator.builtinOptions
    if kind == "FULLY_CONNECTED":
        return bool(options.keepNumDims)
    return bool(options.keepDims) if kind in BY_AXIS else True


def ends(model: Any, operator: Any, kind: str) -> bool:
    """Whether a mean or sum takes a stream of one picture to rank 2: then the new axis stands for the picture's."""
    if kind not in BY_AXIS or operator.builtinOptions.keepDims or not holds(model, int(operator.inputs[1])):
        return False
    shape, axes = model.subgraphs[0].tensors[int(operator.inputs[0])].shape, numbers(model, int(operator.inputs[1]))
    return len(shape) == RANK and shape[0] == 1 and not (axes % RANK == 0).any()


def fixed(model: Any, operator: Any, kind: str) -> bool:
    """Whether its axes are known now; a CONCATENATION has them in its options."""
    return kind == "CONCATENATION" or holds(model, int(operator.inputs[1]))


def holds(model: Any, tensor: int) -> bool:
    data = model.buffers[model.subgraphs[0].tensors[tensor].buffer].data
    return data is not None and len(data) > 0


def rank_of(graph: Any, tensor: int) -> int:
    shape = graph.tensors[tensor].shape
    return 0 if shape is None else len(shape)


def widen(model: Any, stream: set[int]) -> None:
    """A first axis of 1 for these tensors, and what operators say of axes and shapes brought in line."""
    graph = model.subgraphs[0]
    for number in stream:
        tensor = graph.tensors[number]
        tensor.shape = np.array([1, *tensor.shape], np.int32)
        if tensor.shapeSignature is not None:
            tensor.shapeSignature = np.array([1, *tensor.shapeSignature], np.int32)
    for operator in graph.operators:
        kind = code_name(model.operatorCodes[operator.opcodeIndex])
        if int(operator.outputs[0]) not in stream:
            if kind in BY_AXIS and int(operator.inputs[0]) in stream:  # what `ends` it
                joined = [1, *shifted(numbers(model, int(operator.inputs[1])))]
                operator.inputs = np.array([operator.inputs[0], whole(model, joined)], np.int32)
            continue
        if kind == "RESHAPE":
            shape = graph.tensors[int(operator.outputs[0])].shape
            operator.inputs = np.array([operator.inputs[0], whole(model, shape)], np.int32)
            if operator.builtinOptions is not None:
                operator.builtinOptions.newShape = shape
        elif kind in BY_AXIS:
            axes = numbers(model, int(operator.inputs[1]))
            operator.inputs = np.array([operator.inputs[0], whole(model, shifted(axes))], np.int32)
        elif kind == "TRANSPOSE":
            order = [0, *shifted(numbers(model, int(operator.inputs[1])))]
            operator.inputs = np.array([operator.inputs[0], whole(model, order)], np.int32)
        elif kind == "CONCATENATION":
            operator.builtinOptions.axis = int(shifted(np.array([operator.builtinOptions.axis]))[0])


def shifted(axes: np.ndarray) -> np.ndarray:
    """Axes of rank 3 in rank 4; negative ones count from behind and stay."""
    return np.where(axes >= 0, axes + 1, axes)


def numbers(model: Any, tensor: int) -> np.ndarray:
    data = np.asarray(model.buffers[model.subgraphs[0].tensors[tensor].buffer].data, np.uint8)
    return np.frombuffer(data.tobytes(), np.int32)


def whole(model: Any, values: Any) -> int:
    """A constant of whole numbers, one that is there already where it can be; its place among the tensors."""
    from ai_edge_litert import schema_py_generated as schema

    graph, wanted = model.subgraphs[0], np.array(values, np.int32)
    name = f"axes_{'_'.join(map(str, wanted.tolist()))}".encode()
    for number, known in enumerate(graph.tensors):
        if known.name == name:
            return number
    tensor, buffer = schema.TensorT(), schema.BufferT()
    buffer.data = np.frombuffer(wanted.tobytes(), np.uint8)
    tensor.shape, tensor.type, tensor.hasRank = np.array(wanted.shape, np.int32), schema.TensorType.INT32, True
    tensor.name, tensor.buffer = name, len(model.buffers)
    model.buffers.append(buffer)
    graph.tensors.append(tensor)
    return len(graph.tensors) - 1
