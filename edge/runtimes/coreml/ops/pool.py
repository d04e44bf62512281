"""Pooling."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from .kinds import Ints
from .padding import Pads, amounts, padded, spatial

MEANS = {1: F.avg_pool1d, 2: F.avg_pool2d, 3: F.avg_pool3d}
MAXIMA = {1: F.max_pool1d, 2: F.max_pool2d, 3: F.max_pool3d}
UNSET: Ints = []


def max_pool(
    x: Tensor, kernel_sizes: Ints, pad_type: str, strides: Ints = UNSET, pad: Ints = UNSET, ceil_mode: bool = False
) -> Tensor:
    """Padding is never the maximum."""
    rank = spatial(x)
    strides = strides or [1] * rank
    pads = amounts(pad_type, pad, x.shape[2:], kernel_sizes, strides)
    if light(pads, kernel_sizes):
        return MAXIMA[rank](x, kernel_sizes, strides, [before for before, _ in pads], 1, ceil_mode)
    sizes = lengths(x, kernel_sizes, strides, pads, ceil_mode)
    return cut(MAXIMA[rank](padded(x, pads, -torch.inf), kernel_sizes, strides, 0, 1, ceil_mode), sizes)


def avg_pool(
    x: Tensor,
    kernel_sizes: Ints,
    pad_type: str,
    strides: Ints = UNSET,
    pad: Ints = UNSET,
    ceil_mode: bool = False,
    exclude_padding_from_average: bool = False,
) -> Tensor:
    """Places beyond the padding, as `ceil_mode` reaches them, are never counted; the padding is, unless excluded."""
    rank = spatial(x)
    strides = strides or [1] * rank
    pads = amounts(pad_type, pad, x.shape[2:], kernel_sizes, strides)
    mean = MEANS[rank]
    if light(pads, kernel_sizes):
        inner = [before for before, _ in pads]
        return mean(x, kernel_sizes, strides, inner, ceil_mode, not exclude_padding_from_average)
    sizes = lengths(x, kernel_sizes, strides, pads, ceil_mode)
    means = mean(padded(x, pads), kernel_sizes, strides, 0, ceil_mode)
    if exclude_padding_from_average:
        inside = padded(x.new_ones((1, 1, *x.shape[2:])), pads)
        means = means / mean(inside, kernel_sizes, strides, 0, ceil_mode)
    return cut(means, sizes)


def l2_pool(
    x: Tensor, kernel_sizes: Ints, pad_type: str, strides: Ints = UNSET, pad: Ints = UNSET, ceil_mode: bool = False
) -> Tensor:
    """The root of the sum of the squares in a window."""
    rank = spatial(x)
    strides = strides or [1] * rank
    pads = amounts(pad_type, pad, x.shape[2:], kernel_sizes, strides)
    sizes = lengths(x, kernel_sizes, strides, pads, ceil_mode)
    squares = padded(x * x, pads)
    if rank == 1:  # only the pools of two and three dimensions can sum
        squares, kernel_sizes, strides = squares.unsqueeze(2), [1, *kernel_sizes], [1, *strides]
        return cut(
            F.avg_pool2d(squares, kernel_sizes, strides, 0, ceil_mode, divisor_override=1)[:, :, 0], sizes
        ).sqrt()
    total = F.avg_pool2d if rank == 2 else F.avg_pool3d
    return cut(total(squares, kernel_sizes, strides, 0, ceil_mode, divisor_override=1), sizes).sqrt()


def light(pads: Pads, kernel: Ints) -> bool:
    """Padding that torch's pools do by themselves: the same on both sides, and at most half of the window."""
    return all(before == after and 2 * before <= k for (before, after), k in zip(pads, kernel, strict=True))


def lengths(x: Tensor, kernel: Ints, strides: Ints, pads: Pads, ceil_mode: bool) -> list[int]:
    """Of the result. With `ceil_mode` the last window may end outside, but starts before the padding at the end."""
    counts = []
    for n, k, s, (before, after) in zip(x.shape[2:], kernel, strides, pads, strict=True):
        whole = n + before + after - k
        count = (-(-whole // s) if ceil_mode else whole // s) + 1
        counts.append(count - 1 if ceil_mode and (count - 1) * s >= n + before else count)
    return counts


def cut(x: Tensor, sizes: list[int]) -> Tensor:
    for dimension, size in enumerate(sizes, 2):
        x = x.narrow(dimension, 0, size)
    return x


TABLE = {"avg_pool": avg_pool, "l2_pool": l2_pool, "max_pool": max_pool}
EXACT = frozenset({"max_pool"})
