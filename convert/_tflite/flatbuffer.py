"""A .tflite file as objects of its schema, and back."""

from __future__ import annotations

from functools import cache

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
