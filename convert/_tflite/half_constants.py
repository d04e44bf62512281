"""Stores large constants that are not weights of a layer in half precision.

The quantiser stores weights of convolutions, linear layers and products in fewer bits and leaves the rest in float32: a
table of positions that is added or multiplied (one number for every place of a map and channel) can then be a third of
an 8-bit file, and so can the matrix of a resize, which is not put in 8 bits. Half precision keeps 11 bits of each
number, more than any of those files keeps of anything else. One DEQUANTIZE makes float32 of it again, as for fp16
weights; XNNPACK does that once, when the file is opened.
"""

from __future__ import annotations

import numpy as np

from edge.tflite.flatbuffer import pack, unpack, without_unread

from .._resize_names import is_matrix

SMALLEST = 2048  # numbers; below, one more operator and tensor cost as much as is saved


def with_half_constants(content: bytes) -> bytes:
    """The file, with constant operands of sums and products in float16 where they are large and within its range."""
    from ai_edge_litert import schema_py_generated as schema

    model = unpack(content)
    graph = model.subgraphs[0]
    products = {schema.BuiltinOperator.FULLY_CONNECTED}  # with a resize's matrix
    elementwise = {schema.BuiltinOperator.ADD, schema.BuiltinOperator.MUL, schema.BuiltinOperator.SUB}
    read: dict[int, list] = {}  # constant tensor -> operators that read it
    for operator in graph.operators:
        for tensor in operator.inputs:
            read.setdefault(int(tensor), []).append(operator)
    expanding = []
    for number, operators in read.items():
        values = held(model, number)
        allowed = elementwise | products if is_matrix(graph.tensors[number].name.decode()) else elementwise
        codes = {model.operatorCodes[operator.opcodeIndex].builtinCode for operator in operators}
        if values is None or not codes <= allowed or np.abs(values).max() > np.finfo(np.float16).max:
            continue
        half, buffer = schema.TensorT(), schema.BufferT()
        wide = graph.tensors[number]
        buffer.data = values.astype(np.float16).view(np.uint8)
        half.shape, half.type, half.hasRank = wide.shape, schema.TensorType.FLOAT16, True
        half.name, half.buffer = wide.name + b"_half", len(model.buffers)
        wide.buffer = 0
        model.buffers.append(buffer)
        graph.tensors.append(half)
        operator = schema.OperatorT()
        operator.inputs = np.array([len(graph.tensors) - 1], np.int32)
        operator.outputs = np.array([number], np.int32)
        operator.builtinOptionsType = schema.BuiltinOptions.DequantizeOptions
        operator.builtinOptions = schema.DequantizeOptionsT()
        expanding.append(operator)
    if not expanding:
        return content
    code = schema.OperatorCodeT()
    code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.DEQUANTIZE
    model.operatorCodes.append(code)
    for operator in expanding:
        operator.opcodeIndex = len(model.operatorCodes) - 1
    graph.operators = expanding + graph.operators
    return pack(without_unread(model))


def held(model, number: int) -> np.ndarray | None:
    """The numbers of a large float32 constant, flat; None for anything else."""
    from ai_edge_litert import schema_py_generated as schema

    tensor = model.subgraphs[0].tensors[number]
    stored = model.buffers[tensor.buffer].data if tensor.buffer else None
    if tensor.type != schema.TensorType.FLOAT32 or stored is None or len(stored) < 4 * SMALLEST:
        return None
    return np.frombuffer(np.asarray(stored, np.uint8).tobytes(), np.float32)
