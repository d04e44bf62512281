"""One map of a float file rounded to 8 bits, all else in float: what that alone costs the answers."""

from __future__ import annotations

from typing import Any

import numpy as np

from edge.runtimes import Outputs
from edge.scheme import Range
from edge.tflite.flatbuffer import code_of, hold, pack, unpack
from edge.tflite.graph import nodes_of

from .._fidelity import sqnr

LOWEST, HIGHEST, STEPS = -128, 127, 255  # of int8


def rounded_alone(content: bytes, tensor: int, limits: Range, chosen: np.ndarray) -> bytes:
    """The float file in which a map's channels with 1 in `chosen`, float32 (C,), are rounded before anything reads it.

    It is x + chosen (Q(x) - x), with Q a QUANTIZE to the 256 values of `limits` and back.
    """
    from ai_edge_litert import schema_py_generated as schema

    model = unpack(content)
    graph = model.subgraphs[0]
    place = next(node.place for node in nodes_of(model) if tensor in node.makes)
    whole, back, error, part, result = (
        like(model, tensor, end) for end in (b"8", b"_back", b"_error", b"_part", b"_r")
    )
    for reader in graph.operators:
        reader.inputs = np.array([result if int(n) == tensor else n for n in reader.inputs], np.int32)
    scale = max((limits[1] - limits[0]) / STEPS, 1e-30)
    entry = graph.tensors[whole]
    entry.type, entry.quantization = schema.TensorType.INT8, schema.QuantizationParametersT()
    entry.quantization.scale = np.array([scale], np.float32)
    entry.quantization.zeroPoint = np.array([np.clip(round(LOWEST - limits[0] / scale), LOWEST, HIGHEST)], np.int64)
    mask = hold(model, chosen, graph.tensors[tensor].name + b"_chosen")
    kinds, options = schema.BuiltinOperator, schema.BuiltinOptions
    steps = [
        (kinds.QUANTIZE, options.QuantizeOptions, schema.QuantizeOptionsT(), [tensor], whole),
        (kinds.DEQUANTIZE, options.DequantizeOptions, schema.DequantizeOptionsT(), [whole], back),
        (kinds.SUB, options.SubOptions, schema.SubOptionsT(), [back, tensor], error),
        (kinds.MUL, options.MulOptions, schema.MulOptionsT(), [error, mask], part),
        (kinds.ADD, options.AddOptions, schema.AddOptionsT(), [tensor, part], result),
    ]
    for offset, (kind, number, option, reads, makes) in enumerate(steps, start=1):
        operator: Any = schema.OperatorT()
        operator.opcodeIndex = code_of(model, kind)
        operator.inputs, operator.outputs = np.array(reads, np.int32), np.array([makes], np.int32)
        operator.builtinOptionsType, operator.builtinOptions = number, option
        graph.operators.insert(place + offset, operator)
    return pack(model)


def like(model: Any, tensor: int, ending: bytes) -> int:
    """A new float32 tensor of the shape of another; its place."""
    from ai_edge_litert import schema_py_generated as schema

    tensors = model.subgraphs[0].tensors
    new = schema.TensorT()
    new.name, new.shape, new.hasRank, new.buffer = tensors[tensor].name + ending, tensors[tensor].shape, True, 0
    new.type = schema.TensorType.FLOAT32
    tensors.append(new)
    return len(tensors) - 1


def noise_of(wanted: Outputs, outputs: Outputs) -> float:
    """Power of the noise at the logits by that of the signal, the mean over images."""
    return float(np.mean(10 ** (-sqnr(wanted, outputs) / 10)))
