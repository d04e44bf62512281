"""Give a maximum pool the border that it looks at, in operations that every runtime takes.

Beyond the border of its map a maximum pool sees minus infinity. Runtimes have that as SAME, which pads the smaller half
in front (a pool of 3, stride 2, on an even side would want the larger), and as a padding operator with a value, which
XNNPACK does not take. A window never lies beyond the border as a whole, so two other borders give the same maximum:

* zeros, if no value of the map is negative, as behind a ReLU
* the outermost row or column again: every window that reaches beyond the border holds it already

Only rows that a window reads are made. Fires once per pool that is neither SAME nor without border.

For Core ML (`whole_maxima`) a pool with `ceil_mode` gets copies behind the map instead: its converter gives it windows
that begin beyond the map, which torch does not have. A pool whose stride is left out gets it, because the converter
refuses it without. Pools of one, two and three dimensions.
"""

from __future__ import annotations

import math

from torch import fx

from ..axes import LINKS
from ..graph import aten, call, copy_graph, filled, finish, in_place_of
from ..mobile_ops import pooling_scheme
from .average_borders import per_axis

POOLS: dict[object, int] = {
    aten.max_pool1d.default: 1,
    aten.max_pool2d.default: 2,
    aten.max_pool3d.default: 3,
}  # -> dimensions

NEVER_NEGATIVE = {
    aten.relu.default, aten.relu6.default, aten.sigmoid.default, aten.hardsigmoid.default, aten.softmax.int,
    aten.exp.default, aten.abs.default, aten.sqrt.default, aten.square.default,
}  # fmt: skip
# Never negative if none of the operands is.
KEEPING = LINKS | {
    aten.max_pool2d.default, aten.avg_pool2d.default, aten.slice.Tensor, aten.cat.default, aten.mean.dim,
    aten.amax.default, aten.amin.default, aten.maximum.default,
}  # fmt: skip


def pool_borders(graph: fx.GraphModule) -> tuple[fx.GraphModule, int]:
    """The rewritten copy and how many pools got a border."""
    graph = copy_graph(graph)
    rewritten = 0
    for pool in list(graph.graph.find_nodes(op="call_function", target=aten.max_pool2d.default)):
        x, kernel, stride, padding, dilation, _ = max_pool_of(pool)
        old, new = x.meta["val"].shape[-2:], pool.meta["val"].shape[-2:]
        if x.meta["val"].ndim != 4 or dilation != [1, 1] or pooling_scheme(old, new, kernel, stride, padding):
            continue
        after = [
            max((count - 1) * s + k - p - length, 0)
            for length, count, k, s, p in zip(old, new, kernel, stride, padding, strict=True)
        ]
        with in_place_of(graph, pool):
            if never_negative(x):
                (top, left), (bottom, right) = padding, after
                x = call(graph, aten.pad.default, x, [left, right, top, bottom], "constant", 0.0)
            else:
                for axis in (2, 3):
                    x = with_edges(graph, x, axis, padding[axis - 2], after[axis - 2])
            wide = call(graph, aten.max_pool2d.default, x, kernel, stride)
        pool.replace_all_uses_with(wide)
        graph.graph.erase_node(pool)
        rewritten += 1
    return finish(graph), rewritten


def whole_maxima(graph: fx.GraphModule) -> tuple[fx.GraphModule, int]:
    """The rewritten copy and how many pools got what their last windows see, or their stride."""
    graph = copy_graph(graph)
    rewritten = 0
    for pool in pools_of(graph):
        x, kernel, stride, padding, dilation, ceiling = max_pool_of(pool)
        dimensions = POOLS[pool.target]
        with_stride = len(pool.args) > 2 and pool.args[2]
        if pool.meta["val"].ndim != dimensions + 2 or set(dilation) != {1} or (with_stride and not ceiling):
            continue
        with in_place_of(graph, pool):
            for axis, (k, s, p) in enumerate(zip(kernel, stride, padding, strict=True), 2):
                count = pool.meta["val"].shape[axis]
                x = with_edges(graph, x, axis, p, max((count - 1) * s + k - p - x.meta["val"].shape[axis], 0))
            y = call(graph, pool.target, x, kernel, stride)  # type: ignore[arg-type]
        pool.replace_all_uses_with(y)
        graph.graph.erase_node(pool)
        rewritten += 1
    return finish(graph), rewritten


def pools_of(graph: fx.GraphModule) -> list[fx.Node]:
    """The maximum pools of any number of dimensions, in order."""
    return [node for node in graph.graph.nodes if node.op == "call_function" and node.target in POOLS]


def max_pool_of(node: fx.Node) -> tuple[fx.Node, list[int], list[int], list[int], list[int], bool]:
    """Operand, kernel, stride, padding, dilation, ceiling."""
    x, kernel, stride, padding, dilation, ceiling = filled(node, None, None, [], 0, 1, False)
    kernel, stride, padding, dilation = (
        per_axis(value, POOLS[node.target]) for value in (kernel, stride or kernel, padding, dilation)
    )
    return x, kernel, stride, padding, dilation, ceiling


def never_negative(node: fx.Node) -> bool:
    if node.target in NEVER_NEGATIVE:
        return True
    if node.target is aten.hardtanh.default:
        return filled(node, None, -1.0)[1] >= 0
    if node.target is aten.clamp.default:
        low = filled(node, None, node.kwargs.get("min"))[1]
        return (-math.inf if low is None else low) >= 0
    return node.target in KEEPING and all(never_negative(operand) for operand in node.all_input_nodes)


def with_edges(graph: fx.GraphModule, x: fx.Node, axis: int, before: int, after: int) -> fx.Node:
    """x with its first place along the axis repeated so often in front, and its last behind."""
    length = x.meta["val"].shape[axis]
    parts = [x]
    if before:
        parts = [call(graph, aten.slice.Tensor, x, axis, 0, 1)] * before + parts
    if after:
        parts += [call(graph, aten.slice.Tensor, x, axis, length - 1, length)] * after
    return x if len(parts) == 1 else call(graph, aten.cat.default, parts, axis)
