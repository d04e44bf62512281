"""The same values in another shape or order."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import prod
from typing import Any

import torch
from torch import Tensor

from .kinds import Ints, Tensors


def axis_of(axis: int, rank: int) -> int:
    """A negative axis counts from the end. ValueError for one that does not exist."""
    if not -rank <= axis < rank:
        raise ValueError(f"the axis {axis} is not one of {rank}")
    return axis % rank


def reshape(x: Tensor, shape: Ints) -> Tensor:
    """0 keeps the size at its own place (iOS 15 and 16: of as many places as x has), -1 takes what is left."""
    if 0 in shape and len(shape) != x.ndim:
        raise ValueError(f"a 0 in the new shape {shape} keeps a size of x, so it needs {x.ndim} places")
    return filled(x, [x.shape[place] if size == 0 else size for place, size in enumerate(shape)])


def reshape_from_right(x: Tensor, shape: Ints) -> Tensor:
    """iOS 17: 0 keeps the size that x has at the same place counted from the last, 1 where x has none."""
    sizes = (1,) * max(0, len(shape) - x.ndim) + tuple(x.shape)[max(0, x.ndim - len(shape)) :]
    return filled(x, [old if size == 0 else size for old, size in zip(sizes, shape, strict=True)])


def filled(x: Tensor, shape: Ints) -> Tensor:
    if any(size < -1 for size in shape):
        raise ValueError(f"the new shape {shape} has a negative size")
    return x.reshape(shape)


def reshape_like(x: Tensor, ref_tensors: Tensors, begins: Tensors, ends: Tensors, end_masks: Tensors) -> Tensor:
    """The new shape is put together of a part of the shape of every reference."""
    shape: list[int] = []
    for like, begin, end, to_last in zip(ref_tensors, begins, ends, end_masks, strict=True):
        shape += like.shape[int(begin) : None if bool(to_last) else int(end)]
    return x.reshape(shape)


def transpose(x: Tensor, perm: Ints) -> Tensor:
    return x.permute(perm)


def expand_dims(x: Tensor, axes: Ints) -> Tensor:
    """The axes are places in the result."""
    for axis in sorted(axis_of(axis, x.ndim + len(axes)) for axis in axes):
        x = x.unsqueeze(axis)
    return x


def squeeze(x: Tensor, axes: Ints | None = None) -> Tensor:
    """An axis that is longer than 1 stays, even where it is named."""
    return x.squeeze() if axes is None else x.squeeze(tuple(axes))


def flatten2d(x: Tensor, axis: int = 1) -> Tensor:
    sizes = tuple(x.shape)
    return x.reshape(prod(sizes[:axis]), prod(sizes[axis:]))


def shape(x: Tensor) -> Tensor:
    return torch.tensor(tuple(x.shape), dtype=torch.int32)


def four(x: Tensor) -> tuple[int, int, int, int]:
    if x.ndim != 4:
        raise ValueError(f"expected a tensor of 4 dimensions, got {tuple(x.shape)}")
    n, c, h, w = x.shape
    return n, c, h, w


def depth_to_space(x: Tensor, block_size: int) -> Tensor:
    """Channels are read as (row in the block, column in the block, channel)."""
    n, c, h, w = four(x)
    b = block_size
    return x.reshape(n, b, b, c // (b * b), h, w).permute(0, 3, 4, 1, 5, 2).reshape(n, c // (b * b), h * b, w * b)


def space_to_depth(x: Tensor, block_size: int) -> Tensor:
    """Channels are written as (row in the block, column in the block, channel)."""
    n, c, h, w = four(x)
    b = block_size
    return x.reshape(n, c, h // b, b, w // b, b).permute(0, 3, 5, 1, 2, 4).reshape(n, c * b * b, h // b, w // b)


def pixel_shuffle(x: Tensor, upscale_factor: int) -> Tensor:
    """Channels are read as (channel, row in the block, column in the block)."""
    return torch.pixel_shuffle(x, upscale_factor)


def pixel_unshuffle(x: Tensor, downscale_factor: int) -> Tensor:
    return torch.pixel_unshuffle(x, downscale_factor)


def space_to_batch(x: Tensor, block_shape: Ints, paddings: Ints) -> Tensor:
    """The batch is written as (row in the block, column in the block, n); the paddings are top, bottom, left, right."""
    n, c, _, _ = four(x)
    top, bottom, left, right = paddings
    down, across = block_shape
    x = torch.nn.functional.pad(x, (left, right, top, bottom))
    h, w = x.shape[2] // down, x.shape[3] // across
    return x.reshape(n, c, h, down, w, across).permute(3, 5, 0, 1, 2, 4).reshape(n * down * across, c, h, w)


def batch_to_space(x: Tensor, block_shape: Ints, crops: Ints) -> Tensor:
    """The batch is read as (row in the block, column in the block, n), then the borders are cut off."""
    n, c, h, w = four(x)
    top, bottom, left, right = crops
    down, across = block_shape
    n //= down * across
    x = x.reshape(down, across, n, c, h, w).permute(2, 3, 4, 0, 5, 1).reshape(n, c, h * down, w * across)
    return x[:, :, top : x.shape[2] - bottom, left : x.shape[3] - right]


def reverse(x: Tensor, axes: Ints | None = None) -> Tensor:
    return x.flip(list(range(x.ndim)) if axes is None else axes)


def reverse_sequence(x: Tensor, lengths: Tensor, seq_axis: int = 0, batch_axis: int = 0) -> Tensor:
    """Of every member of the batch the first `lengths` steps, in the opposite order; the steps after them stay."""
    along, batch = axis_of(seq_axis, x.ndim), axis_of(batch_axis, x.ndim)
    steps = torch.arange(x.shape[along])
    upto = lengths.long()[:, None]
    if lengths.shape != (x.shape[batch],) or bool(((upto < 0) | (upto > len(steps))).any()):
        raise ValueError(f"the lengths {lengths.tolist()} do not fit {tuple(x.shape)}")
    source = torch.where(steps < upto, upto - 1 - steps, steps)  # (batch, steps)
    if along == batch:
        raise ValueError("seq_axis and batch_axis are the same")
    members = torch.arange(x.shape[batch])[:, None]
    return x.movedim((batch, along), (0, 1))[members, source].movedim((0, 1), (batch, along))


TABLE: dict[str, Callable[..., Any] | Mapping[str, Callable[..., Any]]] = {
    "reshape": {"CoreML5": reshape, "CoreML7": reshape_from_right},
    "reshape_like": reshape_like,
    "transpose": transpose,
    "expand_dims": expand_dims,
    "squeeze": squeeze,
    "flatten2d": flatten2d,
    "shape": shape,
    "depth_to_space": depth_to_space,
    "space_to_depth": space_to_depth,
    "pixel_shuffle": pixel_shuffle,
    "pixel_unshuffle": pixel_unshuffle,
    "space_to_batch": space_to_batch,
    "batch_to_space": batch_to_space,
    "reverse": reverse,
    "reverse_sequence": reverse_sequence,
}
EXACT: frozenset[str] = frozenset(TABLE)
