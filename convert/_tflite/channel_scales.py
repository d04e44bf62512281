"""Products with 8-bit weights and float input in the form that old runtimes compute rightly.

A scale for each output channel is version 12 of FULLY_CONNECTED, which TFLite before 2.17 does not know. The same
product is written as one that every version knows: weights with a single scale, the layer's largest, and a MUL by what
each channel's scale is of it behind the product,

    part * (largest * weights @ x + bias / part) = (scale * weights) @ x + bias,    part = scale / largest.

The stored 8-bit weights stay as they are. The largest scale keeps sums as large as the layer's own results: with the
scale 1 they are a hundred times larger and leave the range of half precision, in which phones compute if an app asks
for it. 1 x 1 convolutions are written so too (`pointwise.py`), and where a depthwise convolution reads the product, the
MUL goes into its weights (`depthwise_scales.py`). docs/edge_graph.md has the table of forms and what each costs.
"""

from __future__ import annotations

import numpy as np

from edge.tflite.flatbuffer import code_name, code_of, constant_of, hold, pack, unpack, without_unread

from .depthwise_scales import into_depthwise
from .pointwise import as_products

SUFFIX = b"_unscaled"  # of the product's name; the MUL's result keeps the layer's own
LARGEST_BIAS = 2.0**14  # of a product; half precision ends at 2^16


def with_scales_behind(content: bytes) -> bytes:
    """The file with every float FULLY_CONNECTED and 1 x 1 CONV_2D of 8-bit weights as a product with one scale, and a
    MUL."""
    from ai_edge_litert import schema_py_generated as schema

    model = unpack(content)
    as_products(model)
    operators: list = []
    graph = model.subgraphs[0]
    scales_of: dict[int, np.ndarray] = {}  # weight tensor -> scales; layers can share it
    read = [int(n) for operator in graph.operators for n in operator.inputs]
    for operator in graph.operators:
        operators.append(operator)
        if code_name(model.operatorCodes[operator.opcodeIndex]) != "FULLY_CONNECTED":
            continue
        x, weight, result = (graph.tensors[int(n)] for n in (*operator.inputs[:2], operator.outputs[0]))
        if (x.type, weight.type) != (schema.TensorType.FLOAT32, schema.TensorType.INT8):
            continue
        place = int(operator.inputs[1])
        scales = scales_of.setdefault(place, np.asarray(weight.quantization.scale, np.float32))
        parts = np.broadcast_to(scales / scales.max(), (weight.shape[0],))
        weight.quantization.scale = scales.max(keepdims=True)
        weight.quantization.zeroPoint = np.zeros(1, np.int64)
        weight.quantization.quantizedDimension = 0
        if len(operator.inputs) > 2 and operator.inputs[2] >= 0:
            bias, name = constant_of(model, int(operator.inputs[2])), graph.tensors[int(operator.inputs[2])].name
            if read.count(place) == 1:
                parts = without_infinite_bias(model, weight, parts, bias)
            operator.inputs = np.array([*operator.inputs[:2], hold(model, bias / parts, name + b"_by_scale")], np.int32)
        product = schema.TensorT()
        product.shape, product.type, product.hasRank = result.shape, result.type, True
        product.name, product.buffer = result.name + SUFFIX, 0
        graph.tensors.append(product)
        unscaled, scale = len(graph.tensors) - 1, hold(model, parts, result.name + b"_scale")
        options = schema.MulOptionsT()
        options.fusedActivationFunction = operator.builtinOptions.fusedActivationFunction
        operator.builtinOptions.fusedActivationFunction = schema.ActivationFunctionType.NONE
        # Old kernels then give rows above zero all 8 bits too; XNNPACK always does, and does not ask.
        operator.builtinOptions.asymmetricQuantizeInputs = True
        behind = schema.OperatorT()
        behind.opcodeIndex = code_of(model, schema.BuiltinOperator.MUL)
        behind.inputs, behind.outputs = np.array([unscaled, scale], np.int32), operator.outputs
        behind.builtinOptionsType, behind.builtinOptions = schema.BuiltinOptions.MulOptions, options
        operator.outputs = np.array([unscaled], np.int32)
        operators.append(behind)
    if not scales_of:
        return content
    graph.operators = operators
    into_depthwise(model)
    return pack(without_unread(model))


def without_infinite_bias(model, weight, parts: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """The parts (O,), no smaller than keeps bias / part in the range of half precision; the weights of the channels in
    question are rounded anew, to steps that are next to nothing beside their bias."""
    wanted = np.maximum(parts, np.abs(bias) / LARGEST_BIAS).astype(np.float32)
    few = wanted > parts
    if few.any():
        buffer = model.buffers[weight.buffer]
        stored = np.frombuffer(np.asarray(buffer.data, np.uint8).tobytes(), np.int8).reshape(len(parts), -1).copy()
        stored[few] = np.round(stored[few] * (parts[few] / wanted[few])[:, None])
        buffer.data = stored.reshape(-1).view(np.uint8)
    return wanted
