"""A value against what the program states of it: the kind of number, and the shape."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from .ops.lists import TensorList
from .program import Output, Sides

DTYPES = {
    "FLOAT64": torch.float64, "FLOAT32": torch.float32, "FLOAT16": torch.float16, "BOOL": torch.bool,
    "INT64": torch.int64, "INT32": torch.int32, "INT16": torch.int16, "INT8": torch.int8, "INT4": torch.int8,
    "UINT64": torch.uint64, "UINT32": torch.uint32, "UINT16": torch.uint16, "UINT8": torch.uint8,
    "UINT6": torch.uint8, "UINT4": torch.uint8, "UINT3": torch.uint8, "UINT2": torch.uint8, "UINT1": torch.uint8,
}  # fmt: skip
# What is no tensor: a list that a program fills, probabilities by class, a class by its name or its number.
OTHERS: dict[str, Any] = {"LIST": TensorList, "DICTIONARY": dict, "STRING": (str, list), "INT64": int}
HELD_IN = {torch.float16: torch.float32, torch.uint16: torch.int32}
# Operations that compute in floats what they give in whole numbers.
IN_FLOATS = frozenset(
    {"exp2", "matmul", "quantize", "reduce_l2_norm", "reduce_log_sum", "reduce_log_sum_exp", "reduce_mean"}
)


def misfit(value: Any, output: Output, kind: str = "") -> str | None:
    """What came, in words, where it cannot be the value of which `output` is stated; None where it can.

    `kind`: of the operation that gave it; empty for an input of a function or block.
    """
    if not isinstance(value, Tensor):
        return None if isinstance(value, OTHERS.get(output.element, ())) else type(value).__name__
    if number_fits(value, output.element, kind) and sides_fit(value.shape, output.sides):
        return None
    return f"{str(value.dtype).removeprefix('torch.')} {tuple(value.shape)}"


def number_fits(value: Tensor, element: str, kind: str) -> bool:
    dtype, came = DTYPES.get(element), value.dtype
    if dtype is None or dtype == came:
        return dtype is not None
    if came.is_floating_point or dtype.is_floating_point:
        both = came.is_floating_point and dtype.is_floating_point
        return both or (came.is_floating_point and dtype != torch.bool and kind in IN_FLOATS)
    if torch.bool in {came, dtype}:
        return False
    # Places and counts come in 64 bits, whatever the program states; types that torch lacks in one that is wider.
    if came not in {torch.int64, HELD_IN.get(dtype)}:
        return False
    if dtype.itemsize >= torch.int32.itemsize or not value.numel():
        return True
    low, high = value.aminmax()
    limits = torch.iinfo(dtype)
    return limits.min <= int(low) and int(high) <= limits.max


def sides_fit(shape: tuple[int, ...], sides: Sides | None) -> bool:
    """Whether a shape is the stated one; None stands for a side that may have any length, or for any shape."""
    if sides is None:
        return True
    return len(shape) == len(sides) and all(n is None or n == came for came, n in zip(shape, sides, strict=True))


def shape_test(sides: Sides | None) -> Callable[[tuple[int, ...]], bool]:
    """`sides_fit` of a stated shape, made once: a closed one is compared as a whole."""
    if sides is None:
        return lambda shape: True
    if None in sides:
        return lambda shape: sides_fit(shape, sides)
    return sides.__eq__
