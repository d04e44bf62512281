"""Adaptive average pools as what they are for a fixed size: a mean, a plain pool, or a constant matrix.

Bin i of n over a side of length L is the mean of rows floor(i L / n) .. ceil((i + 1) L / n) - 1, so the pool
is linear and separable: y = A x B^T with A[i, r] = 1 / (rows in bin i) inside the bin and 0 outside. Over the
flattened map it is one matrix product with M = A (x) B (Kronecker). Converters that do not know this unroll
the bins into hundreds of slices and additions.

* output 1x1: the mean over the map
* L divisible by n: an ordinary average pool
* otherwise: x as (N, C, H W) times M^T (H W, h w), or with A and B one after the other where M would be large

Of one dimension: the mean, or x (N, C, L) times A^T.
"""

from __future__ import annotations

import torch
from torch import Tensor, fx

from ..axis_products import along_both
from ..graph import add_constant, aten, call, copy_graph, finish, get, in_place_of

LARGEST = 2**18  # numbers of a matrix over the flattened map; 32 x 32 to 15 x 15 has fewer


def pooling_matrices(graph: fx.GraphModule) -> tuple[fx.GraphModule, int]:
    """The rewritten copy and how many adaptive pools were replaced."""
    graph = copy_graph(graph)
    replaced = 0
    for pool in list(graph.graph.find_nodes(op="call_function", target=aten.adaptive_avg_pool1d.default)):
        x, (count,) = pool.args
        value = x.meta["val"]
        with in_place_of(graph, pool):
            if count == 1:
                y = call(graph, aten.mean.dim, x, [-1], True)
            else:
                name = add_constant(graph, "pooling", bins(value.shape[-1], count).T.contiguous().to(value.dtype))
                y = call(graph, aten.matmul.default, x, get(graph, name))
        pool.replace_all_uses_with(y)
        graph.graph.erase_node(pool)
        replaced += 1
    for pool in list(graph.graph.find_nodes(op="call_function", target=aten.adaptive_avg_pool2d.default)):
        x, (h, w) = pool.args
        value = x.meta["val"]
        if value.ndim != 4:
            continue
        n, c, height, width = value.shape
        with in_place_of(graph, pool):
            if (h, w) == (1, 1):
                y = call(graph, aten.mean.dim, x, [2, 3], True)
            elif height % h == 0 and width % w == 0:
                kernel = [height // h, width // w]
                y = call(graph, aten.avg_pool2d.default, x, kernel, kernel)
            elif height * h * width * w > LARGEST:
                y = along_both(graph, pool, x, bins(height, h), bins(width, w))
            else:
                matrix = torch.kron(bins(height, h), bins(width, w)).T.contiguous().to(value.dtype)
                name = add_constant(graph, "pooling", matrix)
                flat = call(graph, aten.reshape.default, x, [n, c, height * width])
                y = call(graph, aten.matmul.default, flat, get(graph, name))
                y = call(graph, aten.reshape.default, y, [n, c, h, w])
        pool.replace_all_uses_with(y)
        graph.graph.erase_node(pool)
        replaced += 1
    return finish(graph), replaced


def bins(length: int, count: int) -> Tensor:
    """A, float64 (count, length)."""
    matrix = torch.zeros(count, length, dtype=torch.float64)
    for i in range(count):
        first, last = i * length // count, -(-(i + 1) * length // count)
        matrix[i, first:last] = 1 / (last - first)
    return matrix
