"""Weights in half precision: stored so, and made float32 again by one Cast when the file is opened.

ONNX Runtime folds the Cast of a constant away, so that everything is computed in float32 as in the fp32 file. Small
constants and vectors stay float32: they are no download, and some are the eps of a norm, which float16 does not hold.
Biases stay float32, too, and take back the mean of what rounding the weights changes (`rounding.half_biases`).
"""

from __future__ import annotations

from typing import Any

import numpy as np

SMALLEST = 64  # numbers; below, one more node costs as much as is saved


def with_half_weights(content: bytes) -> Any:
    """The model of `content` with matrices and kernels of 64 numbers or more in float16, where it holds them."""
    from onnx import ModelProto, TensorProto, helper, numpy_helper

    model = ModelProto.FromString(content)
    stored, expanding = [], []
    for entry in model.graph.initializer:
        values = numpy_helper.to_array(entry)
        vector = sum(length > 1 for length in values.shape) < 2  # a bias, or scales: little to save, and all to lose
        if entry.data_type != TensorProto.FLOAT or values.size < SMALLEST or vector or not holds(values):
            stored.append(entry)
            continue
        half = f"{entry.name}_half"
        stored.append(numpy_helper.from_array(values.astype(np.float16), half))
        expanding.append(helper.make_node("Cast", [half], [entry.name], name=half, to=TensorProto.FLOAT))
    nodes = [*expanding, *model.graph.node]
    del model.graph.initializer[:], model.graph.node[:]
    model.graph.initializer.extend(stored)
    model.graph.node.extend(nodes)
    return model


def holds(values: np.ndarray) -> bool:
    return bool(np.abs(values).max() <= np.finfo(np.float16).max)
