"""Maximum pools that also tell where the maximum is, or whose bins are given by the result's size.

    maximum and its place         the pool alone, where nobody reads the place
    adaptive, side divides        a plain pool
    adaptive, other sizes         axis by axis, a plain pool over each bin, put together

Bin i of n over L places is floor(i L / n) .. ceil((i + 1) L / n) - 1. The maximum over a bin of a map is that of its
columns' maxima. Where somebody reads the places, the pool is left, for a refusal that names it. Fires once per pool.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from functools import partial

from torch import fx

from ..graph import arguments, aten, call, copy_graph, filled, finish, in_place_of

ADAPTIVE: dict[object, int] = {
    aten.adaptive_max_pool1d.default: 1,
    aten.adaptive_max_pool2d.default: 2,
}  # -> dimensions
WITH_PLACES: dict[object, Callable] = {
    aten.max_pool1d_with_indices.default: aten.max_pool1d.default,
    aten.max_pool2d_with_indices.default: aten.max_pool2d.default,
}
PLAIN = {1: aten.max_pool1d.default, 2: aten.max_pool2d.default}


def largest_values(graph: fx.GraphModule) -> tuple[fx.GraphModule, int]:
    """The rewritten copy and how many pools were rewritten."""
    graph = copy_graph(graph)
    rewritten = 0
    for node in list(graph.graph.nodes):
        pooled = alone if node.target in WITH_PLACES else adaptive if node.target in ADAPTIVE else None
        if pooled is None or arguments(node)[0].meta["val"].ndim != len(node_sizes(node)) + 2:
            continue
        with in_place_of(graph, node):
            new = first_alone(graph, node, partial(pooled, graph, node))
        if new is not None:
            graph.graph.erase_node(node)
            rewritten += 1
    return finish(graph), rewritten


def node_sizes(node: fx.Node) -> list[int]:
    """The kernel or the result's size, a number for each dimension."""
    return list(arguments(node)[1])


def alone(graph: fx.GraphModule, node: fx.Node) -> fx.Node:
    x, kernel, stride, *others = filled(node, None, None, [])
    return call(graph, WITH_PLACES[node.target], x, kernel, stride or kernel, *others)


def adaptive(graph: fx.GraphModule, node: fx.Node) -> fx.Node:
    x, sizes = arguments(node)
    lengths = x.meta["val"].shape[2:]
    if list(sizes) == [1] * len(lengths):
        return call(graph, aten.amax.default, x, list(range(2, 2 + len(lengths))), True)
    if not any(length % size for length, size in zip(lengths, sizes, strict=True)):
        kernel = [length // size for length, size in zip(lengths, sizes, strict=True)]
        return x if set(kernel) == {1} else call(graph, PLAIN[len(lengths)], x, kernel, kernel)
    for axis, size in enumerate(sizes):
        if size != lengths[axis]:
            x = along(graph, x, axis, size, len(lengths))
    return x


def along(graph: fx.GraphModule, x: fx.Node, axis: int, count: int, dimensions: int) -> fx.Node:
    """The maxima of `count` bins along one axis of the map."""
    length = x.meta["val"].shape[2 + axis]

    def pooled(value: fx.Node, size: int) -> fx.Node:
        kernel = [size if i == axis else 1 for i in range(dimensions)]
        return value if size == 1 else call(graph, PLAIN[dimensions], value, kernel, kernel)

    if length % count == 0:
        return pooled(x, length // count)
    bins = [(i * length // count, -(-(i + 1) * length // count)) for i in range(count)]
    parts = [pooled(call(graph, aten.slice.Tensor, x, 2 + axis, first, last), last - first) for first, last in bins]
    return call(graph, aten.cat.default, parts, 2 + axis) if count > 1 else parts[0]


def first_alone(graph: fx.GraphModule, node: fx.Node, make: Callable[[], fx.Node]) -> fx.Node | None:
    """What `make` makes in place of the first result, if nobody reads the second."""
    pieces = [user for user in node.users if user.target is operator.getitem]
    if len(pieces) != len(node.users) or any(arguments(p)[1] and p.users for p in pieces):
        return None
    replacement = make()
    for piece in pieces:
        piece.replace_all_uses_with(replacement)
        graph.graph.erase_node(piece)
    return replacement
