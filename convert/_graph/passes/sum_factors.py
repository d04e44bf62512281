"""A sum or difference with a factor as a product, then the sum: coremltools 9.0 forgets the factor without a word.

    add(x, y, alpha=a)     x + a y
    sub(x, y, alpha=a)     x - a y
    rsub(x, y, alpha=a)    y - a x

Fires once per factor.
"""

from __future__ import annotations

from torch import fx

from ..graph import aten, call, copy_graph, filled, finish, in_place_of

REVERSED = (aten.rsub.Tensor, aten.rsub.Scalar)
SUMS = (aten.add.Tensor, aten.sub.Tensor, *REVERSED)


def sum_factors(graph: fx.GraphModule) -> tuple[fx.GraphModule, int]:
    """The rewritten copy and how many factors were spelled out."""
    graph = copy_graph(graph)
    spelled = 0
    for target in SUMS:
        for node in graph.graph.find_nodes(op="call_function", target=target):
            x, y, factor = filled(node, None, None, node.kwargs.get("alpha", 1))
            if factor == 1:
                continue
            with in_place_of(graph, node):
                if target in REVERSED:
                    x = call(graph, aten.mul.Tensor, x, factor)
                else:
                    y = call(graph, aten.mul.Tensor, y, factor) if isinstance(y, fx.Node) else y * factor
                made = call(graph, target, x, y)
            node.replace_all_uses_with(made)
            graph.graph.erase_node(node)
            spelled += 1
    return finish(graph), spelled
