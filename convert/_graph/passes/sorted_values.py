"""The largest or smallest values of an axis, in order, by one operation: the largest k of the last axis.

    smallest k              minus the largest k of minus x
    sorted                  all of them
    k-th smallest, median   the last of the k smallest; the median of n is the one at (n + 1) // 2

Where somebody reads where the values were, the operation is left. Fires once per operation spelled out. Core ML's
converter knows `topk` and sorting.
"""

from __future__ import annotations

import operator
from functools import partial
from typing import Any

from torch import fx

from ..graph import arguments, aten, call, filled
from .largest_values import first_alone
from .spell_out import Speller, spelled_by


def sorted_values(graph: fx.GraphModule) -> tuple[fx.GraphModule, int]:
    """The rewritten copy and how many operations were spelled out."""
    return spelled_by(graph, SPELLERS)


def middle_values(graph: fx.GraphModule) -> tuple[fx.GraphModule, int]:
    """Medians and k-th values alone."""
    return spelled_by(graph, MIDDLE)


def in_order(graph: fx.GraphModule, x: fx.Node, count: int, axis: int, largest: bool) -> fx.Node:
    """The `count` largest or smallest values, these first."""
    last = x.meta["val"].ndim - 1
    y = x if largest else call(graph, aten.neg.default, x)
    y = call(graph, aten.transpose.int, y, axis, last) if axis % (last + 1) != last else y
    both = call(graph, aten.topk.default, y, count, last)
    y = call(graph, operator.getitem, both, 0)
    y = call(graph, aten.transpose.int, y, axis, last) if axis % (last + 1) != last else y
    return y if largest else call(graph, aten.neg.default, y)


def top(graph: fx.GraphModule, node: fx.Node) -> fx.Node | None:
    x, count, axis, largest, _ = filled(node, None, None, -1, True, True)
    rank = x.meta["val"].ndim
    if not rank or (largest and axis % rank == rank - 1):
        return None
    return first_alone(graph, node, partial(in_order, graph, x, count, axis, largest))


def ordered(graph: fx.GraphModule, node: fx.Node) -> fx.Node | None:
    _, axis, falling = filled(node, None, -1, False)
    return sort(graph, node, axis, falling)


def ordered_stably(graph: fx.GraphModule, node: fx.Node) -> fx.Node | None:
    return sort(graph, node, -1, False)


def sort(graph: fx.GraphModule, node: fx.Node, axis: int, falling: bool) -> fx.Node | None:
    x, options = arguments(node)[0], dict[str, Any](node.kwargs)
    axis, falling = options.get("dim", axis), options.get("descending", falling)
    if not x.meta["val"].ndim:
        return None
    return first_alone(graph, node, partial(in_order, graph, x, x.meta["val"].shape[axis], axis, falling))


def kth(graph: fx.GraphModule, node: fx.Node) -> fx.Node | None:
    x, count, axis, keep = filled(node, None, None, -1, False)
    return at(graph, node, x, count, axis, keep)


def median(graph: fx.GraphModule, node: fx.Node) -> fx.Node | None:
    x, axis, keep = filled(node, None, None, False)
    return at(graph, node, x, (x.meta["val"].shape[axis] + 1) // 2, axis, keep)


def at(graph: fx.GraphModule, node: fx.Node, x: fx.Node, count: int, axis: int, keep: bool) -> fx.Node | None:
    def make() -> fx.Node:
        y = call(graph, aten.slice.Tensor, in_order(graph, x, count, axis, False), axis, count - 1, count)
        return y if keep else call(graph, aten.squeeze.dim, y, axis)

    return first_alone(graph, node, make) if x.meta["val"].ndim else None


MIDDLE: dict[object, Speller] = {aten.kthvalue.default: kth, aten.median.dim: median}
SPELLERS: dict[object, Speller] = {
    **MIDDLE,
    aten.topk.default: top,
    aten.sort.default: ordered,
    aten.sort.stable: ordered_stably,
}
