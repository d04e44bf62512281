"""The MUL by channel scales behind a product, folded into the float depthwise convolution that alone reads it.

    depthwise(relu(part * u)) = (part * depthwise)(relu(u)),

because scales are above zero and a depthwise convolution keeps channels apart; zeros around the map stay zeros.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from edge.tflite.flatbuffer import code_name, constant_of, hold, readers_in


def into_depthwise(model) -> None:
    """Fold every such MUL of an unpacked file; the product then keeps its own result, unscaled."""
    graph, readers = model.subgraphs[0], readers_in(model)
    makers = {int(tensor): operator for operator in graph.operators for tensor in operator.outputs}
    folded = set()
    for number, operator in enumerate(graph.operators):
        product = makers.get(int(operator.inputs[0])) if len(operator.inputs) else None
        if code_name(model.operatorCodes[operator.opcodeIndex]) != "MUL" or product is None:
            continue
        if not is_8bit_product(model, product):
            continue
        activation = operator.builtinOptions.fusedActivationFunction
        reader = reader_of_scales(model, readers, int(operator.outputs[0]), activation)
        if reader is None:
            continue
        weights, parts = constant_of(model, int(reader.inputs[1])), constant_of(model, int(operator.inputs[1]))
        parts = np.repeat(parts, weights.shape[3] // len(parts))  # several filters for a channel lie side by side
        name = graph.tensors[int(reader.inputs[1])].name + b"_scaled"
        reader.inputs = np.array([reader.inputs[0], hold(model, weights * parts, name), *reader.inputs[2:]], np.int32)
        product.builtinOptions.fusedActivationFunction = activation
        for place in readers[int(operator.outputs[0])]:
            place.inputs = np.array(
                [operator.inputs[0] if n == operator.outputs[0] else n for n in place.inputs], np.int32
            )
        folded.add(number)
    graph.operators = [operator for number, operator in enumerate(graph.operators) if number not in folded]


def reader_of_scales(model, readers, tensor: int, activation: int) -> Any:
    """The depthwise convolution, behind a padding or not, into whose weights a factor for each channel of `tensor` can
    go; None where there is none, or where the fused `activation` is neither ReLU nor nothing."""
    from ai_edge_litert import schema_py_generated as schema

    graph = model.subgraphs[0]
    if activation not in (schema.ActivationFunctionType.NONE, schema.ActivationFunctionType.RELU):
        return None
    while tensor not in graph.outputs and len(readers[tensor]) == 1:
        (reader,) = readers[tensor]
        name = code_name(model.operatorCodes[reader.opcodeIndex])
        if name == "DEPTHWISE_CONV_2D":
            weights = graph.tensors[int(reader.inputs[1])]
            stored = model.buffers[weights.buffer].data
            is_float = weights.type == schema.TensorType.FLOAT32 and stored is not None and len(stored)
            return reader if is_float and int(reader.inputs[0]) == tensor else None
        padded = int(reader.outputs[0])
        if name != "PAD" or graph.tensors[padded].shape[-1] != graph.tensors[tensor].shape[-1]:  # of channels
            return None
        tensor = padded
    return None


def is_8bit_product(model, operator) -> bool:
    from ai_edge_litert import schema_py_generated as schema

    if code_name(model.operatorCodes[operator.opcodeIndex]) != "FULLY_CONNECTED":
        return False
    x, weight = (model.subgraphs[0].tensors[int(n)].type for n in operator.inputs[:2])
    return (x, weight) == (schema.TensorType.FLOAT32, schema.TensorType.INT8)
