"""Layers on a map that has no batch axis, as torch takes them too, as layers on a batch of one map.

    (C, H, W) -> (1, C, H, W), the layer, and the batch axis away again; (C, L) likewise

Converters and the other rewrites look for channels on the second axis. Fires once per convolution or pool.
"""

from __future__ import annotations

import operator

from torch import fx

from ..graph import arguments, aten, call, copy_graph, finish, in_place_of, stands_for

DIMENSIONS = {
    aten.conv1d.default: 1, aten.conv1d.padding: 1, aten.conv_transpose1d.default: 1,
    aten.avg_pool1d.default: 1, aten.max_pool1d.default: 1, aten.max_pool1d_with_indices.default: 1,
    aten.adaptive_avg_pool1d.default: 1, aten.adaptive_max_pool1d.default: 1,
    aten.conv2d.default: 2, aten.conv2d.padding: 2, aten.conv_transpose2d.input: 2,
    aten.avg_pool2d.default: 2, aten.max_pool2d.default: 2, aten.max_pool2d_with_indices.default: 2,
    aten.adaptive_avg_pool2d.default: 2, aten.adaptive_max_pool2d.default: 2,
}  # fmt: skip


def batch_axis(graph: fx.GraphModule) -> tuple[fx.GraphModule, int]:
    """The rewritten copy and how many layers got a batch axis."""
    graph = copy_graph(graph)
    rewritten = 0
    for node in list(graph.graph.nodes):
        dimensions = DIMENSIONS.get(node.target) if node.op == "call_function" else None
        if dimensions is None or arguments(node)[0].meta["val"].ndim != dimensions + 1:
            continue
        x, *rest = arguments(node)
        with in_place_of(graph, node):
            y = call(graph, node.target, call(graph, aten.unsqueeze.default, x, 0), *rest, **node.kwargs)
            stands_for(y, node)
            pairs = list(node.users) if isinstance(y.meta["val"], (list, tuple)) else []
            for piece in pairs:
                value = call(graph, operator.getitem, y, arguments(piece)[1])
                piece.replace_all_uses_with(call(graph, aten.squeeze.dim, value, 0))
                graph.graph.erase_node(piece)
            if not pairs:
                node.replace_all_uses_with(call(graph, aten.squeeze.dim, y, 0))
        graph.graph.erase_node(node)
        rewritten += 1
    return finish(graph), rewritten
