"""Values picked and put by index.

iOS 15 and 16 count a negative index from the end, and refuse one that does not exist. iOS 17 has no negative indices:
`validate_indices` refuses those that do not exist, and without it Core ML leaves the answer open. Here, then, a gather
takes the nearest that exists and a scatter leaves the update out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import prod
from typing import Any

import torch
from torch import Tensor

from .shape import axis_of


def counted(indices: Tensor, size: int) -> Tensor:
    """iOS 15 and 16: every index from 0 on. ValueError for one that does not exist."""
    indices = indices.long()
    indices = torch.where(indices < 0, indices + size, indices)
    refuse_outside(indices, size)
    return indices


def outside(indices: Tensor, size: int) -> Tensor:
    return (indices < 0) | (indices >= size)


def refuse_outside(indices: Tensor, size: int) -> None:
    wrong = outside(indices, size)
    if bool(wrong.any()):
        raise ValueError(f"the index {int(indices[wrong][0])} is not one of {size}")


def nearest(indices: Tensor, size: int, validate: bool) -> Tensor:
    """iOS 17, gather: every index from 0 on; see the head of the file."""
    indices = indices.long()
    if validate:
        refuse_outside(indices, size)
    if size == 0 and indices.numel():
        raise ValueError("there is nothing to take values from")
    return indices.clamp(0, max(size - 1, 0))


# Gather: the index is made whole for the op set first, then taken.


def gather(x: Tensor, indices: Tensor, axis: int = 0, batch_dims: int = 0) -> Tensor:
    """The slices of an axis that the indices name; the shape of the indices takes the place of the axis."""
    axis = axis_of(axis, x.ndim)
    return taken(x, counted(indices, x.shape[axis]), axis, batch_dims)


def gather_17(x: Tensor, indices: Tensor, axis: int = 0, batch_dims: int = 0, validate_indices: bool = False) -> Tensor:
    axis = axis_of(axis, x.ndim)
    return taken(x, nearest(indices, x.shape[axis], validate_indices), axis, batch_dims)


def taken(x: Tensor, indices: Tensor, axis: int, batch: int) -> Tensor:
    """With `batch` leading axes shared: member i of the indices picks from member i of x."""
    check_batch(x, indices, batch)
    if batch > axis:
        raise ValueError(f"the axis {axis} is one of the {batch} shared axes")
    shape = x.shape[:axis] + indices.shape[batch:] + x.shape[axis + 1 :]
    if batch == 0:
        return x.index_select(axis, indices.reshape(-1)).reshape(shape)
    members = prod(x.shape[:batch])
    blocks = x.reshape(members, prod(x.shape[batch:axis]), x.shape[axis], prod(x.shape[axis + 1 :]))
    picked = blocks.transpose(1, 2)[torch.arange(members)[:, None], indices.reshape(members, -1)]
    return picked.transpose(1, 2).reshape(shape)


def check_batch(x: Tensor, indices: Tensor, batch: int) -> None:
    if batch < 0 or batch > min(x.ndim, indices.ndim) or x.shape[:batch] != indices.shape[:batch]:
        raise ValueError(f"x and the indices do not share {batch} leading axes")


def gather_along_axis(x: Tensor, indices: Tensor, axis: int = 0) -> Tensor:
    """Every place of the indices picks along the axis, at its own place of the others."""
    axis = axis_of(axis, x.ndim)
    return along(x, counted(indices, x.shape[axis]), axis)


def gather_along_axis_17(x: Tensor, indices: Tensor, axis: int = 0, validate_indices: bool = False) -> Tensor:
    axis = axis_of(axis, x.ndim)
    return along(x, nearest(indices, x.shape[axis], validate_indices), axis)


def along(x: Tensor, indices: Tensor, axis: int) -> Tensor:
    check_along(x, indices, axis)
    return x.gather(axis, indices)


def check_along(x: Tensor, indices: Tensor, axis: int) -> None:
    if x.ndim != indices.ndim or any(
        a != b for i, (a, b) in enumerate(zip(x.shape, indices.shape, strict=True)) if i != axis
    ):
        raise ValueError(f"indices of shape {tuple(indices.shape)} do not fit {tuple(x.shape)} but for the axis {axis}")


def gather_nd(x: Tensor, indices: Tensor, batch_dims: int = 0) -> Tensor:
    """The last axis of the indices is a place in the first axes of x (after the shared ones)."""
    sizes = located(x, indices, batch_dims)
    return picked_nd(x, [counted(i, n) for i, n in zip(indices.unbind(-1), sizes, strict=True)], indices, batch_dims)


def gather_nd_17(x: Tensor, indices: Tensor, batch_dims: int = 0, validate_indices: bool = False) -> Tensor:
    sizes = located(x, indices, batch_dims)
    places = [nearest(i, n, validate_indices) for i, n in zip(indices.unbind(-1), sizes, strict=True)]
    return picked_nd(x, places, indices, batch_dims)


def located(x: Tensor, indices: Tensor, batch: int) -> tuple[int, ...]:
    """The sizes of the axes that the last axis of the indices runs over."""
    if indices.ndim == 0 or indices.shape[-1] > x.ndim - batch:
        raise ValueError(f"indices of shape {tuple(indices.shape)} name more axes than {tuple(x.shape)} has")
    check_batch(x, indices[..., 0] if indices.shape[-1] else indices, batch)
    return tuple(x.shape[batch : batch + indices.shape[-1]])


def picked_nd(x: Tensor, places: list[Tensor], indices: Tensor, batch: int) -> Tensor:
    sizes = x.shape[batch : batch + len(places)]
    rest = x.shape[batch + len(places) :]
    members = prod(x.shape[:batch])
    blocks = x.reshape(members, prod(sizes), *rest)
    flat = flattened(places, sizes, indices.shape[:-1]).reshape(members, -1)
    return blocks[torch.arange(members)[:, None], flat].reshape(indices.shape[:-1] + rest)


def flattened(places: list[Tensor], sizes: tuple[int, ...], shape: tuple[int, ...]) -> Tensor:
    """Places on several axes as one number."""
    flat = torch.zeros(shape, dtype=torch.long)
    for place, size in zip(places, sizes, strict=True):
        flat = flat * size + place
    return flat


# Scatter: everything comes down to rows, a row number for each update, and what to do where they meet.


def scatter(data: Tensor, indices: Tensor, updates: Tensor, axis: int = 0, mode: str = "add") -> Tensor:
    """Slices of an axis, at the indices, changed by the updates."""
    axis = axis_of(axis, data.ndim)
    return on_axis(data, counted(indices, data.shape[axis]), updates, axis, mode)


def scatter_17(
    data: Tensor, indices: Tensor, updates: Tensor, axis: int = 0, mode: str = "add", validate_indices: bool = False
) -> Tensor:
    axis = axis_of(axis, data.ndim)
    return on_axis(data, existing(indices, data.shape[axis], validate_indices), updates, axis, mode)


def existing(indices: Tensor, size: int, validate: bool) -> Tensor:
    """iOS 17, scatter: -1 for an index that does not exist, refused where it is to be."""
    indices = indices.long()
    if validate:
        refuse_outside(indices, size)
    return torch.where(outside(indices, size), -1, indices)


def on_axis(data: Tensor, indices: Tensor, updates: Tensor, axis: int, mode: str) -> Tensor:
    if updates.shape != data.shape[:axis] + indices.shape + data.shape[axis + 1 :]:
        raise ValueError(f"updates of shape {tuple(updates.shape)} do not fit the indices and the data")
    rows = data.movedim(axis, 0)
    changes = updates.reshape(*data.shape[:axis], -1, *data.shape[axis + 1 :]).movedim(axis, 0)
    count = prod(rows.shape[1:])
    changed = combined(
        rows.reshape(rows.shape[0], count), indices.reshape(-1), changes.reshape(changes.shape[0], count), mode
    )
    return changed.reshape(rows.shape).movedim(0, axis)


def scatter_along_axis(data: Tensor, indices: Tensor, updates: Tensor, axis: int = 0, mode: str = "add") -> Tensor:
    """Every update goes along the axis to its index, at its own place of the other axes."""
    axis = axis_of(axis, data.ndim)
    return on_each(data, counted(indices, data.shape[axis]), updates, axis, mode)


def scatter_along_axis_17(
    data: Tensor, indices: Tensor, updates: Tensor, axis: int = 0, mode: str = "add", validate_indices: bool = False
) -> Tensor:
    axis = axis_of(axis, data.ndim)
    return on_each(data, existing(indices, data.shape[axis], validate_indices), updates, axis, mode)


def on_each(data: Tensor, indices: Tensor, updates: Tensor, axis: int, mode: str) -> Tensor:
    check_along(data, indices, axis)
    if updates.shape != indices.shape:
        raise ValueError(f"updates of shape {tuple(updates.shape)} for indices of shape {tuple(indices.shape)}")
    numbers = torch.arange(data.numel()).reshape(data.shape)
    rows = torch.where(indices < 0, -1, numbers.gather(axis, indices.clamp(min=0)))
    return combined(data.reshape(-1, 1), rows.reshape(-1), updates.reshape(-1, 1), mode).reshape(data.shape)


def scatter_nd(data: Tensor, indices: Tensor, updates: Tensor, mode: str = "add") -> Tensor:
    """The last axis of the indices is a place in the first axes of the data, which the update changes."""
    sizes = located(data, indices, 0)
    return put_nd(data, [counted(i, n) for i, n in zip(indices.unbind(-1), sizes, strict=True)], indices, updates, mode)


def scatter_nd_17(
    data: Tensor, indices: Tensor, updates: Tensor, mode: str = "add", validate_indices: bool = False
) -> Tensor:
    sizes = located(data, indices, 0)
    places = [existing(i, n, validate_indices) for i, n in zip(indices.unbind(-1), sizes, strict=True)]
    return put_nd(data, places, indices, updates, mode)


def put_nd(data: Tensor, places: list[Tensor], indices: Tensor, updates: Tensor, mode: str) -> Tensor:
    sizes, rest = data.shape[: len(places)], data.shape[len(places) :]
    if updates.shape != indices.shape[:-1] + rest:
        raise ValueError(f"updates of shape {tuple(updates.shape)} for indices of shape {tuple(indices.shape)}")
    rows = flattened(places, sizes, indices.shape[:-1])
    for place in places:
        rows = torch.where(place < 0, -1, rows)
    count = prod(rest)
    return combined(
        data.reshape(prod(sizes), count), rows.reshape(-1), updates.reshape(rows.numel(), count), mode
    ).reshape(data.shape)


def combined(rows: Tensor, places: Tensor, updates: Tensor, mode: str) -> Tensor:
    """Rows changed by updates, each at its place; those at -1 are left out. Of several "update"s the last one stays."""
    kept = places >= 0
    places, updates = places[kept], updates[kept]
    if mode == "update":
        order = torch.full((rows.shape[0],), -1).scatter_reduce(0, places, torch.arange(len(places)), "amax")
        result = rows.clone()
        result[order >= 0] = updates[order[order >= 0]]
        return result
    if mode in {"add", "sub"}:
        return rows.index_add(0, places, updates, alpha=1 if mode == "add" else -1)
    spread = places[:, None].expand_as(updates)
    if mode in {"max", "min"}:
        return rows.scatter_reduce(0, spread, updates, "a" + mode)
    if mode == "mul":
        return rows.scatter_reduce(0, spread, updates, "prod")
    if mode == "div":
        divisor = torch.ones_like(rows).scatter_reduce(0, spread, updates, "prod")
        return torch.div(rows, divisor, rounding_mode=None if rows.is_floating_point() else "trunc")
    raise ValueError(f"the mode {mode} is not known")


TABLE: dict[str, Callable[..., Any] | Mapping[str, Callable[..., Any]]] = {
    "gather": {"CoreML5": gather, "CoreML7": gather_17},
    "gather_along_axis": {"CoreML5": gather_along_axis, "CoreML7": gather_along_axis_17},
    "gather_nd": {"CoreML5": gather_nd, "CoreML7": gather_nd_17},
    "scatter": {"CoreML5": scatter, "CoreML7": scatter_17},
    "scatter_along_axis": {"CoreML5": scatter_along_axis, "CoreML7": scatter_along_axis_17},
    "scatter_nd": {"CoreML5": scatter_nd, "CoreML7": scatter_nd_17},
}
EXACT: frozenset[str] = frozenset({"gather", "gather_along_axis", "gather_nd"})
