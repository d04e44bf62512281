"""Average pools that do not divide by the size of their window, as ones that do and a factor for each place.

Where padding is not counted, a window reaches beyond the map (`ceil_mode`), or a divisor is given, window p is divided
by D(p), not by its K places. With zeros around the map

    y(p) = sum / D(p) = (sum / K) (K / D(p))

is a plain pool and one product with a constant, a number where D is the same everywhere. For TFLite, a pool that
divides by what its window sees of the map stays as it is where the windows are those of SAME, which divides so.

For Core ML (`plain_averages`) nothing but a pool of whole windows inside its operand stays: Apple's runtime divides a
window that reaches beyond the map by all its places (coremltools issue 2772), and some padded pools are wrong there
(issue 1901). Pools of one, two and three dimensions; fires once per pool.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from math import prod
from typing import NamedTuple

import torch
from torch import Tensor, fx

from ..graph import add_constant, aten, call, copy_graph, filled, finish, get, in_place_of
from ..mobile_ops import pooling_scheme

POOLS: dict[object, int] = {
    aten.avg_pool1d.default: 1,
    aten.avg_pool2d.default: 2,
    aten.avg_pool3d.default: 3,
}  # -> dimensions


class Average(NamedTuple):
    """A pool's arguments, each with one number per dimension."""

    x: fx.Node
    kernel: list[int]
    stride: list[int]
    padding: list[int]
    ceiling: bool
    counted: bool  # the padding, as zeros
    divisor: int | None


def average_borders(graph: fx.GraphModule) -> tuple[fx.GraphModule, int]:
    """The rewritten copy and how many pools of maps got a border or a factor."""
    return bordered(graph, [aten.avg_pool2d.default], divides_by_what_it_sees)


def plain_averages(graph: fx.GraphModule) -> tuple[fx.GraphModule, int]:
    """The same for every average pool whose windows are not whole ones inside its operand."""
    return bordered(graph, list(POOLS), has_whole_windows)


def bordered(graph: fx.GraphModule, targets: list, stays: Callable[[fx.Node], bool]) -> tuple[fx.GraphModule, int]:
    graph = copy_graph(graph)
    rewritten = 0
    for node in [n for target in targets for n in graph.graph.find_nodes(op="call_function", target=target)]:
        dimensions = POOLS[node.target]
        if node.meta["val"].ndim != dimensions + 2 or stays(node):
            continue
        average = average_of(node)
        sides = [rows_of(average, node, axis) for axis in range(dimensions)]
        factor = reduce(lambda outer, share: outer[..., None] * share, (share for _, share in sides))
        if average.divisor is not None:
            factor = torch.full_like(factor, prod(average.kernel) / average.divisor)
        with in_place_of(graph, node):
            x = average.x
            around = [(before, after) for before, (after, _) in zip(average.padding, sides, strict=True)]
            if any(map(any, around)):
                amounts = [amount for pair in reversed(around) for amount in pair]
                x = call(graph, aten.pad.default, x, amounts, "constant", 0.0)
            y = call(graph, node.target, x, average.kernel, average.stride)
            if (factor == factor.flatten()[0]).all():
                number = float(factor.flatten()[0])
                y = call(graph, aten.mul.Tensor, y, number) if number != 1 else y
            else:
                name = add_constant(graph, "divisors", factor[None, None].to(node.meta["val"].dtype))
                y = call(graph, aten.mul.Tensor, y, get(graph, name))
        node.replace_all_uses_with(y)
        graph.graph.erase_node(node)
        rewritten += 1
    return finish(graph), rewritten


def average_of(node: fx.Node) -> Average:
    x, kernel, stride, padding, ceiling, counted, divisor = filled(node, None, None, [], 0, False, True, None)
    dimensions = POOLS[node.target]
    kernel, stride, padding = (per_axis(value, dimensions) for value in (kernel, stride or kernel, padding))
    return Average(x, kernel, stride, padding, ceiling, counted, divisor)


def per_axis(value: int | list[int], dimensions: int) -> list[int]:
    """A pool's argument with a number for each dimension; torch takes one number for all."""
    return [value] * dimensions if isinstance(value, int) else list(value) * (dimensions // len(value))


def divides_by_what_it_sees(node: fx.Node) -> bool:
    """Whether a file's operator does the same, SAME or VALID."""
    average = average_of(node)
    if average.divisor is not None or (average.counted and any(average.padding)):
        return False
    old, new = average.x.meta["val"].shape[2:], node.meta["val"].shape[2:]
    return pooling_scheme(old, new, average.kernel, average.stride, average.padding) is not None


def has_whole_windows(node: fx.Node) -> bool:
    """Whether nothing is padded, no window reaches beyond the map, and no argument says that one may."""
    average = average_of(node)
    return average.divisor is None and not any(average.padding) and not average.ceiling


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
