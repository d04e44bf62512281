"""Compute once here what depends on constants alone.

A table of position biases looked up by a constant index, a mask made of slices, an expanded class token: whatever reads
nothing but weights and numbers is the same for every photograph. Only the last value of such a chain is stored. Random
operations stay. Fires once per operation computed.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, fx

from ..graph import add_constant, constant, copy_graph, finish, get


def fold_constants(graph: fx.GraphModule) -> tuple[fx.GraphModule, int]:
    """The rewritten copy and how many operations were computed."""
    graph = copy_graph(graph)
    values: dict[fx.Node, Any] = {}
    folded = []
    for node in graph.graph.nodes:
        held = constant(graph, node)
        if held is not None:
            values[node] = held
        elif node.op == "call_function" and not is_random(node) and all(a in values for a in node.all_input_nodes):
            args, kwargs = fx.map_arg((node.args, node.kwargs), values.__getitem__)
            with torch.no_grad():
                values[node] = node.target(*args, **kwargs)
            folded.append(node)
    inside = set(folded)
    for node in folded:
        value = values[node]
        if not isinstance(value, Tensor) or all(user in inside for user in node.users):
            continue
        with graph.graph.inserting_before(node):
            node.replace_all_uses_with(get(graph, add_constant(graph, node.name, value.detach().clone())))
    return finish(graph), len(folded)


def is_random(node: fx.Node) -> bool:
    return torch.Tag.nondeterministic_seeded in getattr(node.target, "tags", ())
