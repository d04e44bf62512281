"""Compute once what is computed twice: calls of the same operation on the same values give the same result.

Fires once per call that was taken out.
"""

from __future__ import annotations

from torch import fx

from ..graph import copy_graph, finish


def share_results(graph: fx.GraphModule) -> tuple[fx.GraphModule, int]:
    """The rewritten copy and how many calls were taken out. Random operations have none in a finished network."""
    graph = copy_graph(graph)
    seen: dict[str, fx.Node] = {}
    shared = 0
    for node in list(graph.graph.nodes):
        if node.op not in {"call_function", "get_attr"}:
            continue
        key = f"{node.op} {node.target} {node.args} {node.kwargs}"  # nodes print as their names, which are unique
        first = seen.setdefault(key, node)
        if first is not node:
            node.replace_all_uses_with(first)
            graph.graph.erase_node(node)
            shared += node.op == "call_function"
    return finish(graph), shared
