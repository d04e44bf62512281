"""Group norm and instance norm as sums over places and a few channels' means.

With G groups of n channels, the mean of a group is the mean of its channels' means, and so is that of the squares:

    m  = mean_group(mean_places(x)),  u = x - m
    v  = mean_group(mean_places(u u))
    y  = g u / sqrt(v + eps) + b

so that the map is never cut into groups, only what is left of it per channel; with one group it is a mean over the
whole map. Instance norm is group norm with one channel in each group. Fires once per norm.

`norms_by_axis` is for LiteRT, which adds up a mean's terms one after the other: of K terms it loses about sqrt(K)
roundings, 20 dB over 31 x 31 places and 35 dB over 200 x 200. Means are taken over one axis after the other, which
loses a few dB, and what is left of the mean in u, which matters where m is far larger than u, goes into the shift:

    y  = g u / sqrt(v + eps) + (b - g mean(u) / sqrt(v + eps))
"""

from __future__ import annotations

from torch import fx

from ..graph import arguments, aten, call, copy_graph, filled, finish, in_place_of


def group_norms(graph: fx.GraphModule) -> tuple[fx.GraphModule, int]:
    """The rewritten copy and how many norms were spelled out. Norms that keep running statistics are left."""
    return spelled(graph, by_axis=False)


def norms_by_axis(graph: fx.GraphModule) -> tuple[fx.GraphModule, int]:
    """The same with sums that LiteRT rounds less."""
    return spelled(graph, by_axis=True)


def spelled(graph: fx.GraphModule, *, by_axis: bool) -> tuple[fx.GraphModule, int]:
    graph = copy_graph(graph)
    norms = 0
    for target in (aten.group_norm.default, aten.instance_norm.default):
        for norm in list(graph.graph.find_nodes(op="call_function", target=target)):
            if target is aten.instance_norm.default and not arguments(norm)[5]:
                continue
            with in_place_of(graph, norm):
                y = normalised(graph, norm, by_axis)
            norm.replace_all_uses_with(y)
            graph.graph.erase_node(norm)
            norms += 1
    return finish(graph), norms


def normalised(graph: fx.GraphModule, norm: fx.Node, by_axis: bool) -> fx.Node:
    if norm.target is aten.group_norm.default:
        x, groups, weight, bias, eps = filled(norm, None, None, None, None, 1e-5)[:5]
    else:
        x, weight, bias, *_, eps, _cudnn = arguments(norm)
        groups = x.meta["val"].shape[1]
    channels, rank = x.meta["val"].shape[1], x.meta["val"].ndim
    shape = [1, channels, *[1] * (rank - 2)]
    centred = call(graph, aten.sub.Tensor, x, mean_of_groups(graph, x, groups, by_axis))
    power = mean_of_groups(graph, call(graph, aten.mul.Tensor, centred, centred), groups, by_axis)
    scale = call(graph, aten.rsqrt.default, call(graph, aten.add.Tensor, power, eps))
    if weight is not None:
        scale = call(graph, aten.mul.Tensor, scale, call(graph, aten.reshape.default, weight, shape))
    y = call(graph, aten.mul.Tensor, centred, scale)
    shift = None if bias is None else call(graph, aten.reshape.default, bias, shape)
    if by_axis:
        rest = call(graph, aten.mul.Tensor, mean_of_groups(graph, centred, groups, by_axis), scale)
        shift = call(graph, aten.neg.default, rest) if shift is None else call(graph, aten.sub.Tensor, shift, rest)
    return y if shift is None else call(graph, aten.add.Tensor, y, shift)


def mean_of_groups(graph: fx.GraphModule, x: fx.Node, groups: int, by_axis: bool = False) -> fx.Node:
    """(N, C, …) -> (N, C, 1, …), each channel's the mean of its group; (N, 1, 1, …) with one group."""
    batch, channels, *sides = x.meta["val"].shape
    axes = list(range(1 if groups == 1 else 2, 2 + len(sides)))
    for part in [[axis] for axis in reversed(axes)] if by_axis else [axes] if axes else []:
        x = call(graph, aten.mean.dim, x, part, True)
    if groups in {1, channels}:
        return x
    x = call(graph, aten.reshape.default, x, [batch, groups, channels // groups])
    x = call(graph, aten.expand.default, call(graph, aten.mean.dim, x, [2], True), list(x.meta["val"].shape))
    return call(graph, aten.reshape.default, x, [batch, channels, *[1] * len(sides)])
