"""8-bit values with a scale."""

from __future__ import annotations

import torch
from torch import Tensor

LIMITS = {"int8": (-128, 127), "uint8": (0, 255)}


def along(value: Tensor, rank: int, axis: int | None) -> Tensor:
    """One number, or one for each place of an axis, ready to be combined with a tensor of that rank."""
    if value.ndim == 0:
        return value
    if axis is None:
        raise ValueError("a scale for each channel needs an axis")
    return value.reshape([-1 if a == axis % rank else 1 for a in range(rank)])


def quantize(
    input: Tensor, scale: Tensor, output_dtype: str, zero_point: Tensor | None = None, axis: int | None = None
) -> Tensor:
    """round(input / scale) + zero point, halves to the even neighbour, cut to the type."""
    low, high = LIMITS[output_dtype]
    whole = torch.round(input / along(scale, input.ndim, axis))
    if zero_point is not None:
        whole = whole + along(zero_point.float(), input.ndim, axis)
    return whole.clamp(low, high)


def dequantize(input: Tensor, scale: Tensor, zero_point: Tensor | None = None, axis: int | None = None) -> Tensor:
    """(input - zero point) * scale."""
    value = input.float()
    if zero_point is not None:
        value = value - along(zero_point.float(), input.ndim, axis)
    return value * along(scale, input.ndim, axis)


TABLE = {"quantize": quantize, "dequantize": dequantize}
EXACT: frozenset[str] = frozenset()
