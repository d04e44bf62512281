"""Instance norm that keeps statistics is a batch norm when it answers: shift and scale of a channel are fixed.

Its arguments are those of batch norm in the same order. coremltools 9.0 takes the picture's own statistics instead.
Fires once per norm.
"""

from __future__ import annotations

from torch import fx

from ..graph import arguments, aten, copy_graph, finish


def kept_statistics(graph: fx.GraphModule) -> tuple[fx.GraphModule, int]:
    """The rewritten copy and how many norms are batch norms now."""
    graph = copy_graph(graph)
    norms = 0
    for norm in graph.graph.find_nodes(op="call_function", target=aten.instance_norm.default):
        if not arguments(norm)[5]:  # use_input_stats
            norm.target = aten.batch_norm.default
            norms += 1
    return finish(graph), norms
