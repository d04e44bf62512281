"""Fully connected layers with 8-bit weights and float input in the form that old runtimes compute rightly.

A scale for each output channel is version 12 of FULLY_CONNECTED, which TFLite before 2.17 does not know. The same
product is written as one that every version knows: weights with the single scale 1, the bias divided by the scales, and
a MUL by the scales behind it,

    scale * (weights @ x + bias / scale) = (scale * weights) @ x + bias.

The stored 8-bit weights stay as they are. docs/edge_graph.md has the table of forms and what each costs.
"""

from __future__ import annotations

import numpy as np

from .flatbuffer import code_name, constant_of, pack, unpack

SUFFIX = b"_unscaled"  # of the product's name; the MUL's result keeps the layer's own


def with_scales_behind(content: bytes) -> bytes:
    """The file with every float FULLY_CONNECTED of 8-bit weights as a product with one scale, and a MUL."""
    from ai_edge_litert import schema_py_generated as schema

    model = unpack(content)
    operators, changed = [], False
    graph = model.subgraphs[0]
    for operator in graph.operators:
        operators.append(operator)
        if code_name(model.operatorCodes[operator.opcodeIndex]) != "FULLY_CONNECTED":
            continue
        x, weight, result = (graph.tensors[int(n)] for n in (*operator.inputs[:2], operator.outputs[0]))
        if (x.type, weight.type) != (schema.TensorType.FLOAT32, schema.TensorType.INT8):
            continue
        scales = np.asarray(weight.quantization.scale, np.float32)
        changed = True
        weight.quantization.scale = np.ones(1, np.float32)
        weight.quantization.zeroPoint = np.zeros(1, np.int64)
        weight.quantization.quantizedDimension = 0
        if len(operator.inputs) > 2 and operator.inputs[2] >= 0:
            bias = int(operator.inputs[2])
            divided = held(model, constant_of(model, bias) / scales, graph.tensors[bias].name + b"_by_scale")
            operator.inputs = np.array([*operator.inputs[:2], divided], np.int32)
        product = schema.TensorT()
        product.shape, product.type, product.hasRank = result.shape, result.type, True
        product.name, product.buffer = result.name + SUFFIX, 0
        graph.tensors.append(product)
        scale = held(model, scales, result.name + b"_scale")
        options = schema.MulOptionsT()
        options.fusedActivationFunction = operator.builtinOptions.fusedActivationFunction
        operator.builtinOptions.fusedActivationFunction = schema.ActivationFunctionType.NONE
        behind = schema.OperatorT()
        behind.opcodeIndex = code_of(model, schema.BuiltinOperator.MUL)
        behind.inputs = np.array([len(graph.tensors) - 2, scale], np.int32)
        behind.outputs = operator.outputs
        behind.builtinOptionsType, behind.builtinOptions = schema.BuiltinOptions.MulOptions, options
        operator.outputs = np.array([len(graph.tensors) - 2], np.int32)
        operators.append(behind)
    graph.operators = operators
    return pack(model) if changed else content


def held(model, values: np.ndarray, name: bytes) -> int:
    """A new float32 constant (N,); its place among the tensors."""
    from ai_edge_litert import schema_py_generated as schema

    tensor, buffer = schema.TensorT(), schema.BufferT()
    buffer.data = np.ascontiguousarray(values, np.float32).view(np.uint8)
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
