"""Moves that files have no operator for, in those that they have.

    turned round along axes       a selection by the places from last to first
    padded by the other end       the last places, the others, the first ones
    padded by the last place      that place as often as it takes, the others, …; Core ML has an operation for it
    padded by less than nothing   the padding that adds something, and a slice of it
    in the shape of another       the same with that shape as numbers
    diagonal of two axes          every (w + 1)-th place of both as one, w the length of the second

Fires once per operation spelled out. Core ML's converter knows how to turn round.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import fx

from ..graph import arguments, aten, call, filled
from .pool_borders import with_edges
from .spell_out import Speller, spelled_by, stored


def plain_moves(graph: fx.GraphModule) -> tuple[fx.GraphModule, int]:
    """The rewritten copy and how many operations were spelled out."""
    return spelled_by(graph, SPELLERS)


def plain_padding(graph: fx.GraphModule) -> tuple[fx.GraphModule, int]:
    """Padding by the other end, and by less than nothing, alone."""
    return spelled_by(graph, PADDINGS)


def plain_diagonals(graph: fx.GraphModule) -> tuple[fx.GraphModule, int]:
    """Diagonals alone."""
    return spelled_by(graph, dict.fromkeys(DIAGONALS, diagonal))


def turned_round(graph: fx.GraphModule, node: fx.Node) -> fx.Node:
    x, axes = arguments(node)
    for axis in axes:
        length = x.meta["val"].shape[axis]
        if length > 1:
            x = call(graph, aten.index_select.default, x, axis, stored(graph, "turned", torch.arange(length).flip(0)))
    return x


def padded(graph: fx.GraphModule, node: fx.Node) -> fx.Node | None:
    x, amounts, *given = arguments(node)
    options = dict(zip(("mode", "value"), given, strict=False)) | node.kwargs
    if node.target is aten.constant_pad_nd.default:
        options = {"mode": "constant", "value": filled(node, None, None, 0)[2]}
    sides = list(zip(amounts[::2], amounts[1::2], strict=True))  # of the last axis first
    if options.get("mode") == "circular":
        for number, side in enumerate(sides):
            x = round_the_end(graph, x, x.meta["val"].ndim - 1 - number, *side)
        return x
    if min(amounts) >= 0:
        return None
    if max(amounts) > 0:
        x = call(graph, aten.pad.default, x, [max(n, 0) for n in amounts], *padding_of(options))
    return without_ends(graph, x, sides)


def padded_by_edges(graph: fx.GraphModule, node: fx.Node) -> fx.Node | None:
    x, amounts, *given = arguments(node)
    if (given[0] if given else node.kwargs.get("mode")) != "replicate":
        return padded(graph, node)
    sides = list(zip(amounts[::2], amounts[1::2], strict=True))
    for number, (before, after) in enumerate(sides):
        x = with_edges(graph, x, x.meta["val"].ndim - 1 - number, max(before, 0), max(after, 0))
    return without_ends(graph, x, sides)


def padding_of(options: Mapping[str, Any]) -> list[Any]:
    """Mode and value as aten.pad takes them."""
    return [options.get("mode", "constant"), options.get("value")]


def without_ends(graph: fx.GraphModule, x: fx.Node, sides: Sequence[tuple[int, int]]) -> fx.Node:
    """x with what negative amounts cut off."""
    for number, (before, after) in enumerate(sides):
        axis = x.meta["val"].ndim - 1 - number
        ends = max(-before, 0), x.meta["val"].shape[axis] - max(-after, 0)
        if min(before, after) < 0:
            x = call(graph, aten.slice.Tensor, x, axis, *ends)
    return x


def round_the_end(graph: fx.GraphModule, x: fx.Node, axis: int, before: int, after: int) -> fx.Node:
    """Torch cuts first: the ends that go round are those of what is left."""
    length = x.meta["val"].shape[axis]
    if min(before, after) < 0:
        x = call(graph, aten.slice.Tensor, x, axis, max(-before, 0), length - max(-after, 0))
        length = x.meta["val"].shape[axis]
    front = [call(graph, aten.slice.Tensor, x, axis, length - before, length)] if before > 0 else []
    behind = [call(graph, aten.slice.Tensor, x, axis, 0, after)] if after > 0 else []
    return call(graph, aten.cat.default, [*front, x, *behind], axis) if front or behind else x


def in_shape_of_another(target: Callable) -> Speller:
    return lambda graph, node: call(graph, target, arguments(node)[0], list(node.meta["val"].shape))


def diagonal(graph: fx.GraphModule, node: fx.Node) -> fx.Node:
    """Also for Core ML: coremltools 9.0 keeps the matrix with zeros beside its diagonal."""
    defaults = DIAGONALS[node.target]
    x, offset, first, second = filled(node, None, *(node.kwargs.get(name, own) for name, own in defaults.items()))
    rank = x.meta["val"].ndim
    both = first % rank, second % rank
    x = call(graph, aten.permute.default, x, [axis for axis in range(rank) if axis not in both] + list(both))
    *others, _, width = x.meta["val"].shape
    start = offset if offset >= 0 else -offset * width
    length = node.meta["val"].shape[-1]
    x = call(graph, aten.reshape.default, x, [*others, -1])
    end = start + max(length - 1, 0) * (width + 1) + min(length, 1)
    return call(graph, aten.slice.Tensor, x, rank - 2, start, end, width + 1)


DIAGONALS: dict[object, dict[str, Any]] = {
    aten.diagonal.default: {"offset": 0, "dim1": 0, "dim2": 1},
    aten.linalg_diagonal.default: {"offset": 0, "dim1": -2, "dim2": -1},
}
PADDINGS: dict[object, Speller] = {aten.pad.default: padded, aten.constant_pad_nd.default: padded}
SPELLERS: dict[object, Speller] = {
    **dict.fromkeys(DIAGONALS, diagonal),
    aten.flip.default: turned_round,
    **PADDINGS,
    aten.pad.default: padded_by_edges,
    aten.expand_as.default: in_shape_of_another(aten.expand.default),
    aten.reshape_as.default: in_shape_of_another(aten.reshape.default),
    aten.view_as.default: in_shape_of_another(aten.reshape.default),
}
