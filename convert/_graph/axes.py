"""Following one axis of a value through nodes that only move numbers."""

from __future__ import annotations

from math import prod

from torch import fx

from .graph import arguments, aten

MOVES = {aten.permute.default, aten.transpose.int, aten.t.default}
LINKS = MOVES | {
    aten.reshape.default, aten.view.default, aten._unsafe_view.default, aten.flatten.using_ints,
    aten.unflatten.int, aten.unsqueeze.default, aten.squeeze.default, aten.squeeze.dim, aten.squeeze.dims,
}  # fmt: skip


def is_link(node: object) -> bool:
    """Whether the node is a reshape, a transpose or one of their kin."""
    return isinstance(node, fx.Node) and node.op == "call_function" and node.target in LINKS


def order_of(link: fx.Node) -> list[int]:
    """The permutation of axes that a transposing link does: axis i of the result is axis order[i] of the operand."""
    rank = link.meta["val"].ndim
    if link.target is aten.permute.default:
        return [i % rank for i in arguments(link)[1]]
    order = list(range(rank))
    if rank > 1:
        first, second = (0, 1) if link.target is aten.t.default else (i % rank for i in arguments(link)[1:3])
        order[first], order[second] = order[second], order[first]
    return order


def forward(link: fx.Node, axis: int) -> int | None:
    """Where an axis of the operand is in the link's result; None where it is cut or merged with others."""
    if link.target in MOVES:
        return order_of(link).index(axis)
    return same_axis(arguments(link)[0].meta["val"].shape, link.meta["val"].shape, axis)


def backward(link: fx.Node, axis: int) -> int | None:
    """Where an axis of the link's result was in its operand; None where it was put together."""
    if link.target in MOVES:
        return order_of(link)[axis]
    return same_axis(link.meta["val"].shape, arguments(link)[0].meta["val"].shape, axis)


def same_axis(old, new, axis: int) -> int | None:
    """The axis of `new` that is axis `axis` of `old`, if a reshape leaves it whole."""
    if old[axis] == 1:
        return None
    for place, length in enumerate(new):
        if length == old[axis] and prod(new[:place]) == prod(old[:axis]):
            return place
    return None
