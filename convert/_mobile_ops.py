"""Operations as mobile runtimes have them, on channels-last maps; plain functions, so that a graph with them runs.

They are what `channels_last` puts in place of ATen's channels-first ones. Maps are (N, H, W, C); a convolution's weight
is (outputs, kernel rows, kernel columns, inputs / groups).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor


def conv2d(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    groups: int,
) -> Tensor:
    y = F.conv2d(first(x), first(weight), bias, list(stride), list(padding), list(dilation), groups)
    return last(y)


def avg_pool2d(x: Tensor, kernel: Sequence[int], stride: Sequence[int]) -> Tensor:
    return last(F.avg_pool2d(first(x), list(kernel), list(stride)))


def max_pool2d(
    x: Tensor, kernel: Sequence[int], stride: Sequence[int], padding: Sequence[int], ceiling: bool = False
) -> Tensor:
    return last(F.max_pool2d(first(x), list(kernel), list(stride), list(padding), ceil_mode=ceiling))


def pooling_scheme(
    old: Sequence[int], new: Sequence[int], kernel: Sequence[int], stride: Sequence[int], padding: Sequence[int]
) -> str | None:
    """SAME or VALID where its windows over sides `old` -> `new` are those of a maximum pool padded by `padding`.

    SAME has ceil(L / s) windows and pads max((ceil(L / s) - 1) s + k - L, 0) in all, the smaller half in front.
    """
    schemes = {"VALID", "SAME"}
    for length, count, k, s, p in zip(old, new, kernel, stride, padding, strict=True):
        windows = math.ceil(length / s)
        if p or (length - k) // s + 1 != count:
            schemes -= {"VALID"}
        if windows != count or max((windows - 1) * s + k - length, 0) // 2 != p:
            schemes -= {"SAME"}
    return max(schemes, default=None)


def resize_bilinear(x: Tensor, size: Sequence[int], align_corners: bool) -> Tensor:
    return last(F.interpolate(first(x), size=list(size), mode="bilinear", align_corners=align_corners))


def resize_nearest(x: Tensor, size: Sequence[int]) -> Tensor:
    return last(F.interpolate(first(x), size=list(size), mode="nearest"))


def prelu(x: Tensor, weight: Tensor) -> Tensor:
    return last(F.prelu(first(x), weight))


def first(x: Tensor) -> Tensor:
    return x.permute(0, 3, 1, 2)


def last(x: Tensor) -> Tensor:
    return x.permute(0, 2, 3, 1)


def matmul_transposed(a: Tensor, b: Tensor) -> Tensor:
    """a b^T over the last two axes, batched over the others."""
    return a @ b.transpose(-2, -1)
