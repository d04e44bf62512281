"""A maximum pool with gaps as a maximum of slices: neither TFLite nor Core ML has one with gaps.

Axes go one after the other. With stride s, dilation d and k places along an axis,

    y(a) = max over j < k of x(s a + d j - p)

is the maximum of k slices with step s. Beyond the border, where a pool sees minus infinity, stand values again that the
window holds anyway, so that they change nothing: a row in front is the one that lies a multiple of d behind it, a row
behind the one that lies a multiple of d before it. Fires where the dilation is no larger than the map.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import fx

from ..graph import aten, call, copy_graph, finish, in_place_of
from .pool_borders import POOLS, max_pool_of, pools_of


def dilated_pools(graph: fx.GraphModule) -> tuple[fx.GraphModule, int]:
    """The rewritten copy and how many pools became maxima."""
    graph = copy_graph(graph)
    replaced = 0
    for pool in pools_of(graph):
        x, kernel, stride, padding, dilation, _ = max_pool_of(pool)
        sides = x.meta["val"].shape[-POOLS[pool.target] :]
        if set(dilation) == {1} or any(d > side for d, side in zip(dilation, sides, strict=True)):
            continue
        rank = pool.meta["val"].ndim
        with in_place_of(graph, pool):
            y = x
            for i, axis in enumerate(range(rank - len(sides), rank)):
                y = along(graph, y, axis, pool.meta["val"].shape[axis], kernel[i], stride[i], padding[i], dilation[i])
        pool.replace_all_uses_with(y)
        graph.graph.erase_node(pool)
        replaced += 1
    return finish(graph), replaced


def along(
    graph: fx.GraphModule, x: fx.Node, axis: int, count: int, kernel: int, stride: int, before: int, dilation: int
) -> fx.Node:
    """The maxima of `count` windows along one axis."""
    length = x.meta["val"].shape[axis]
    reach = (count - 1) * stride + 1  # of a slice
    behind = max(reach + (kernel - 1) * dilation - before - length, 0)
    front = [-q % dilation for q in range(before, 0, -1)]
    back = [length - dilation + q % dilation for q in range(behind)]
    parts = [*pieces(graph, x, axis, front), x, *pieces(graph, x, axis, back)]
    if len(parts) > 1:
        x = call(graph, aten.cat.default, parts, axis)
    slices = (
        call(graph, aten.slice.Tensor, x, axis, j * dilation, j * dilation + reach, stride) for j in range(kernel)
    )
    y = next(slices)
    for other in slices:
        y = call(graph, aten.maximum.default, y, other)
    return y


def pieces(graph: fx.GraphModule, x: fx.Node, axis: int, places: Sequence[int]) -> list[fx.Node]:
    """These places of an axis, as few slices as there are runs of neighbours."""
    starts = [n for n, place in enumerate(places) if n == 0 or place != places[n - 1] + 1]
    ends = [*starts[1:], len(places)] if starts else []
    return [
        call(graph, aten.slice.Tensor, x, axis, places[start], places[end - 1] + 1)
        for start, end in zip(starts, ends, strict=True)
    ]
