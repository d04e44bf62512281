"""Fold batch norm into the convolution before it.

In evaluation mode batch norm is y = (x - m) / sqrt(v + eps) * g + b with constants per channel. After a
convolution x = W * u + c that is a convolution again, with

    s  = g / sqrt(v + eps)
    W' = s W          (per output channel)
    c' = s (c - m) + b

A convolution of one dimension and a transposed one are as linear. Fires where the convolution's only reader is the
batch norm and all six tensors are constants. The factors are computed in float64, so that the folded weights are
rounded once.
"""

from __future__ import annotations

import torch
from torch import Tensor, fx

from ..graph import (  # fmt: skip
    TRANSPOSED,
    add_constant,
    arguments,
    aten,
    call,
    constant,
    copy_graph,
    filled,
    finish,
    get,
    in_place_of,
    owner,
    stands_for,
)

CONVOLUTIONS = {aten.conv1d.default, aten.conv2d.default, aten.conv_transpose2d.input}


def fold_batchnorm(graph: fx.GraphModule) -> tuple[fx.GraphModule, int]:
    """The rewritten copy and how many batch norms were folded."""
    graph = copy_graph(graph)
    folded = 0
    for norm in list(graph.graph.find_nodes(op="call_function", target=aten.batch_norm.default)):
        conv, weight, bias, mean, variance, training, _momentum, eps = norm.args[:8]
        if training or not isinstance(conv, fx.Node) or conv.target not in CONVOLUTIONS or len(conv.users) > 1:
            continue
        kernel, m, v = (constant(graph, node) for node in (conv.args[1], mean, variance))
        offset = conv.args[2] if len(conv.args) > 2 else None
        c = constant(graph, offset) if offset is not None else None
        if kernel is None or m is None or v is None or (offset is not None and c is None):
            continue
        g = constant(graph, weight) if weight is not None else torch.ones_like(m)
        b = constant(graph, bias) if bias is not None else torch.zeros_like(m)
        if g is None or b is None:
            continue
        scale = g.double() / torch.sqrt(v.double() + eps)
        start = c.double() if c is not None else torch.zeros_like(m, dtype=torch.float64)
        new_kernel = (kernel.double() * per_kernel(scale, conv)).to(kernel.dtype)
        new_bias = (scale * (start - m.double()) + b.double()).to(kernel.dtype)
        with in_place_of(graph, norm):
            names = [add_constant(graph, f"folded_{part}", t) for part, t in (("w", new_kernel), ("b", new_bias))]
            replacement = call(graph, conv.target, conv.args[0], *(get(graph, name) for name in names), *conv.args[3:])
        stands_for(replacement, conv)
        replacement.meta["normalised_by"] = owner(mean)
        norm.replace_all_uses_with(replacement)
        graph.graph.erase_node(norm)
        graph.graph.erase_node(conv)
        folded += 1
    return finish(graph), folded


def per_kernel(scale: Tensor, conv: fx.Node) -> Tensor:
    """A factor for each output channel, in a shape that multiplies the convolution's kernel."""
    rank = conv.meta["val"].ndim
    if conv.target is not aten.conv_transpose2d.input:
        return scale.reshape(-1, *[1] * (rank - 1))
    # (inputs, outputs / groups, rows, columns): the inputs of a group lie together, and so do its outputs
    inputs, groups = arguments(conv)[1].meta["val"].shape[0], filled(conv, *TRANSPOSED)[6]
    return scale.reshape(groups, -1).repeat_interleave(inputs // groups, 0)[:, :, None, None]
