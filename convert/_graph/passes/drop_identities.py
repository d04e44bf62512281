"""Take out what does nothing in a finished network.

Dropout outside training, a copy, a cast to the type that a value has and the tracer's check that it had it, padding by
nothing, adding or subtracting zeros, and multiplying or dividing by one, where the result has the operand's shape.
Fires once per node removed.

A view asks for memory in a certain order, which is what some copies were there for; every view becomes a reshape, which
asks for nothing, so that the graph can still be run and traced again.
"""

from __future__ import annotations

import torch
from torch import fx

from ..graph import arguments, aten, constant, copy_graph, finish

COPIES = {
    aten.contiguous.default, aten.clone.default, aten.alias.default, aten.detach.default, aten.lift_fresh_copy.default,
}  # fmt: skip
CHECKS = {aten._assert_tensor_metadata.default}  # give nothing; shapes and types are static here
NEUTRAL = {aten.add.Tensor: 0, aten.sub.Tensor: 0, aten.mul.Tensor: 1, aten.div.Tensor: 1}


def drop_identities(graph: fx.GraphModule) -> tuple[fx.GraphModule, int]:
    """The rewritten copy and how many nodes were removed."""
    graph = copy_graph(graph)
    dropped = 0
    for node in list(graph.graph.nodes):
        if node.op == "call_function" and does_nothing(graph, node):
            node.replace_all_uses_with(arguments(node)[0])
            graph.graph.erase_node(node)
            dropped += 1
    for target in (aten.view.default, aten._unsafe_view.default):
        for node in graph.graph.find_nodes(op="call_function", target=target):
            node.target = aten.reshape.default
    return finish(graph), dropped


def does_nothing(graph: fx.GraphModule, node: fx.Node) -> bool:
    if node.target in COPIES | CHECKS:
        return True
    if node.target in {aten.dropout.default, aten.dropout_.default, aten.feature_dropout.default}:
        return not arguments(node)[2]
    if node.target is aten.to.dtype or node.target is aten._to_copy.default:
        return arguments(node)[0].meta["val"].dtype == node.meta["val"].dtype
    if node.target in {aten.pad.default, aten.constant_pad_nd.default}:
        return not any(arguments(node)[1])
    if node.target in NEUTRAL and not node.kwargs:
        x, y = arguments(node)[:2]
        value = y if isinstance(y, (int, float)) else constant(graph, y)
        if value is None or not isinstance(x, fx.Node):
            return False
        same = torch.as_tensor(value == NEUTRAL[node.target]).all()
        return bool(same) and x.meta["val"].shape == node.meta["val"].shape
    return False
