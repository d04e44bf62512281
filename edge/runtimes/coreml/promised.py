"""What a package says of its outputs, against what its program states of the values that it gives."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from edge.errors import InputError

from .features import ARRAYS
from .program import Output, Program
from .stated import DTYPES


def check_promised(description: Any, program: Program) -> None:
    """InputError for an output that is described without a type, as another kind of number, or in another shape.

    Such a result would be converted, and lose its fractions or its size, without a word.
    """
    values = {value.name: value for value in program.inputs}
    values |= {output.name: output for operation in program.operations for output in operation.outputs}
    for feature in description:
        kind = feature.type.WhichOneof("Type")
        if kind is None:
            raise InputError(f"the package does not say what its output {feature.name} is; convert the model again")
        if kind == "multiArrayType" and feature.name in values:
            check_array(feature.name, feature.type.multiArrayType, values[feature.name])


def check_array(name: str, promised: Any, value: Output) -> None:
    kind = ARRAYS.get(int(promised.dataType))
    if kind is None:
        raise InputError(
            f"the package promises its output {name} in the type {int(promised.dataType)}, which Core ML does not "
            "have; convert the model again"
        )
    dtype, shape = DTYPES.get(value.element), tuple(promised.shape)
    fits = dtype is None or fits_in(torch.empty(0, dtype=dtype).numpy().dtype, np.dtype(kind))
    closed = value.shape is not None and promised.WhichOneof("ShapeFlexibility") is None and bool(shape)
    if not fits or (closed and shape != (value.shape or (1,))):  # a single number is described as an array of one
        raise InputError(
            f"the package promises its output {name} as {np.dtype(kind)} {shape}, its program states {value.words}; "
            "convert the model again"
        )


def fits_in(dtype: np.dtype, kind: np.dtype) -> bool:
    """Whether numbers of a type are kept by another: floats by floats, whole numbers by those that are no narrower."""
    if "f" in (dtype.kind, kind.kind):
        return dtype.kind == kind.kind
    return dtype.itemsize <= kind.itemsize
