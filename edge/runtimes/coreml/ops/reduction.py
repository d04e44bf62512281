"""Sums, means, extremes and norms over axes; over all of them where none is named."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from .kinds import Ints


def over_axes(function: Callable[[Tensor, list[int], bool], Tensor]) -> Callable[..., Tensor]:
    def op(x: Tensor, axes: Ints | None = None, keep_dims: bool = False) -> Tensor:
        return function(x, list(range(x.ndim)) if axes is None else axes, keep_dims)

    return op


def product(x: Tensor, axes: list[int], keep: bool) -> Tensor:
    for axis in sorted((a % x.ndim for a in axes), reverse=True):
        x = x.prod(axis, keepdim=keep)
    return x


def mean(x: Tensor, axes: list[int], keep: bool) -> Tensor:
    """Of whole numbers in float64, which holds each of them; the stated type cuts the fraction off."""
    return (x if x.is_floating_point() else x.double()).mean(axes, keepdim=keep)


def log_sum_exp(x: Tensor, axes: list[int], keep: bool) -> Tensor:
    return torch.logsumexp(x, axes, keepdim=keep)


def position(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """Where the extreme of an axis is; the first of equal ones."""

    def op(x: Tensor, axis: int = -1, keep_dims: bool = False, output_dtype: str = "int32") -> Tensor:
        return function(x, dim=axis, keepdim=keep_dims)

    return op


def first_highest(x: Tensor, dim: int, keepdim: bool) -> Tensor:
    """torch does not promise the first of equal values; this does."""
    equal = (x == x.amax(dim, keepdim=True)).to(torch.int8)
    return equal.argmax(dim, keepdim=keepdim)


def first_lowest(x: Tensor, dim: int, keepdim: bool) -> Tensor:
    return (x == x.amin(dim, keepdim=True)).to(torch.int8).argmax(dim, keepdim=keepdim)


TABLE = {
    "reduce_argmax": position(first_highest),
    "reduce_argmin": position(first_lowest),
    "reduce_l1_norm": over_axes(lambda x, axes, keep: x.abs().sum(axes, keepdim=keep)),
    "reduce_l2_norm": over_axes(lambda x, axes, keep: x.square().sum(axes, keepdim=keep).sqrt()),
    "reduce_log_sum": over_axes(lambda x, axes, keep: x.sum(axes, keepdim=keep).log()),
    "reduce_log_sum_exp": over_axes(log_sum_exp),
    "reduce_max": over_axes(lambda x, axes, keep: x.amax(axes, keepdim=keep)),
    "reduce_mean": over_axes(mean),
    "reduce_min": over_axes(lambda x, axes, keep: x.amin(axes, keepdim=keep)),
    "reduce_prod": over_axes(product),
    "reduce_sum": over_axes(lambda x, axes, keep: x.sum(axes, keepdim=keep)),
    "reduce_sum_square": over_axes(lambda x, axes, keep: x.square().sum(axes, keepdim=keep)),
}
EXACT = frozenset({"reduce_max", "reduce_min"})
