"""Attention whose queries share keys and values (`enable_gqa`), as attention with as many keys as queries.

Queries h = g i … g i + g - 1 read the keys and values of head i, so each of these is put in g times, one beside the
other. Where all queries share one head, it stays one: products are batched over it. Fires once per attention.
"""

from __future__ import annotations

from torch import fx

from ..graph import arguments, aten, call, copy_graph, finish, in_place_of, stands_for


def grouped_queries(graph: fx.GraphModule) -> tuple[fx.GraphModule, int]:
    """The rewritten copy and how many attentions got a key for each query."""
    graph = copy_graph(graph)
    rewritten = 0
    for node in list(graph.graph.find_nodes(op="call_function", target=aten.scaled_dot_product_attention.default)):
        if not node.kwargs.get("enable_gqa"):
            continue
        q, k, v, *rest = arguments(node)
        options = {name: value for name, value in node.kwargs.items() if name != "enable_gqa"}
        with in_place_of(graph, node):
            k, v = (repeated(graph, part, q.meta["val"].shape[-3]) for part in (k, v))
            new = call(graph, aten.scaled_dot_product_attention.default, q, k, v, *rest, **options)
            stands_for(new, node)
        node.replace_all_uses_with(new)
        graph.graph.erase_node(node)
        rewritten += 1
    return finish(graph), rewritten


def repeated(graph: fx.GraphModule, x: fx.Node, heads: int) -> fx.Node:
    axis = x.meta["val"].ndim - 3
    own = x.meta["val"].shape[axis]
    if own in {1, heads}:
        return x
    each = (call(graph, aten.slice.Tensor, x, axis, head, head + 1) for head in range(own))
    return call(graph, aten.cat.default, [part for part in each for _ in range(heads // own)], axis)
