"""Group norm and instance norm as sums over places and a few channels' means.

With G groups of n channels, the mean of a group is the mean of its channels' means, and so is that of the squares:

    m  = mean_group(mean_places(x)),  u = x - m
    v  = mean_group(mean_places(u u))
    y  = g u / sqrt(v + eps) + b

so that the map is never cut into groups, only what is left of it per channel; with one group it is a mean over the
whole map. Instance norm is group norm with one channel in each group. Fires once per norm.
"""

from __future__ import annotations

from torch import fx

from ..graph import arguments, aten, call, copy_graph, filled, finish, in_place_of


def group_norms(graph: fx.GraphModule) -> tuple[fx.GraphModule, int]:
    """The rewritten copy and how many norms were spelled out. Norms that keep running statistics are left."""
    graph = copy_graph(graph)
    spelled = 0
    for target in (aten.group_norm.default, aten.instance_norm.default):
        for norm in list(graph.graph.find_nodes(op="call_function", target=target)):
            if target is aten.instance_norm.default and not arguments(norm)[5]:
                continue
            with in_place_of(graph, norm):
                y = normalised(graph, norm)
            norm.replace_all_uses_with(y)
            graph.graph.erase_node(norm)
            spelled += 1
    return finish(graph), spelled


def normalised(graph: fx.GraphModule, norm: fx.Node) -> fx.Node:
    if norm.target is aten.group_norm.default:
        x, groups, weight, bias, eps = filled(norm, None, None, None, None, 1e-5)[:5]
    else:
        x, weight, bias, *_, eps, _cudnn = arguments(norm)
        groups = x.meta["val"].shape[1]
    channels, rank = x.meta["val"].shape[1], x.meta["val"].ndim
    shape = [1, channels, *[1] * (rank - 2)]
    centred = call(graph, aten.sub.Tensor, x, mean_of_groups(graph, x, groups))
    power = mean_of_groups(graph, call(graph, aten.mul.Tensor, centred, centred), groups)
    scale = call(graph, aten.rsqrt.default, call(graph, aten.add.Tensor, power, eps))
    if weight is not None:
        scale = call(graph, aten.mul.Tensor, scale, call(graph, aten.reshape.default, weight, shape))
    y = call(graph, aten.mul.Tensor, centred, scale)
    if bias is not None:
        y = call(graph, aten.add.Tensor, y, call(graph, aten.reshape.default, bias, shape))
    return y


def mean_of_groups(graph: fx.GraphModule, x: fx.Node, groups: int) -> fx.Node:
    """(N, C, …) -> (N, C, 1, …), each channel's the mean of its group; (N, 1, 1, …) with one group."""
    batch, channels, *sides = x.meta["val"].shape
    places = list(range(2, 2 + len(sides)))
    if groups == 1:
        return call(graph, aten.mean.dim, x, [1, *places], True)
    mean = call(graph, aten.mean.dim, x, places, True) if places else x
    if groups == channels:
        return mean
    mean = call(graph, aten.reshape.default, mean, [batch, groups, channels // groups])
    mean = call(graph, aten.expand.default, call(graph, aten.mean.dim, mean, [2], True), list(mean.meta["val"].shape))
    return call(graph, aten.reshape.default, mean, [batch, channels, *[1] * len(sides)])
