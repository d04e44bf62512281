"""1 x 1 convolutions with 8-bit weights and float input as fully connected layers.

XNNPACK takes a range for each pixel of such a convolution's input, the kernels of Android's TFLite up to 2.16 one range
for the whole picture; of a fully connected layer both take a range for each row. The MUL by the scales that belongs to
this form is one pass over the result, which is little beside the product of many channels, and nothing where it goes
into a depthwise convolution. Convolutions of few channels otherwise stay as they are.
"""

from __future__ import annotations

import numpy as np

from edge.tflite.flatbuffer import code_name, code_of, readers_in

from .depthwise_scales import reader_of_scales

# Input channels. LiteRT on x86-64 with AVX-512, one thread, int8-dynamic at 224 pixels, time by that of CONV_2D:
# MobileViT-S 1.08 with every such layer, 1.03 from 48 on; MobileNetV3 1.03, ShuffleNetV2 1.03.
ENOUGH_CHANNELS = 48


def as_products(model) -> None:
    """Write them so in an unpacked file: float input, int8 weights (O, 1, 1, I), stride 1."""
    from ai_edge_litert import schema_py_generated as schema

    graph, readers = model.subgraphs[0], readers_in(model)
    for operator in graph.operators:
        if code_name(model.operatorCodes[operator.opcodeIndex]) != "CONV_2D":
            continue
        x, weight = (graph.tensors[int(n)] for n in operator.inputs[:2])
        convolution = operator.builtinOptions
        if (
            (x.type, weight.type) != (schema.TensorType.FLOAT32, schema.TensorType.INT8)
            or tuple(weight.shape[1:3]) != (1, 1)
            or (convolution.strideH, convolution.strideW) != (1, 1)
            or weight.shape[3] != x.shape[3]  # grouped
            or len(readers[int(operator.inputs[1])]) > 1  # the weights' shape is changed
        ):
            continue
        foldable = reader_of_scales(model, readers, int(operator.outputs[0]), convolution.fusedActivationFunction)
        if weight.shape[3] < ENOUGH_CHANNELS and foldable is None:
            continue
        weight.shape = np.array([weight.shape[0], weight.shape[3]], np.int32)
        weight.shapeSignature = None
        options = schema.FullyConnectedOptionsT()
        options.keepNumDims, options.fusedActivationFunction = True, convolution.fusedActivationFunction
        operator.builtinOptionsType = schema.BuiltinOptions.FullyConnectedOptions
        operator.builtinOptions = options
        operator.opcodeIndex = code_of(model, schema.BuiltinOperator.FULLY_CONNECTED)
