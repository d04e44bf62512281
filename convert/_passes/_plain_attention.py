"""Attention as the products that it is.

scaled_dot_product_attention(q, k, v) = softmax(s q k^T + m) v with s = 1 / sqrt(d) unless it is given, m a mask that is
added (False of a boolean one, or the future of a causal one, stands for minus infinity). Runtimes fuse the form in
different ways or not at all; as products the scale folds into the weights and the quantiser sees two of them.

Fires where there is no dropout, no grouping of heads, and a boolean mask is a constant.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, fx

from .._graph import add_constant, aten, call, constant, copy_graph, filled, finish, get

LOWEST = -1e9  # in place of minus infinity, which quantisers take for a range; exp of it is 0 all the same


def plain_attention(graph: fx.GraphModule) -> tuple[fx.GraphModule, int]:
    """The rewritten copy and how many attentions were written out."""
    graph = copy_graph(graph)
    written = 0
    for node in list(graph.graph.find_nodes(op="call_function", target=aten.scaled_dot_product_attention.default)):
        query, key, value, mask, dropout, causal = filled(node, None, None, None, None, 0.0, False)
        added = added_mask(graph, node, mask, causal)
        if dropout or node.kwargs.get("enable_gqa") or added is False:
            continue
        scale = node.kwargs.get("scale") or 1 / math.sqrt(query.meta["val"].shape[-1])
        rank = key.meta["val"].ndim
        with graph.graph.inserting_before(node):
            turned = call(graph, aten.permute.default, key, [*range(rank - 2), rank - 1, rank - 2])
            scores = call(graph, aten.matmul.default, call(graph, aten.mul.Tensor, query, scale), turned)
            if isinstance(added, Tensor):
                added = get(graph, add_constant(graph, "mask", added))
            if added is not None:
                scores = call(graph, aten.add.Tensor, scores, added)
            result = call(graph, aten.matmul.default, call(graph, aten.softmax.int, scores, -1), value)
        node.replace_all_uses_with(result)
        graph.graph.erase_node(node)
        written += 1
    return finish(graph), written


def added_mask(
    graph: fx.GraphModule, node: fx.Node, mask: fx.Node | None, causal: bool
) -> fx.Node | Tensor | bool | None:
    """What is added to the scores: nothing (None), a node, a constant; False where it cannot be told beforehand."""
    value = node.meta["val"]
    if causal:
        length, seen = value.shape[-2], node.all_input_nodes[1].meta["val"].shape[-2]
        future = torch.ones(length, seen, dtype=torch.bool).triu(1)
        return torch.zeros(length, seen, dtype=value.dtype).masked_fill(future, LOWEST)
    if mask is None:
        return None
    if mask.meta["val"].dtype != torch.bool:
        return mask
    known = constant(graph, mask)
    return False if known is None else torch.zeros(known.shape, dtype=value.dtype).masked_fill(~known, LOWEST)
