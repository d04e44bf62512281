"""Fully connected layers in whole numbers in the form that old runtimes compute rightly.

An int8 FULLY_CONNECTED whose weights have a scale for each output channel has the operator's version 4 or 5 like one
with a single scale, and TFLite before 2.10 takes it for one: 2.8.0 and 2.9.0 gave the same answer for every picture.
The same product is a 1 x 1 CONV_2D, of which every TFLite since 1.14 knows scales by channel, over rows that a RESHAPE
lays out as places of a map. The stored weights, scales and answers stay as they are.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from edge.tflite.flatbuffer import code_name, code_of, pack, unpack, without_unread

ROWS, MAP, LAYER = b"_rows", b"_places", b"_as_convolution"  # of the names of what is added


def with_products_as_convolutions(content: bytes) -> bytes:
    """The file with every int8 FULLY_CONNECTED of scales by channel as RESHAPE, CONV_2D and RESHAPE."""
    from ai_edge_litert import schema_py_generated as schema

    model = unpack(content)
    graph = model.subgraphs[0]
    operators: list[Any] = []
    for operator in graph.operators:
        if not is_by_channel(model, operator):
            operators.append(operator)
            continue
        place, weight_place, result_place = (int(n) for n in (*operator.inputs[:2], operator.outputs[0]))
        x, weight, result = (graph.tensors[n] for n in (place, weight_place, result_place))
        channels, width = (int(n) for n in weight.shape)
        rows = int(np.prod(x.shape)) // width
        entry = tensor_like(model, x, [1, rows, 1, width], x.name + ROWS)
        exit_ = tensor_like(model, result, [1, rows, 1, channels], result.name + MAP)
        kernel = tensor_like(model, weight, [channels, 1, 1, width], weight.name + LAYER)
        graph.tensors[kernel].buffer = weight.buffer
        bias = int(operator.inputs[2]) if len(operator.inputs) > 2 else -1
        if bias < 0:  # old kernels want one
            bias = no_bias(model, x, weight, channels)
        options = schema.Conv2DOptionsT()
        options.strideH = options.strideW = options.dilationHFactor = options.dilationWFactor = 1
        options.padding = schema.Padding.VALID
        options.fusedActivationFunction = operator.builtinOptions.fusedActivationFunction
        operator.opcodeIndex = code_of(model, schema.BuiltinOperator.CONV_2D)
        operator.builtinOptionsType, operator.builtinOptions = schema.BuiltinOptions.Conv2DOptions, options
        operator.inputs = np.array([entry, kernel, bias], np.int32)
        operator.outputs = np.array([exit_], np.int32)
        operators += [reshape(model, place, entry), operator, reshape(model, exit_, result_place)]
    if len(operators) == len(graph.operators):
        return content
    graph.operators = operators
    return pack(without_unread(model))


def is_by_channel(model: Any, operator: Any) -> bool:
    """Whether it is a FULLY_CONNECTED with operand, weights and result of int8, and several scales of the weights."""
    from ai_edge_litert import schema_py_generated as schema

    if code_name(model.operatorCodes[operator.opcodeIndex]) != "FULLY_CONNECTED":
        return False
    tensors = [model.subgraphs[0].tensors[int(n)] for n in (*operator.inputs[:2], operator.outputs[0])]
    return all(t.type == schema.TensorType.INT8 for t in tensors) and len(tensors[1].quantization.scale) > 1


def tensor_like(model: Any, tensor: Any, shape: list[int], name: bytes) -> int:
    """A new tensor of the same type and scales, without data; its place. A name that is taken gets a number."""
    from ai_edge_litert import schema_py_generated as schema

    tensors = model.subgraphs[0].tensors
    names = {other.name for other in tensors}
    new = schema.TensorT()
    new.name = name if name not in names else name + f"_{len(tensors)}".encode()
    new.shape, new.type, new.hasRank, new.buffer = np.array(shape, np.int32), tensor.type, True, 0
    new.quantization = tensor.quantization
    tensors.append(new)
    return len(tensors) - 1


def no_bias(model: Any, x: Any, weight: Any, channels: int) -> int:
    """A new constant of int32 zeros (channels,)."""
    from ai_edge_litert import schema_py_generated as schema

    new = tensor_like(model, x, [channels], weight.name + b"_no_bias")
    tensor, buffer = model.subgraphs[0].tensors[new], schema.BufferT()
    buffer.data = np.zeros(4 * channels, np.uint8)
    tensor.type, tensor.buffer = schema.TensorType.INT32, len(model.buffers)
    tensor.quantization = schema.QuantizationParametersT()
    tensor.quantization.scale = np.asarray(weight.quantization.scale, np.float32) * np.float32(x.quantization.scale[0])
    tensor.quantization.zeroPoint = np.zeros(channels, np.int64)
    tensor.quantization.quantizedDimension = 0
    model.buffers.append(buffer)
    return new


def reshape(model: Any, source: int, target: int) -> Any:
    """The operator that gives the source's values in the target's shape."""
    from ai_edge_litert import schema_py_generated as schema

    operator, tensors = schema.OperatorT(), model.subgraphs[0].tensors
    wanted = np.array(tensors[target].shape, np.int32)
    tensor, buffer = schema.TensorT(), schema.BufferT()
    buffer.data = wanted.view(np.uint8)
    tensor.name, tensor.shape, tensor.hasRank = (
        tensors[target].name + b"_shape",
        np.array([len(wanted)], np.int32),
        True,
    )
    tensor.type, tensor.buffer = schema.TensorType.INT32, len(model.buffers)
    model.buffers.append(buffer)
    tensors.append(tensor)
    operator.opcodeIndex = code_of(model, schema.BuiltinOperator.RESHAPE)
    operator.inputs = np.array([source, len(tensors) - 1], np.int32)
    operator.outputs = np.array([target], np.int32)
    options = schema.ReshapeOptionsT()
    options.newShape = wanted
    operator.builtinOptionsType, operator.builtinOptions = schema.BuiltinOptions.ReshapeOptions, options
    return operator
