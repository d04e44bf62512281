"""A .tflite file as objects of its schema, and back."""

from __future__ import annotations

from functools import cache
from itertools import chain, count

import numpy as np


def unpack(content: bytes):
    """The file as objects. Buffers that the quantiser put behind the flatbuffer (offset, size) are moved back in."""
    from ai_edge_litert import schema_py_generated as schema

    model = schema.ModelT.InitFromPackedBuf(bytes(content), 0)
    for buffer in model.buffers:
        if buffer.offset > 1:  # 0 and 1 mean that there is no such data
            buffer.data = np.frombuffer(content, np.uint8, count=buffer.size, offset=buffer.offset)
            buffer.offset = buffer.size = 0
    return model


def pack(model) -> bytes:
    import flatbuffers

    builder = flatbuffers.Builder(2**20)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def operators_of(model) -> list[tuple[str, int]]:
    """Name and version of every operator, over all subgraphs, in the file's order. `model` is an unpacked file."""
    codes = [(code_name(code), int(code.version)) for code in model.operatorCodes]
    return [codes[operator.opcodeIndex] for graph in model.subgraphs for operator in graph.operators]


def code_name(code) -> str:
    """The schema's name of an operator code; files from before 2020 have it in a field of their own."""
    return operator_names().get(max(code.builtinCode, code.deprecatedBuiltinCode), "")


@cache
def operator_names() -> dict[int, str]:
    from ai_edge_litert import schema_py_generated as schema

    return {value: name for name, value in vars(schema.BuiltinOperator).items() if isinstance(value, int)}


def constant_of(model, tensor: int) -> np.ndarray:
    """The numbers of a float32 constant of the first subgraph, in its shape."""
    entry = model.subgraphs[0].tensors[tensor]
    data = np.asarray(model.buffers[entry.buffer].data, np.uint8)
    return np.frombuffer(data.tobytes(), np.float32).reshape(entry.shape)


def readers_in(model) -> dict[int, list]:
    """Tensor of the first subgraph -> the operators that read it; an empty list for what nobody reads."""
    readers: dict[int, list] = {number: [] for number in range(-1, len(model.subgraphs[0].tensors))}
    for operator in model.subgraphs[0].operators:
        for tensor in operator.inputs:
            readers[int(tensor)].append(operator)
    return readers


def hold(model, values: np.ndarray, name: bytes) -> int:
    """A new float32 constant of the first subgraph; its place among the tensors.

    Its name gets a number where a tensor has that name already: the quantiser refuses names that are not unique.
    """
    from ai_edge_litert import schema_py_generated as schema

    names = {tensor.name for tensor in model.subgraphs[0].tensors}
    numbered = (name + f"_{n}".encode() for n in count(1))
    name = next(candidate for candidate in chain([name], numbered) if candidate not in names)
    tensor, buffer = schema.TensorT(), schema.BufferT()
    buffer.data = np.ascontiguousarray(values, np.float32).reshape(-1).view(np.uint8)
    tensor.shape, tensor.type, tensor.hasRank = np.array(values.shape, np.int32), schema.TensorType.FLOAT32, True
    tensor.name, tensor.buffer = name, len(model.buffers)
    model.buffers.append(buffer)
    model.subgraphs[0].tensors.append(tensor)
    return len(model.subgraphs[0].tensors) - 1


def code_of(model, builtin: int) -> int:
    """The place of an operator code, appended where it is missing."""
    from ai_edge_litert import schema_py_generated as schema

    for place, code in enumerate(model.operatorCodes):
        if code.builtinCode == builtin:
            return place
    code = schema.OperatorCodeT()
    code.builtinCode = code.deprecatedBuiltinCode = builtin
    code.version = 1
    model.operatorCodes.append(code)
    return len(model.operatorCodes) - 1


def without_unread(model):
    """The model without the data of constants that no operator reads any more, so that the file does not carry them."""
    for graph in model.subgraphs:
        used = {int(n) for o in graph.operators for n in (*o.inputs, *o.outputs)} | {int(n) for n in graph.outputs}
        for number, tensor in enumerate(graph.tensors):
            if number not in used:
                tensor.buffer = 0
    kept = {tensor.buffer for graph in model.subgraphs for tensor in graph.tensors}
    kept |= {entry.buffer for entry in model.metadata or []}
    for number, buffer in enumerate(model.buffers):
        if number not in kept:
            buffer.data = None
    return model
