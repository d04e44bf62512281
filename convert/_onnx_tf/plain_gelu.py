"""The exact GELU without the error function, for which TFLite's converter of TensorFlow 2.15 has no operator.

    gelu(x) = x / 2 (1 + erf(x / sqrt(2))),   erf(z) = tanh(z P(z^2)) for |z| up to 3.95, beyond which it is 1

atanh(erf(z)) / z is smooth in z^2, and P is its polynomial of degree 6 with the smallest largest error of erf, found by
weighted least squares: 1.4e-7 in float32, two units in the last place of a 1. Fires once per GELU.
"""

from __future__ import annotations

import math

from torch import fx

from .._graph.graph import arguments, aten, call
from .._graph.passes.spell_out import spelled_by

END = 3.95
P = (1.1283797, 0.10276548, -1.8438256e-4, -6.257207e-4, 8.971304e-5, -5.98577e-6, 1.5896512e-7)


def plain_gelu(graph: fx.GraphModule) -> tuple[fx.GraphModule, int]:
    """The rewritten copy and how many GELUs were spelled out; those by tanh are left, every converter knows tanh."""
    return spelled_by(graph, {aten.gelu.default: spell})


def spell(graph: fx.GraphModule, node: fx.Node) -> fx.Node | None:
    if node.kwargs.get("approximate", "none") != "none":
        return None
    x = arguments(node)[0]
    inner = call(graph, aten.add.Tensor, error_function(graph, call(graph, aten.mul.Tensor, x, math.sqrt(0.5))), 1.0)
    return call(graph, aten.mul.Tensor, call(graph, aten.mul.Tensor, x, 0.5), inner)


def error_function(graph: fx.GraphModule, z: fx.Node) -> fx.Node:
    z = call(graph, aten.clamp.default, z, -END, END)
    square = call(graph, aten.mul.Tensor, z, z)
    y = call(graph, aten.mul.Tensor, square, P[-1])
    for coefficient in P[-2:0:-1]:
        y = call(graph, aten.mul.Tensor, call(graph, aten.add.Tensor, y, coefficient), square)
    return call(graph, aten.tanh.default, call(graph, aten.mul.Tensor, call(graph, aten.add.Tensor, y, P[0]), z))
