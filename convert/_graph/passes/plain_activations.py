"""Activations that files have no operator for, or not every runtime, in those that they have.

    clamp from one side       clamp
    elu, selu, celu           max(x, 0) s + a s (exp(min(x, 0) t) - 1)
    softplus                  (max(y, 0) + log(1 + exp(-|y|))) / b, y = b x: log(1 + exp(y)) / b without overflow
    mish                      x tanh(softplus(x))
    log-sigmoid               -softplus(-x)
    log-softmax               x - max - log(sum(exp(x - max)))
    gated linear unit         a sigmoid(b) of the two halves
    rounded up                -floor(-x)

Torch's softplus is x itself where y is above a threshold t. At 20, if nothing is said, both are one in float32; below
18 the difference is added times sign(max(y - t, 0)), which is 0 or 1. Fires once per activation.
"""

from __future__ import annotations

from torch import fx

from ..graph import arguments, aten, call, filled
from .spell_out import Speller, spelled_by


def plain_activations(graph: fx.GraphModule) -> tuple[fx.GraphModule, int]:
    """The rewritten copy and how many activations were spelled out."""
    return spelled_by(graph, SPELLERS)


def clamp_from_below(graph: fx.GraphModule, node: fx.Node) -> fx.Node:
    return call(graph, aten.clamp.default, *arguments(node))


def clamp_from_above(graph: fx.GraphModule, node: fx.Node) -> fx.Node:
    x, high = arguments(node)
    return call(graph, aten.clamp.default, x, None, high)


def elu(graph: fx.GraphModule, node: fx.Node) -> fx.Node:
    x, alpha, scale, inside = filled(node, None, 1.0, 1.0, 1.0)
    return two_sided(graph, x, scale, alpha * scale, inside)


def selu(graph: fx.GraphModule, node: fx.Node) -> fx.Node:
    alpha, scale = 1.6732632423543772848170429916717, 1.0507009873554804934193349852946
    return two_sided(graph, arguments(node)[0], scale, alpha * scale, 1.0)


def celu(graph: fx.GraphModule, node: fx.Node) -> fx.Node:
    x, alpha = filled(node, None, 1.0)
    return two_sided(graph, x, 1.0, alpha, 1 / alpha)


def two_sided(graph: fx.GraphModule, x: fx.Node, above: float, below: float, inside: float) -> fx.Node:
    """above max(x, 0) + below (exp(inside min(x, 0)) - 1)"""
    low = call(graph, aten.clamp.default, x, None, 0.0)
    low = call(graph, aten.exp.default, scaled(graph, low, inside))
    low = scaled(graph, call(graph, aten.sub.Tensor, low, 1.0), below)
    return call(graph, aten.add.Tensor, scaled(graph, call(graph, aten.relu.default, x), above), low)


def scaled(graph: fx.GraphModule, x: fx.Node, factor: float) -> fx.Node:
    return x if factor == 1 else call(graph, aten.mul.Tensor, x, factor)


def careful_activations(graph: fx.GraphModule) -> tuple[fx.GraphModule, int]:
    """For Core ML: softplus, whose threshold coremltools 9.0 ignores, and what holds it. Core ML's own operation
    overflows in half precision above about 10 (coremltools issue 2687); here no exponent is above 0."""
    return spelled_by(graph, {aten.softplus.default: softplus, aten.mish.default: mish})


def softplus(graph: fx.GraphModule, node: fx.Node) -> fx.Node | None:
    x, beta, threshold = filled(node, None, 1.0, 20.0)
    if beta == 0:  # infinite everywhere
        return None
    inside = scaled(graph, x, beta)
    smooth = scaled(graph, log_of_sum(graph, inside), 1 / beta)
    if threshold >= 18:  # above 18, exp(-x) is lost beside x in float32
        return smooth
    beyond = call(graph, aten.relu.default, call(graph, aten.sub.Tensor, inside, float(threshold)))
    beyond = call(graph, aten.sign.default, beyond)
    rest = call(graph, aten.mul.Tensor, call(graph, aten.sub.Tensor, x, smooth), beyond)
    return call(graph, aten.add.Tensor, smooth, rest)


def log_of_sum(graph: fx.GraphModule, x: fx.Node) -> fx.Node:
    """log(1 + exp(x))"""
    small = call(graph, aten.neg.default, call(graph, aten.abs.default, x))
    small = call(graph, aten.add.Tensor, call(graph, aten.exp.default, small), 1.0)
    return call(graph, aten.add.Tensor, call(graph, aten.relu.default, x), call(graph, aten.log.default, small))


def mish(graph: fx.GraphModule, node: fx.Node) -> fx.Node:
    x = arguments(node)[0]
    return call(graph, aten.mul.Tensor, x, call(graph, aten.tanh.default, log_of_sum(graph, x)))


def log_sigmoid(graph: fx.GraphModule, node: fx.Node) -> fx.Node:
    x = call(graph, aten.neg.default, arguments(node)[0])
    return call(graph, aten.neg.default, log_of_sum(graph, x))


def log_softmax(graph: fx.GraphModule, node: fx.Node) -> fx.Node | None:
    x, axis, *dtype = arguments(node)
    if dtype and dtype[0] not in {None, x.meta["val"].dtype}:
        return None
    x = call(graph, aten.sub.Tensor, x, call(graph, aten.amax.default, x, [axis], True))
    total = call(graph, aten.sum.dim_IntList, call(graph, aten.exp.default, x), [axis], True)
    return call(graph, aten.sub.Tensor, x, call(graph, aten.log.default, total))


def rounded_up(graph: fx.GraphModule, node: fx.Node) -> fx.Node:
    x = call(graph, aten.neg.default, arguments(node)[0])
    return call(graph, aten.neg.default, call(graph, aten.floor.default, x))


def gated(graph: fx.GraphModule, node: fx.Node) -> fx.Node:
    x, axis = filled(node, None, -1)
    half = x.meta["val"].shape[axis] // 2
    left = call(graph, aten.slice.Tensor, x, axis, 0, half)
    right = call(graph, aten.slice.Tensor, x, axis, half, 2 * half)
    return call(graph, aten.mul.Tensor, left, call(graph, aten.sigmoid.default, right))


SPELLERS: dict[object, Speller] = {
    aten.clamp_min.default: clamp_from_below,
    aten.clamp_max.default: clamp_from_above,
    aten.elu.default: elu,
    aten.selu.default: selu,
    aten.celu.default: celu,
    aten.softplus.default: softplus,
    aten.mish.default: mish,
    aten.log_sigmoid.default: log_sigmoid,
    aten.log_softmax.int: log_softmax,
    aten.glu.default: gated,
    aten.ceil.default: rounded_up,
}
