"""Operations as mobile runtimes have them, on channels-last maps; plain functions, so that a graph with them runs.

They are what `channels_last` puts in place of ATen's channels-first ones. Maps are (N, H, W, C); a convolution's weight
is (outputs, kernel rows, kernel columns, inputs / groups), of a transposed one too, whose groups are 1.
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
    """`padding`: zeros around rows and columns, or above, below, left and right."""
    above, below, left, right = sides_around(padding)
    x = F.pad(first(x), (left, right, above, below))
    return last(F.conv2d(x, first(weight), bias, list(stride), 0, list(dilation), groups))


def sides_around(padding: Sequence[int]) -> tuple[int, int, int, int]:
    """Zeros above, below, left and right, of the padding of `conv2d`."""
    rows, columns = (padding[:2], padding[2:]) if len(padding) == 4 else ([padding[0]] * 2, [padding[1]] * 2)
    return rows[0], rows[1], columns[0], columns[1]


def same_sides(
    sides: Sequence[int], kernel: Sequence[int], stride: Sequence[int], dilation: Sequence[int]
) -> tuple[int, int, int, int]:
    """What SAME puts above, below, left and right of a map with these sides.

    In all max((ceil(L / s) - 1) s + k - L, 0), the smaller half in front (the TFLite reference kernels).
    """
    around: list[int] = []
    for length, k, s, d in zip(sides, kernel, stride, dilation, strict=True):
        total = max((-(-length // s) - 1) * s + d * (k - 1) + 1 - length, 0)
        around += [total // 2, total - total // 2]
    return around[0], around[1], around[2], around[3]


def conv_transpose2d(
    x: Tensor, weight: Tensor, bias: Tensor | None, stride: Sequence[int], padding: Sequence[int], extra: Sequence[int]
) -> Tensor:
    """`extra` rows and columns behind, as ATen's `output_padding`."""
    return last(
        F.conv_transpose2d(first(x), weight.permute(3, 0, 1, 2), bias, list(stride), list(padding), list(extra))
    )


def transposed_scheme(
    old: Sequence[int], new: Sequence[int], kernel: Sequence[int], stride: Sequence[int], padding: Sequence[int]
) -> str | None:
    """SAME or VALID where a transposed convolution with it, sides `old` -> `new`, cuts `padding` off in front.

    The scheme is that of the convolution the other way, new -> old. VALID cuts nothing off, and what lies behind all
    products holds the bias alone. SAME cuts max((L - 1) s + k - L', 0) off in all, the smaller half in front, and asks
    for L = ceil(L' / s).
    """
    schemes = {"VALID", "SAME"}
    for length, count, k, s, p in zip(old, new, kernel, stride, padding, strict=True):
        whole = (length - 1) * s + k
        if p or count < whole:
            schemes -= {"VALID"}
        if length != math.ceil(count / s) or max(whole - count, 0) // 2 != p:
            schemes -= {"SAME"}
    return max(schemes, default=None)


def avg_pool2d(
    x: Tensor, kernel: Sequence[int], stride: Sequence[int], padding: Sequence[int] = (0, 0), ceiling: bool = False
) -> Tensor:
    """Each window's mean over what it sees of the map."""
    return last(F.avg_pool2d(first(x), list(kernel), list(stride), list(padding), ceiling, count_include_pad=False))


def max_pool2d(
    x: Tensor, kernel: Sequence[int], stride: Sequence[int], padding: Sequence[int], ceiling: bool = False
) -> Tensor:
    return last(F.max_pool2d(first(x), list(kernel), list(stride), list(padding), ceil_mode=ceiling))


def pooling_scheme(
    old: Sequence[int], new: Sequence[int], kernel: Sequence[int], stride: Sequence[int], padding: Sequence[int]
) -> str | None:
    """SAME or VALID where its windows over sides `old` -> `new` are those of a pool padded by `padding`.

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


def resize_nearest_exact(x: Tensor, size: Sequence[int]) -> Tensor:
    return last(F.interpolate(first(x), size=list(size), mode="nearest-exact"))


def prelu(x: Tensor, weight: Tensor) -> Tensor:
    return last(F.prelu(first(x), weight))


def first(x: Tensor) -> Tensor:
    return x.permute(0, 3, 1, 2)


def last(x: Tensor) -> Tensor:
    return x.permute(0, 2, 3, 1)


def matmul_transposed(a: Tensor, b: Tensor) -> Tensor:
    """a b^T over the last two axes, batched over the others."""
    return a @ b.transpose(-2, -1)
