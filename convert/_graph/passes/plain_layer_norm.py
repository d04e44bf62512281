"""Layer norm in few plain operations, its scale and shift in the weights that read it.

    y = g z + b,   z = (x - m) r,   m = mean(x),   r = 1 / sqrt(mean((x - m)^2) + eps)

A converter's own decomposition takes twelve operations, three of them reshapes. Here z takes seven, all on the shape
of x, or five where `zero_mean_streams` has seen to m = 0. If every reader is a linear layer or a convolution without
padding over the normalised axis, u = W y + c, then

    W' = W diag(g)        c' = c + W b

and y is never made. Otherwise the product with g and the addition of b are spelled out. Fires once per layer norm over
the last axis.
"""

from __future__ import annotations

import torch
from torch import Tensor, fx

from ..axes import forward, is_link
from ..graph import (
    CONVOLUTION,
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
)
from .zero_mean_streams import CENTRED


def plain_layer_norm(graph: fx.GraphModule) -> tuple[fx.GraphModule, int]:
    """The rewritten copy and how many layer norms were replaced."""
    graph = copy_graph(graph)
    replaced = 0
    for norm in list(graph.graph.find_nodes(op="call_function", target=aten.layer_norm.default)):
        x, shape, weight, bias, eps = filled(norm, None, None, None, None, 1e-5)[:5]
        g, b = (None if node is None else constant(graph, node) for node in (weight, bias))
        if len(shape) != 1 or (weight is not None and g is None) or (bias is not None and b is None):
            continue
        readers = readers_of(graph, norm, norm.meta["val"].ndim - 1)
        with in_place_of(graph, norm):
            if not norm.meta.get(CENTRED):
                x = call(graph, aten.sub.Tensor, x, call(graph, aten.mean.dim, x, [-1], True))
            power = call(graph, aten.mean.dim, call(graph, aten.mul.Tensor, x, x), [-1], True)
            z = call(
                graph, aten.mul.Tensor, x, call(graph, aten.rsqrt.default, call(graph, aten.add.Tensor, power, eps))
            )
            if readers is None:
                for target, value, name in ((aten.mul.Tensor, g, "scale"), (aten.add.Tensor, b, "shift")):
                    if value is not None:
                        z = call(graph, target, z, get(graph, add_constant(graph, name, value)))
        for reader in readers or ():
            absorb(graph, reader, g, b)
        norm.replace_all_uses_with(z)
        graph.graph.erase_node(norm)
        replaced += 1
    return finish(graph), replaced


def readers_of(graph: fx.GraphModule, node: fx.Node, axis: int) -> list[fx.Node] | None:
    """The layers that read the node's channels, directly or through links; None if anything else does."""
    readers: list[fx.Node] = []
    for user in node.users:
        if is_link(user) and (after := forward(user, axis)) is not None:
            further = readers_of(graph, user, after)
            if further is None:
                return None
            readers += further
        elif arguments(user)[0] is node and absorbs(graph, user, axis):
            readers.append(user)
        else:
            return None
    return readers


def absorbs(graph: fx.GraphModule, user: fx.Node, axis: int) -> bool:
    weights = [a for a in arguments(user)[1:3] if a is not None]
    if not all(constant(graph, a) is not None for a in weights):
        return False
    if user.target is aten.linear.default:
        return axis == arguments(user)[0].meta["val"].ndim - 1
    if user.target is aten.conv2d.default:
        _, _, _, _, padding, _, groups = filled(user, *CONVOLUTION)
        return axis == 1 and not any(padding) and groups == 1
    return False


def absorb(graph: fx.GraphModule, layer: fx.Node, g: Tensor | None, b: Tensor | None) -> None:
    weight = constant(graph, arguments(layer)[1])
    offset = filled(layer, None, None, None)[2]
    old = None if offset is None else constant(graph, offset)
    assert weight is not None
    wide = weight.double()
    shape = (1, -1, *[1] * (wide.ndim - 2))
    bias = torch.zeros(len(wide), dtype=torch.float64) if old is None else old.double()
    if b is not None:
        bias = bias + (wide * b.double().reshape(shape)).flatten(1).sum(1)
    if g is not None:
        wide = wide * g.double().reshape(shape)
    with in_place_of(graph, layer):
        new = [get(graph, add_constant(graph, "absorbed_w", wide.to(weight.dtype)))]
        if b is not None or old is not None:
            new.append(get(graph, add_constant(graph, "absorbed_b", bias.to(weight.dtype))))
        layer.args = (arguments(layer)[0], *new, *arguments(layer)[1 + len(new) :])
