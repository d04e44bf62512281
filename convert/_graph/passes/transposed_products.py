"""Let a matrix product take its right factor transposed, as the runtimes' batched product can.

a b^T with b^T made by a transpose of the last two axes becomes one operation on a and b, so that queries and keys keep
one layout and no key is copied. Fires once per product.
"""

from __future__ import annotations

from torch import fx

from .. import mobile_ops as _mobile_ops
from ..axes import MOVES, order_of
from ..graph import arguments, aten, call, copy_graph, finish, in_place_of


def transposed_products(graph: fx.GraphModule) -> tuple[fx.GraphModule, int]:
    """The rewritten copy and how many products were replaced."""
    graph = copy_graph(graph)
    replaced = 0
    for product in list(graph.graph.find_nodes(op="call_function", target=aten.matmul.default)):
        a, b = arguments(product)
        if b.op != "call_function" or b.target not in MOVES:
            continue
        rank = b.meta["val"].ndim
        if rank < 3 or a.meta["val"].ndim != rank or order_of(b) != [*range(rank - 2), rank - 1, rank - 2]:
            continue
        with in_place_of(graph, product):
            new = call(graph, _mobile_ops.matmul_transposed, a, arguments(b)[0])
        product.replace_all_uses_with(new)
        graph.graph.erase_node(product)
        replaced += 1
    return finish(graph), replaced
