"""Convolutions and pools of one dimension as those of a map that has one row, which is all that files have.

    (N, C, L) -> (N, C, 1, L),  kernel (O, I, k) -> (O, I, 1, k),  and the row's axis away again

Fires where a convolution's kernel is a constant.
"""

from __future__ import annotations

from typing import Any

from torch import fx

from ..graph import add_constant, arguments, aten, call, constant, copy_graph, filled, finish, get, in_place_of

FOR_MAPS = {
    aten.conv1d.default: aten.conv2d.default,
    aten.conv1d.padding: aten.conv2d.padding,
    aten.conv_transpose1d.default: aten.conv_transpose2d.input,
    aten.avg_pool1d.default: aten.avg_pool2d.default,
    aten.max_pool1d.default: aten.max_pool2d.default,
}
POOLS = {aten.avg_pool1d.default, aten.max_pool1d.default}


def one_row(graph: fx.GraphModule) -> tuple[fx.GraphModule, int]:
    """The rewritten copy and how many operations were put on maps."""
    graph = copy_graph(graph)
    put = 0
    for node in list(graph.graph.nodes):
        if node.target not in FOR_MAPS or node.meta["val"].ndim != 3:
            continue
        x, *rest = arguments(node)
        kernel = None if node.target in POOLS else constant(graph, rest[0])
        if node.target not in POOLS and kernel is None:
            continue
        n, channels, length = x.meta["val"].shape
        with in_place_of(graph, node):
            wide = call(graph, aten.reshape.default, x, [n, channels, 1, length])
            if kernel is not None:
                name = add_constant(graph, f"{rest[0].name}_row", kernel.unsqueeze(2))
                operands: list[Any] = [wide, get(graph, name), *rest[1:2]]
            else:
                operands = [wide]
            y = call(graph, FOR_MAPS[node.target], *operands, *options(node)[: len(rest) + 1 - len(operands)])
            y = call(graph, aten.reshape.default, y, list(node.meta["val"].shape))
        node.replace_all_uses_with(y)
        graph.graph.erase_node(node)
        put += 1
    return finish(graph), put


def options(node: fx.Node) -> list[Any]:
    """What follows operand, kernel and bias, for maps."""
    if node.target is aten.avg_pool1d.default:
        _, window, stride, padding, *others = filled(node, None, None, [], [0], False, True)
        return [[1, *window], [1, *(stride or window)], [0, *padding], *others]
    if node.target is aten.max_pool1d.default:
        _, window, stride, padding, dilation, ceiling = filled(node, None, None, [], [0], [1], False)
        return [[1, *window], [1, *(stride or window)], [0, *padding], [1, *dilation], ceiling]
    if node.target is aten.conv_transpose1d.default:
        *_, stride, padding, extra, groups, dilation = filled(node, None, None, None, [1], [0], [0], 1, [1])
        return [[1, *stride], [0, *padding], [0, *extra], groups, [1, *dilation]]
    *_, stride, padding, dilation, groups = filled(node, None, None, None, [1], [0], [1], 1)
    return [[1, *stride], padding if isinstance(padding, str) else [0, *padding], [1, *dilation], groups]
