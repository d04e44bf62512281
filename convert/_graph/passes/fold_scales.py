"""Fold a multiplication by a constant into the weights before it.

    s (W u + b) = (s W) u + s b

for a number s, or one value per output channel, after a linear layer or a convolution; reshapes, transposes, and the
piece of a split along the output channels may stand between. A product is linear in each factor, so a number after
`a b` may be taken to a or to b: the 1 / sqrt(d) of attention goes into the rows of the projection that make the
queries. A division is the multiplication by 1 / s.

And before it: (u - m) / d with one value per input channel, which is how photographs are normalised,

    W diag(1 / d) (u - m)

takes d into a convolution or linear layer that alone reads it. The subtraction stays; `fold_shifts` says why. Fires
once per multiplication folded.
"""

from __future__ import annotations

import operator

import torch
from torch import Tensor, fx

from ..axes import backward, is_link
from ..graph import CONVOLUTION, add_constant, arguments, aten, constant, copy_graph, filled, finish, get

SPLITS = {aten.chunk.default, aten.split.Tensor, aten.split_with_sizes.default}
PRODUCTS = {aten.matmul.default, aten.bmm.default}
LAYERS = {aten.linear.default, aten.conv2d.default}


def fold_scales(graph: fx.GraphModule) -> tuple[fx.GraphModule, int]:
    """The rewritten copy and how many multiplications were folded."""
    graph = copy_graph(graph)
    folded = 0
    for node in list(graph.graph.nodes):
        if node.op != "call_function" or node.target not in {aten.mul.Tensor, aten.div.Tensor} or node.kwargs:
            continue
        x, factor = scale_of(graph, node)
        if factor is None:
            continue
        if into_writer(graph, x, factor) or into_reader(graph, node, x, factor):
            node.replace_all_uses_with(x)
            graph.graph.erase_node(node)
            folded += 1
    return finish(graph), folded


def scale_of(graph: fx.GraphModule, node: fx.Node) -> tuple[fx.Node, Tensor | None]:
    """The operand and the constant that it is multiplied by, float64."""
    a, b = arguments(node)
    if node.target is aten.mul.Tensor and not isinstance(a, fx.Node):
        a, b = b, a
    value = torch.tensor(float(b), dtype=torch.float64) if isinstance(b, (int, float)) else constant(graph, b)
    if value is None and node.target is aten.mul.Tensor and constant(graph, a) is not None:
        a, value = b, constant(graph, a)
    if value is None or not isinstance(a, fx.Node) or constant(graph, a) is not None:
        return a, None
    if a.meta["val"].shape != node.meta["val"].shape:
        return a, None
    value = value.double()
    return a, value if node.target is aten.mul.Tensor else 1 / value


def into_writer(graph: fx.GraphModule, node: fx.Node, factor: Tensor, rows: slice | None = None) -> bool:
    """Multiply what `node` gives by scaling the weights behind it; False, and nothing done, where that cannot be."""
    if len(node.users) > 1:
        return False
    if is_link(node) and factor.ndim == 0:
        return into_writer(graph, arguments(node)[0], factor, rows)
    if node.target in PRODUCTS and factor.ndim == 0:
        return any(isinstance(a, fx.Node) and into_writer(graph, a, factor, rows) for a in arguments(node))
    if node.target is operator.getitem and rows is None and factor.ndim == 0:
        split, number = arguments(node)
        if split.target not in SPLITS:
            return False
        layer = arguments(split)[0]
        axis: int | None = filled(split, None, None, 0)[2] % layer.meta["val"].ndim
        lengths = [piece.shape[axis] for piece in split.meta["val"]]
        while is_link(layer) and len(layer.users) == 1 and axis is not None:
            layer, axis = arguments(layer)[0], backward(layer, axis)
        if layer.target not in LAYERS or len(layer.users) > 1 or axis != channels_of(layer):
            return False
        return scale_layer(graph, layer, factor, slice(sum(lengths[:number]), sum(lengths[: number + 1])))
    if node.target not in LAYERS:
        return False
    axis = channels_of(node)
    if factor.ndim and factor.numel() != 1:
        spread = [1] * (node.meta["val"].ndim - factor.ndim) + list(factor.shape)
        if spread[axis] != factor.numel():
            return False
    return scale_layer(graph, node, factor.reshape(-1), rows)


def channels_of(layer: fx.Node) -> int:
    """The axis of a layer's output channels."""
    return 1 if layer.target is aten.conv2d.default else layer.meta["val"].ndim - 1


def scale_layer(graph: fx.GraphModule, layer: fx.Node, factor: Tensor, rows: slice | None) -> bool:
    """W' = s W and b' = s b on the given output rows."""
    names = [a for a in arguments(layer)[1:3] if a is not None]
    values = [constant(graph, a) for a in names]
    if any(v is None for v in values):
        return False
    for place, value in enumerate(values, start=1):
        assert value is not None
        wide = value.double().clone()
        part = wide[rows] if rows else wide
        part *= factor.reshape(-1, *[1] * (wide.ndim - 1))
        with graph.graph.inserting_before(layer):
            layer.update_arg(place, get(graph, add_constant(graph, "scaled", wide.to(value.dtype))))
    return True


def into_reader(graph: fx.GraphModule, node: fx.Node, x: fx.Node, factor: Tensor) -> bool:
    """Scale the input channels of the one layer that reads `node`."""
    if len(node.users) != 1:
        return False
    (layer,) = node.users
    if layer.target not in LAYERS or arguments(layer)[0] is not node:
        return False
    weight = constant(graph, arguments(layer)[1])
    rank = node.meta["val"].ndim
    axis = 1 if layer.target is aten.conv2d.default else rank - 1
    grouped = layer.target is aten.conv2d.default and filled(layer, *CONVOLUTION)[6] != 1
    spread = [1] * (rank - factor.ndim) + list(factor.shape)
    if weight is None or (grouped and factor.numel() != 1) or spread[axis] != factor.numel():
        return False
    wide = weight.double() * factor.reshape(1, -1, *[1] * (weight.ndim - 2))
    with graph.graph.inserting_before(layer):
        layer.update_arg(1, get(graph, add_constant(graph, "scaled", wide.to(weight.dtype))))
    return True
