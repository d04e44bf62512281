"""Borders of zeros in front of a convolution, as networks from TensorFlow have them, become the convolution's own.

    conv(pad(x, above and left p, below and right q), padding 0)  =  conv(x) with TFLite's padding SAME

where p and q are what SAME pads: t = max((ceil(L / s) - 1) s + k - L, 0) in all, the smaller half in front. Nothing is
copied then. EfficientNet-Lite0 at 224 pixels has five such borders, four around maps of 96 to 672 channels. Works on
maps with channels last; fires once per convolution.
"""

from __future__ import annotations

from torch import fx

from .. import mobile_ops
from ..graph import arguments, aten, copy_graph, filled, finish

Sides = tuple[int, int, int, int]  # pixels above, below, left and right


def same_borders(graph: fx.GraphModule) -> tuple[fx.GraphModule, int]:
    """The rewritten copy and how many convolutions got their border."""
    graph = copy_graph(graph)
    fired = 0
    for node in list(graph.graph.find_nodes(op="call_function", target=mobile_ops.conv2d)):
        x, weight, _, stride, padding, dilation, _ = arguments(node)
        sides = zeros_around(x) if not any(padding) else None
        if sides is None:
            continue
        inside = arguments(x)[0]
        kernel = weight.meta["val"].shape[1:3]
        if sides != mobile_ops.same_sides(inside.meta["val"].shape[1:3], kernel, stride, dilation):
            continue
        node.update_arg(0, inside)  # under its own name, by which kept ranges know it
        node.update_arg(4, list(sides))
        fired += 1
    return finish(graph), fired


def zeros_around(node: fx.Node) -> Sides | None:
    """The border that a node puts around a map (N, H, W, C); None where it is no border of zeros."""
    if node.target is not aten.pad.default:
        return None
    _, amounts, mode, value = filled(node, None, None, "constant", None)
    mode, value = node.kwargs.get("mode", mode), node.kwargs.get("value", value)
    channels, columns, rows = amounts[:2], amounts[2:4], amounts[4:6]
    if mode != "constant" or value or any(channels) or len(amounts) != 6 or min(amounts) < 0:
        return None
    return rows[0], rows[1], columns[0], columns[1]
