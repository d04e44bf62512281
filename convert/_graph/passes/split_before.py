"""Cut before a rearrangement instead of after it.

Queries, keys and values are often told apart by an axis of their own: a linear layer's last axis L = k (h d) becomes
(k, h, d), a transpose takes k to the front, and each of the k places is selected. Whatever the reshapes and transposes
do to the other axes, with c the chain without the axis of k

    select(chain(x), i)      =      c(split(x, L / k)[i])

and no value ever has the extra axis: the rank is one less, and what is left is what `split_after` knows. Fires once per
value that was selected from, where every reader of it selects along one axis, and this axis begins as the first factor
of an axis of x.
"""

from __future__ import annotations

import operator
from math import prod

from torch import fx

from ..axes import MOVES, backward, forward, is_link, order_of
from ..graph import arguments, aten, call, copy_graph, finish, in_place_of


def split_before(graph: fx.GraphModule) -> tuple[fx.GraphModule, int]:
    """The rewritten copy and how many values are cut earlier now."""
    graph = copy_graph(graph)
    moved = 0
    for node in list(graph.graph.nodes):
        axis = selected_axis(node)
        source = None if axis is None else origin(node, axis)
        if source is None:
            continue
        chain, first, whole = source
        x = arguments(chain[0])[0]
        count = chain[0].meta["val"].shape[first]
        pieces = list(node.users)
        with in_place_of(graph, pieces[0]):
            parts = call(graph, aten.split.Tensor, x, x.meta["val"].shape[whole] // count, whole)
            rebuilt: dict[int, fx.Node] = {}
            for piece in pieces:
                number = arguments(piece)[2] % count
                if number not in rebuilt:
                    rebuilt[number] = replayed(graph, call(graph, operator.getitem, parts, number), chain, first)
                piece.replace_all_uses_with(rebuilt[number])
        moved += 1
    return finish(graph), moved


def selected_axis(node: fx.Node) -> int | None:
    """The axis along which every reader of a link selects."""
    if not is_link(node) or any(user.target is not aten.select.int for user in node.users):
        return None
    axes = {arguments(user)[1] % node.meta["val"].ndim for user in node.users}
    return axes.pop() if len(axes) == 1 else None


def origin(node: fx.Node, axis: int) -> tuple[list[fx.Node], int, int] | None:
    """The links since the axis was cut off, first to last, its place after the first, and the axis that was cut."""
    chain: list[fx.Node] = []
    while is_link(node) and (not chain or len(node.users) == 1):
        if node.meta["val"].shape[axis] == 1:
            return None
        chain.insert(0, node)
        before = backward(node, axis)
        if before is None:
            old, new = arguments(node)[0].meta["val"].shape, node.meta["val"].shape
            for place, length in enumerate(old):
                if length % new[axis] == 0 and length > 1 and prod(old[:place]) == prod(new[:axis]):
                    return chain, axis, place
            return None
        node, axis = arguments(node)[0], before
    return None


def replayed(graph: fx.GraphModule, piece: fx.Node, chain: list[fx.Node], axis: int) -> fx.Node:
    """The chain on one piece, without the axis."""
    for link in chain:
        if link is not chain[0]:
            before, after = axis, forward(link, axis)
            assert after is not None  # `origin` came back the same way
            axis = after
            if link.target in MOVES:
                order = [i - (i > before) for i in order_of(link) if i != before]
                piece = call(graph, aten.permute.default, piece, order)
                continue
        shape = list(link.meta["val"].shape)
        piece = call(graph, aten.reshape.default, piece, shape[:axis] + shape[axis + 1 :])
    return piece
