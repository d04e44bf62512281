"""Parts of a tensor, padding, tiling, joining."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import prod
from typing import Any

import torch
from torch import Tensor

from .kinds import Ints, Tensors
from .shape import axis_of

MAX_VALUES = 2**28  # in an enlarged tensor; phone models stay far below, damaged files may not


def bounded(shape: Sequence[int]) -> tuple[int, ...]:
    """The shape, if a tensor of it may be made. ValueError if not."""
    if any(size < 0 for size in shape) or prod(shape) > MAX_VALUES:
        raise ValueError(f"a tensor of shape {list(shape)} cannot be made; at most {MAX_VALUES} values")
    return tuple(shape)


def region(
    x: Tensor,
    begin: Ints,
    end: Ints,
    stride: Ints | None,
    begin_mask: Ints | None,
    end_mask: Ints | None,
    squeeze_mask: Ints | None,
) -> tuple[tuple[int | slice, ...], list[int]]:
    """What begin, end and stride mean, as an index with positive steps, and the axes of its result to turn round.

    begin_mask and end_mask leave that side open; squeeze_mask takes one value, at begin, and drops the axis.
    """
    none = [0] * x.ndim
    stride, begin_mask, end_mask = stride or [1] * x.ndim, begin_mask or none, end_mask or none
    squeeze_mask = squeeze_mask or none
    if any(len(numbers) != x.ndim for numbers in (begin, end, stride, begin_mask, end_mask, squeeze_mask)):
        raise ValueError(f"begin, end, stride and the masks have one entry for each of {x.ndim} axes")
    index: list[int | slice] = []
    turned = []
    for axis, size in enumerate(x.shape):
        if squeeze_mask[axis]:
            index.append(0 if begin_mask[axis] else begin[axis])
            continue
        steps = range(size)[
            slice(None if begin_mask[axis] else begin[axis], None if end_mask[axis] else end[axis], stride[axis])
        ]
        if stride[axis] < 0:
            turned.append(sum(isinstance(part, slice) for part in index))
            steps = steps[::-1]
        index.append(slice(steps.start, max(steps.stop, steps.start), steps.step))
    return tuple(index), turned


def slice_by_index(
    x: Tensor,
    begin: Ints,
    end: Ints,
    stride: Ints | None = None,
    begin_mask: Ints | None = None,
    end_mask: Ints | None = None,
    squeeze_mask: Ints | None = None,
) -> Tensor:
    """As NumPy cuts `x[begin:end:stride]`, negative places and steps among them."""
    index, turned = region(x, begin, end, stride, begin_mask, end_mask, squeeze_mask)
    part = x[index]
    return part.flip(turned) if turned else part


def slice_update(
    x: Tensor,
    update: Tensor,
    begin: Ints,
    end: Ints,
    stride: Ints | None = None,
    begin_mask: Ints | None = None,
    end_mask: Ints | None = None,
    squeeze_mask: Ints | None = None,
) -> Tensor:
    """x with the part that slice_by_index would give replaced."""
    index, turned = region(x, begin, end, stride, begin_mask, end_mask, squeeze_mask)
    result = x.clone()
    part = result[index]
    part.copy_(update.reshape(part.shape).flip(turned))
    return result


def slice_by_size(x: Tensor, begin: Ints, size: Ints) -> Tensor:
    """A size of -1 takes all from `begin` on; a negative begin counts from the end."""
    for axis, (first, count) in enumerate(zip(begin, size, strict=True)):
        first += x.shape[axis] if first < 0 else 0
        x = x.narrow(axis, first, x.shape[axis] - first if count == -1 else count)
    return x


def sliding_windows(x: Tensor, axis: int, size: int, stride: int = 1) -> Tensor:
    """Windows along the axis; the places in a window become the axis after it."""
    axis = axis_of(axis, x.ndim)
    return x.unfold(axis, size, stride).movedim(-1, axis + 1)


def split(x: Tensor, axis: int, num_splits: int | None = None, split_sizes: Ints | None = None) -> tuple[Tensor, ...]:
    """Into equal parts, or into the given sizes."""
    if split_sizes is not None:
        return x.split(split_sizes, axis)
    if not num_splits or x.shape[axis] % num_splits:
        raise ValueError(f"{x.shape[axis]} values cannot be split into {num_splits} equal parts")
    return x.split(x.shape[axis] // num_splits, axis)


def concat(values: Tensors, axis: int, interleave: bool = False) -> Tensor:
    """One after the other, or in turns: the first of each, the second of each. Scalars make a list."""
    if values[0].ndim == 0:
        return torch.stack(values)
    if not interleave:
        return torch.cat(values, axis)
    axis = axis_of(axis, values[0].ndim)
    return torch.stack(values, axis + 1).flatten(axis, axis + 1)


def stack(values: Tensors, axis: int) -> Tensor:
    return torch.stack(values, axis)


def pad(x: Tensor, pad: Ints, mode: str = "constant", constant_val: float = 0.0) -> Tensor:
    """(before, after) for each of the last axes: a constant, a mirror image without the edge, or the edge itself."""
    sides = list(zip(pad[::2], pad[1::2], strict=True))
    if len(sides) > x.ndim or min(pad, default=0) < 0:
        raise ValueError(f"the padding {pad} does not fit {x.ndim} axes")
    sides = [(0, 0)] * (x.ndim - len(sides)) + sides
    bounded([before + size + after for size, (before, after) in zip(x.shape, sides, strict=True)])
    if mode == "constant":
        return torch.nn.functional.pad(x, [n for side in reversed(sides) for n in side], value=constant_val)
    for axis, (before, after) in enumerate(sides):
        last = x.shape[axis] - 1
        if max(before, after) == 0:
            continue
        places = torch.arange(-before, last + 1 + after)
        if mode == "replicate":
            places = places.clamp(0, last)
        elif mode == "reflect" and max(before, after) <= last:
            places = last - (last - places.abs()).abs()
        else:
            raise ValueError(f"{mode} cannot pad {last + 1} values by {max(before, after)}")
        x = x.index_select(axis, places)
    return x


def tile(x: Tensor, reps: Ints) -> Tensor:
    if len(reps) != x.ndim or min(reps, default=1) < 1:
        raise ValueError(f"reps of {reps} for {x.ndim} axes; expected one for each, at least 1")
    bounded([size * times for size, times in zip(x.shape, reps, strict=True)])
    return x.repeat(reps)


def band_part(x: Tensor, lower: int = -1, upper: int = -1) -> Tensor:
    """Zeros outside a band around the diagonal of the last two axes; -1 keeps all of that side."""
    if lower >= 0:
        x = x.triu(-lower)
    return x.tril(upper) if upper >= 0 else x


def cumsum(x: Tensor, axis: int = 0, exclusive: bool = False, reverse: bool = False) -> Tensor:
    """Sums from the first value on (from the last: reverse), without the value itself where exclusive."""
    if reverse:
        x = x.flip(axis)
    total = x.cumsum(axis)
    if exclusive:
        total = torch.cat([torch.zeros_like(total.narrow(axis, 0, 1)), total.narrow(axis, 0, x.shape[axis] - 1)], axis)
    return total.flip(axis) if reverse else total


TABLE: dict[str, Callable[..., Any] | Mapping[str, Callable[..., Any]]] = {
    "slice_by_index": slice_by_index,
    "slice_update": {"CoreML8": slice_update},
    "slice_by_size": slice_by_size,
    "sliding_windows": sliding_windows,
    "split": split,
    "concat": concat,
    "stack": stack,
    "pad": pad,
    "tile": tile,
    "band_part": band_part,
    "cumsum": cumsum,
}
EXACT: frozenset[str] = frozenset(TABLE) - {"cumsum"}
