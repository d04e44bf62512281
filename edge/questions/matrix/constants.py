"""The numbers of a .tflite's constants, as its operators understand them."""

from __future__ import annotations

from typing import Any

import numpy as np

from edge.tflite.graph import stored
from edge.tflite.versions import FLOAT16, FLOAT32, INT4, INT8, UINT8

TYPES = {FLOAT32: np.float32, FLOAT16: np.float16, INT8: np.int8, UINT8: np.uint8}


def constant_of(model: Any, tensor: int) -> tuple[np.ndarray, np.ndarray] | None:
    """A constant, dequantised, float32 in its shape, and the step between two of its values: one, or one for each
    channel; of half precision the step at the largest. None where it is no constant of a type that layers have.
    """
    entry = model.subgraphs[0].tensors[stored(model, tensor)]
    data = model.buffers[entry.buffer].data
    if data is None or not len(data):
        return None
    content = np.asarray(data, np.uint8)
    if entry.type == INT4:  # two in a byte, the first in the lower half
        codes = np.stack([content << 4, content], axis=-1).view(np.int8).reshape(-1) >> 4
        codes = codes[: int(np.prod(entry.shape))]
    elif entry.type in TYPES:
        codes = np.frombuffer(content.tobytes(), TYPES[entry.type])
    else:
        return None
    numbers = codes.reshape(tuple(entry.shape)).astype(np.float32)
    quantization = entry.quantization
    if quantization is None or quantization.scale is None or not len(quantization.scale):
        step = np.abs(numbers).max(initial=0.0) * 2.0**-11 if entry.type == FLOAT16 else 0.0
        return numbers, np.array([step])
    scales = np.asarray(quantization.scale, np.float32)
    zeros = np.asarray(quantization.zeroPoint if quantization.zeroPoint is not None else [0], np.float32)
    shape = [1] * numbers.ndim
    if len(scales) > 1:
        shape[int(quantization.quantizedDimension)] = len(scales)
    zero = zeros.reshape(shape) if len(zeros) == len(scales) > 1 else zeros[0] if len(zeros) else 0
    return (numbers - zero) * scales.reshape(shape), scales.astype(np.float64)
