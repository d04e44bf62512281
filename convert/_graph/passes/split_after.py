"""Rearrange once before a split instead of once per piece.

Attention projects to queries, keys and values at once, cuts the result in three and gives each piece the same reshape
and transpose. With p the reshape of the last axis L = k (h d) into (k, h, d),

    split(x)[i] -> (…, h, d) -> permuted      =      x -> (…, k h, d) -> permuted, then split along the axis of h

one transpose does for all pieces. Fires where every piece of an equal split of the last axis is read by one reshape
that cuts that axis into (h, d), and this by one transpose, the same for all, or by none.
"""

from __future__ import annotations

import operator

from torch import fx

from ..axes import MOVES, order_of
from ..graph import arguments, aten, call, copy_graph, filled, finish, in_place_of

SPLITS = {aten.chunk.default, aten.split.Tensor, aten.split_with_sizes.default}
RESHAPES = {aten.reshape.default, aten.view.default, aten.unflatten.int}


def split_after(graph: fx.GraphModule) -> tuple[fx.GraphModule, int]:
    """The rewritten copy and how many splits were moved."""
    graph = copy_graph(graph)
    moved = 0
    for split in list(graph.graph.nodes):
        if split.op != "call_function" or split.target not in SPLITS:
            continue
        pattern = same_for_all(split)
        if pattern is None:
            continue
        pieces, heads, size, order = pattern
        x = arguments(split)[0]
        shape = [*x.meta["val"].shape[:-1], heads * len(pieces), size]
        with in_place_of(graph, split):
            y = call(graph, aten.reshape.default, x, shape)
            axis = len(shape) - 2
            if order is not None:
                y = call(graph, aten.permute.default, y, order)
                axis = order.index(axis)
            parts = call(graph, aten.split.Tensor, y, heads, axis)
            new = [call(graph, operator.getitem, parts, number) for number in range(len(pieces))]
        for number, end in pieces.items():
            end.replace_all_uses_with(new[number])
        moved += 1
    return finish(graph), moved


def same_for_all(split: fx.Node) -> tuple[dict[int, fx.Node], int, int, list[int] | None] | None:
    """The last node of every piece's own chain, heads and size of a head, and the permutation."""
    value = arguments(split)[0].meta["val"]
    axis = filled(split, None, None, 0)[2] % value.ndim
    widths = {piece.shape[axis] for piece in split.meta["val"]}
    if axis != value.ndim - 1 or len(widths) != 1 or len(split.users) != len(split.meta["val"]):
        return None
    ends, forms = {}, set()
    for piece in split.users:
        if piece.target is not operator.getitem or len(piece.users) != 1:
            return None
        (reshape,) = piece.users
        shape = tuple(reshape.meta["val"].shape)
        if reshape.target not in RESHAPES or shape[:-2] != tuple(value.shape[:-1]):
            return None
        end, order = reshape, None
        if len(reshape.users) == 1 and next(iter(reshape.users)).target in MOVES:
            (end,) = reshape.users
            order = tuple(order_of(end))
        ends[arguments(piece)[1]] = end
        forms.add((shape[-2:], order))
    if len(forms) != 1 or len(ends) != len(split.meta["val"]):
        return None
    ((heads, size), order) = forms.pop()
    return ends, heads, size, list(order) if order is not None else None
