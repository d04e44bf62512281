"""Cut queries, keys and values out of the projection before they are rearranged, not after.

Vision transformers write  x (…, k h d) -> reshape (…, k, h, d) -> permute, k first -> unbind.  The tensor between has
rank 5, which GPU delegates refuse. Piece i of it is the i-th of k equal parts of x's last axis, reshaped to (…, h, d)
and permuted by the same order without k:

    permute(reshape(x))[i]  =  permute'(reshape'(x[…, i h d : (i + 1) h d]))

Fires where every reader of the permuted (or merely reshaped) tensor takes pieces along the axis of k, by unbind or by
select, and k is cut from the front of x's last axis.
"""

from __future__ import annotations

import operator
from math import prod

from torch import fx

from .._axes import MOVES, order_of
from .._graph import arguments, aten, call, copy_graph, filled, finish

RESHAPES = {aten.reshape.default, aten.view.default}


def pieces_first(graph: fx.GraphModule) -> tuple[fx.GraphModule, int]:
    """The rewritten copy and how many tensors are no longer cut after they were rearranged."""
    graph = copy_graph(graph)
    changed = 0
    for reshape in list(graph.graph.nodes):
        if reshape.op != "call_function" or reshape.target not in RESHAPES:
            continue
        found = cut_later(reshape)
        if found is None:
            continue
        end, order, takers = found
        x, shape = arguments(reshape)[0], [int(n) for n in reshape.meta["val"].shape]
        place = x.meta["val"].ndim - 1  # of k
        rest = [*shape[:place], *shape[place + 1 :]]
        kept = [axis - (axis > place) for axis in order if axis != place]
        with graph.graph.inserting_before(end if end is not reshape else next(iter(reshape.users))):
            size = prod(shape[place + 1 :])
            parts = call(graph, aten.split.Tensor, x, size, place)
            pieces = []
            for number in range(shape[place]):
                piece = call(graph, aten.reshape.default, call(graph, operator.getitem, parts, number), rest)
                if kept != sorted(kept):
                    piece = call(graph, aten.permute.default, piece, kept)
                pieces.append(piece)
        for taker, number in takers:
            taker.replace_all_uses_with(pieces[number])
        changed += 1
    return finish(graph), changed


def cut_later(reshape: fx.Node) -> tuple[fx.Node, list[int], list[tuple[fx.Node, int]]] | None:
    """The last node before the cut, the order of axes there, and who takes which piece; None if the form is another."""
    before, after = arguments(reshape)[0].meta["val"].shape, reshape.meta["val"].shape
    place = len(before) - 1
    if len(after) <= len(before) or tuple(after[:place]) != tuple(before[:-1]):
        return None
    end, order = reshape, list(range(len(after)))
    if len(reshape.users) == 1 and next(iter(reshape.users)).target in MOVES:
        (end,) = reshape.users
        order = list(order_of(end))
    takers: list[tuple[fx.Node, int]] = []
    for user in end.users:
        if user.target is aten.unbind.int and order[filled(user, None, 0)[1] % len(order)] == place:
            if any(piece.target is not operator.getitem for piece in user.users):
                return None
            takers += [(piece, arguments(piece)[1]) for piece in user.users]
        elif user.target is aten.select.int and order[arguments(user)[1] % len(order)] == place:
            takers.append((user, arguments(user)[2] % after[place]))
        else:
            return None
    return (end, order, takers) if takers else None
