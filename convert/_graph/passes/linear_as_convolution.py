"""Linear layers as convolutions with a 1 x 1 kernel: y = x W^T + b over the last axis, the others laid out as an image.

Given x (..., K) and W (N, K): x as (1, rows, 1, K), its last axis in front as channels, W as (N, K, 1, 1), and back.

For runtimes whose convolutions sum half-precision products in more than half precision and whose matrix products
do not, as that of Core AI's beta off a Mac.
"""

from __future__ import annotations

import math

from torch import fx

from ..graph import add_constant, aten, call, constant, copy_graph, filled, finish, get, in_place_of, stands_for


def linear_as_convolution(graph: fx.GraphModule) -> tuple[fx.GraphModule, int]:
    """The rewritten copy and how many linear layers were replaced. A weight that is computed is left as it is."""
    graph = copy_graph(graph)
    replaced = 0
    for linear in list(graph.graph.find_nodes(op="call_function", target=aten.linear.default)):
        x, weight, bias = filled(linear, None, None, None)
        value = constant(graph, weight)
        if value is None:
            continue
        *rows, width = x.meta["val"].shape
        with in_place_of(graph, linear):
            kernel = get(graph, add_constant(graph, "pointwise", value.reshape(*value.shape, 1, 1).contiguous()))
            y = call(graph, aten.reshape.default, x, [1, math.prod(rows), 1, width])
            y = call(graph, aten.permute.default, y, [0, 3, 1, 2])
            y = call(graph, aten.conv2d.default, y, kernel, bias)
            stands_for(y, linear)
            y = call(graph, aten.permute.default, y, [0, 2, 3, 1])
            y = call(graph, aten.reshape.default, y, [*rows, value.shape[0]])
        linear.replace_all_uses_with(y)
        graph.graph.erase_node(linear)
        replaced += 1
    return finish(graph), replaced
