"""Average pools that do not divide by the size of their window, as ones that do and a factor for each place.

Where padding is not counted, a window reaches beyond the map (`ceil_mode`), or a divisor is given, window p is divided
by D(p), not by its K places. With zeros around the map

    y(p) = sum / D(p) = (sum / K) (K / D(p))

is a plain pool and one product with a constant, a number where D is the same everywhere. A pool that divides by what
its window sees of the map stays as it is where the windows are those of SAME, which divides so. Fires once per pool.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, fx

from ..graph import add_constant, aten, call, copy_graph, filled, finish, get, in_place_of
from ..mobile_ops import pooling_scheme
from .pool_borders import pair


class Average(NamedTuple):
    x: fx.Node
    kernel: list[int]
    stride: list[int]
    padding: list[int]
    ceiling: bool
    counted: bool  # the padding, as zeros
    divisor: int | None


def average_borders(graph: fx.GraphModule) -> tuple[fx.GraphModule, int]:
    """The rewritten copy and how many pools got a border or a factor."""
    graph = copy_graph(graph)
    rewritten = 0
    for node in list(graph.graph.find_nodes(op="call_function", target=aten.avg_pool2d.default)):
        if node.meta["val"].ndim != 4 or divides_by_what_it_sees(node):
            continue
        average = average_of(node)
        sides = [rows_of(average, node, axis) for axis in (0, 1)]
        factor = torch.outer(*(share for _, share in sides))
        if average.divisor is not None:
            factor = torch.full_like(factor, average.kernel[0] * average.kernel[1] / average.divisor)
        with in_place_of(graph, node):
            (bottom, right), (top, left) = (after for after, _ in sides), average.padding
            x = average.x
            if top or left or bottom or right:
                x = call(graph, aten.pad.default, x, [left, right, top, bottom], "constant", 0.0)
            y = call(graph, aten.avg_pool2d.default, x, average.kernel, average.stride)
            if (factor == factor[0, 0]).all():
                y = call(graph, aten.mul.Tensor, y, float(factor[0, 0])) if factor[0, 0] != 1 else y
            else:
                name = add_constant(graph, "divisors", factor[None, None].to(node.meta["val"].dtype))
                y = call(graph, aten.mul.Tensor, y, get(graph, name))
        node.replace_all_uses_with(y)
        graph.graph.erase_node(node)
        rewritten += 1
    return finish(graph), rewritten


def average_of(node: fx.Node) -> Average:
    x, kernel, stride, padding, ceiling, counted, divisor = filled(node, None, None, [], 0, False, True, None)
    return Average(x, pair(kernel), pair(stride or kernel), pair(padding), ceiling, counted, divisor)


def divides_by_what_it_sees(node: fx.Node) -> bool:
    """Whether a file's operator does the same, SAME or VALID."""
    average = average_of(node)
    if average.divisor is not None or (average.counted and any(average.padding)):
        return False
    old, new = average.x.meta["val"].shape[2:], node.meta["val"].shape[2:]
    return pooling_scheme(old, new, average.kernel, average.stride, average.padding) is not None


def rows_of(average: Average, node: fx.Node, axis: int) -> tuple[int, Tensor]:
    """How many places it takes behind the map, and for each window the kernel's length over what is divided by."""
    length, count = average.x.meta["val"].shape[2 + axis], node.meta["val"].shape[2 + axis]
    k, border = average.kernel[axis], average.padding[axis]
    start = torch.arange(count, dtype=torch.float64) * average.stride[axis] - border
    if average.counted:
        seen = (start + k).clamp(max=length + border) - start
    else:
        seen = (start + k).clamp(max=length) - start.clamp(min=0)
    return max(int(start[-1]) + k - length, 0), k / seen
