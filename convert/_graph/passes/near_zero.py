"""Functions of numbers near zero whose plain form loses their digits, for Core ML.

    log1p(x)      log(u) x / (u - 1), u = 1 + x as it is rounded; x where u is 1
    expm1(x)      2 t / (1 - t), t = tanh(x / 2), where |x| < 1; exp(x) - 1 elsewhere

coremltools 9.0 writes log(1 + x) and exp(x) - 1: of 0.001, half precision keeps no digit in these. Fires once per
function spelled out. Source of log1p: W. Kahan's form, in N. Higham, Accuracy and Stability of Numerical Algorithms.
"""

from __future__ import annotations

import math

from torch import fx

from ..graph import arguments, aten, call
from .plain_choices import chosen
from .spell_out import spelled_by


def near_zero(graph: fx.GraphModule) -> tuple[fx.GraphModule, int]:
    """The rewritten copy and how many functions were spelled out."""
    return spelled_by(graph, {aten.log1p.default: log1p, aten.expm1.default: expm1, aten.special_expm1.default: expm1})


def log1p(graph: fx.GraphModule, node: fx.Node) -> fx.Node | None:
    (x,) = arguments(node)
    like = x.meta["val"]
    if not like.is_floating_point():
        return None
    rounded = call(graph, aten.add.Tensor, x, 1.0)
    alone = call(graph, aten.eq.Scalar, rounded, 1.0)
    rest = chosen(graph, alone, 1.0, call(graph, aten.sub.Tensor, rounded, 1.0), like)
    ratio = call(graph, aten.div.Tensor, x, rest)
    ratio = chosen(graph, call(graph, aten.eq.Scalar, rounded, math.inf), 1.0, ratio, like)
    y = call(graph, aten.mul.Tensor, call(graph, aten.log.default, rounded), ratio)
    return chosen(graph, alone, x, y, like)


def expm1(graph: fx.GraphModule, node: fx.Node) -> fx.Node | None:
    (x,) = arguments(node)
    like = x.meta["val"]
    if not like.is_floating_point():
        return None
    near = call(graph, aten.clamp.default, x, -1.0, 1.0)
    turn = call(graph, aten.tanh.default, call(graph, aten.mul.Tensor, near, 0.5))
    below = call(graph, aten.add.Tensor, call(graph, aten.neg.default, turn), 1.0)
    small = call(graph, aten.div.Tensor, call(graph, aten.mul.Tensor, turn, 2.0), below)
    large = call(graph, aten.sub.Tensor, call(graph, aten.exp.default, x), 1.0)
    return chosen(graph, call(graph, aten.lt.Scalar, call(graph, aten.abs.default, x), 1.0), small, large, like)
