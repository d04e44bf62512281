"""Moves that files have no operator for, in those that they have.

    turned round along axes       a selection by the places from last to first
    padded by the other end       the last places, the others, the first ones
    in the shape of another       the same with that shape as numbers

Fires once per operation spelled out. Core ML's converter knows how to turn round.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import fx

from ..graph import arguments, aten, call, filled
from .spell_out import Speller, spelled_by, stored


def plain_moves(graph: fx.GraphModule) -> tuple[fx.GraphModule, int]:
    """The rewritten copy and how many operations were spelled out."""
    return spelled_by(graph, SPELLERS)


def plain_padding(graph: fx.GraphModule) -> tuple[fx.GraphModule, int]:
    """Padding by the other end alone."""
    return spelled_by(graph, {aten.pad.default: padded_round})


def turned_round(graph: fx.GraphModule, node: fx.Node) -> fx.Node:
    x, axes = arguments(node)
    for axis in axes:
        length = x.meta["val"].shape[axis]
        if length > 1:
            x = call(graph, aten.index_select.default, x, axis, stored(graph, "turned", torch.arange(length).flip(0)))
    return x


def padded_round(graph: fx.GraphModule, node: fx.Node) -> fx.Node | None:
    x, amounts, mode = filled(node, None, None, "constant")[:3]
    if node.kwargs.get("mode", mode) != "circular" or min(amounts) < 0:
        return None
    for number, (before, after) in enumerate(zip(amounts[::2], amounts[1::2], strict=True)):
        axis = x.meta["val"].ndim - 1 - number
        length = x.meta["val"].shape[axis]
        ends = [(length - before, length)] * bool(before), [(0, after)] * bool(after)
        front, behind = ([call(graph, aten.slice.Tensor, x, axis, *end) for end in side] for side in ends)
        if front or behind:
            x = call(graph, aten.cat.default, [*front, x, *behind], axis)
    return x


def in_shape_of_another(target: Callable) -> Speller:
    return lambda graph, node: call(graph, target, arguments(node)[0], list(node.meta["val"].shape))


SPELLERS: dict[object, Speller] = {
    aten.flip.default: turned_round,
    aten.pad.default: padded_round,
    aten.expand_as.default: in_shape_of_another(aten.expand.default),
    aten.reshape_as.default: in_shape_of_another(aten.reshape.default),
    aten.view_as.default: in_shape_of_another(aten.reshape.default),
}
