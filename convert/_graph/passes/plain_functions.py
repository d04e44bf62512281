"""Functions that files have no operator for, in those that they have, without comparing or choosing.

    hard shrink               x sign(relu(|x| - l)), whose sign is 0 or 1
    randomised leaky ReLU     in evaluation a leaky ReLU with the mean slope
    x + v a b, x + v a / b    a product and a sum
    from one to the other     x + w (y - x)
    logit                     log(x / (1 - x)), x cut off at eps and 1 - eps
    sinc                      (sin(p) + z) / (p + z), p = pi x, z = 1 - sign(|x|): z is 1 at 0 and 0 elsewhere
    hypotenuse                sqrt(a a + b b)
    power of two              exp(x log(2))
    power by a trained number     power by a number
    soft shrink               x - min(max(x, -l), l)
    log(exp(a) + exp(b))      max(a, b) + log(1 + exp(-|a - b|))
    remainder of a number     x - m floor(x / m)
    cut off by tensors        max, then min

Fires once per function spelled out. `unknown_functions` are those that coremltools has nothing for, or something
inexact (the reciprocal), with activations and others that other passes spell out for TFLite; what else coremltools
knows it gets as it is.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import fx

from ..graph import add_constant, arguments, aten, call, constant, filled, get
from .plain_activations import celu, log_sigmoid, scaled
from .spell_out import MOMENTS, Speller, moments, shuffle, spelled_by


def plain_functions(graph: fx.GraphModule) -> tuple[fx.GraphModule, int]:
    """The rewritten copy and how many functions were spelled out."""
    return spelled_by(graph, SPELLERS)


def unknown_functions(graph: fx.GraphModule) -> tuple[fx.GraphModule, int]:
    """The same for what coremltools has nothing for."""
    return spelled_by(graph, UNKNOWN_TO_COREMLTOOLS)


def hard_shrink(graph: fx.GraphModule, node: fx.Node) -> fx.Node:
    x, least = filled(node, None, 0.5)
    beyond = call(graph, aten.sub.Tensor, call(graph, aten.abs.default, x), float(least))
    kept = call(graph, aten.sign.default, call(graph, aten.relu.default, beyond))
    return call(graph, aten.mul.Tensor, x, kept)


def one_by(graph: fx.GraphModule, node: fx.Node) -> fx.Node:
    """Core ML's own inverse, as coremltools writes it, is 1 / (x + 0.0001)."""
    (x,) = arguments(node)
    one = get(graph, add_constant(graph, "one", torch.ones(1, dtype=x.meta["val"].dtype)))
    return call(graph, aten.div.Tensor, one, x)


def mean_slope(graph: fx.GraphModule, node: fx.Node) -> fx.Node | None:
    x, low, high, training = filled(node, None, 1 / 8, 1 / 3, False)[:4]
    return None if training else call(graph, aten.leaky_relu.default, x, (low + high) / 2)


def added_product(graph: fx.GraphModule, node: fx.Node) -> fx.Node:
    return added(graph, node, aten.mul.Tensor)


def added_quotient(graph: fx.GraphModule, node: fx.Node) -> fx.Node:
    return added(graph, node, aten.div.Tensor)


def added(graph: fx.GraphModule, node: fx.Node, both: object) -> fx.Node:
    x, a, b = arguments(node)
    options: dict[str, Any] = dict(node.kwargs)
    part = call(graph, both, a, b)  # type: ignore[arg-type]
    return call(graph, aten.add.Tensor, x, scaled(graph, part, float(options.get("value", 1))))


def between(graph: fx.GraphModule, node: fx.Node) -> fx.Node:
    x, y, weight = arguments(node)
    way = call(graph, aten.sub.Tensor, y, x)
    return call(graph, aten.add.Tensor, x, call(graph, aten.mul.Tensor, way, weight))


def logit(graph: fx.GraphModule, node: fx.Node) -> fx.Node:
    x, eps = filled(node, None, None)
    if eps is not None:
        x = call(graph, aten.clamp.default, x, eps, 1 - eps)
    rest = call(graph, aten.add.Tensor, call(graph, aten.neg.default, x), 1.0)
    return call(graph, aten.log.default, call(graph, aten.div.Tensor, x, rest))


def sinc(graph: fx.GraphModule, node: fx.Node) -> fx.Node:
    x = arguments(node)[0]
    nought = call(graph, aten.neg.default, call(graph, aten.sign.default, call(graph, aten.abs.default, x)))
    nought = call(graph, aten.add.Tensor, nought, 1.0)
    angle = call(graph, aten.mul.Tensor, x, math.pi)
    above = call(graph, aten.add.Tensor, call(graph, aten.sin.default, angle), nought)
    return call(graph, aten.div.Tensor, above, call(graph, aten.add.Tensor, angle, nought))


def hypotenuse(graph: fx.GraphModule, node: fx.Node) -> fx.Node:
    squares = [call(graph, aten.mul.Tensor, side, side) for side in arguments(node)]
    return call(graph, aten.sqrt.default, call(graph, aten.add.Tensor, *squares))


def power_of_two(graph: fx.GraphModule, node: fx.Node) -> fx.Node:
    return call(graph, aten.exp.default, call(graph, aten.mul.Tensor, arguments(node)[0], math.log(2)))


def known_power(graph: fx.GraphModule, node: fx.Node) -> fx.Node | None:
    """As a mean over places to a trained power has it (GeM)."""
    x, exponent = arguments(node)
    held = constant(graph, exponent)
    alike = isinstance(x, fx.Node) and x.meta["val"].shape == node.meta["val"].shape
    if held is None or held.numel() != 1 or not alike:
        return None
    return call(graph, aten.pow.Tensor_Scalar, x, float(held))


def soft_shrink(graph: fx.GraphModule, node: fx.Node) -> fx.Node:
    x, least = filled(node, None, 0.5)
    return call(graph, aten.sub.Tensor, x, call(graph, aten.clamp.default, x, -least, least))


def log_of_exponentials(graph: fx.GraphModule, node: fx.Node) -> fx.Node:
    a, b = arguments(node)
    apart = call(graph, aten.neg.default, call(graph, aten.abs.default, call(graph, aten.sub.Tensor, a, b)))
    rest = call(graph, aten.log.default, call(graph, aten.add.Tensor, call(graph, aten.exp.default, apart), 1.0))
    return call(graph, aten.add.Tensor, call(graph, aten.maximum.default, a, b), rest)


def remainder(graph: fx.GraphModule, node: fx.Node) -> fx.Node | None:
    """Also for Core ML: coremltools 9.0 drops the floor where m is 1."""
    x, modulus = arguments(node)
    if not modulus or not x.meta["val"].is_floating_point():
        return None
    whole = call(graph, aten.floor.default, call(graph, aten.div.Tensor, x, modulus) if modulus != 1 else x)
    return call(graph, aten.sub.Tensor, x, call(graph, aten.mul.Tensor, whole, modulus) if modulus != 1 else whole)


def cut_off(graph: fx.GraphModule, node: fx.Node) -> fx.Node:
    x, low, high = filled(node, None, node.kwargs.get("min"), node.kwargs.get("max"))
    for target, end in ((aten.maximum.default, low), (aten.minimum.default, high)):
        x = x if end is None else call(graph, target, x, end)
    return x


OWN: dict[object, Speller] = {
    aten.hardshrink.default: hard_shrink,
    aten.addcmul.default: added_product,
    aten.addcdiv.default: added_quotient,
    aten.lerp.Scalar: between,
    aten.lerp.Tensor: between,
    aten.logit.default: logit,
    aten.sinc.default: sinc,
    aten.special_sinc.default: sinc,
    aten.hypot.default: hypotenuse,
    aten.logaddexp.default: log_of_exponentials,
    aten.remainder.Scalar: remainder,
    aten.clamp.Tensor: cut_off,
}
SPELLERS: dict[object, Speller] = {
    **OWN,
    aten.rrelu.default: mean_slope,
    aten.pow.Tensor_Tensor: known_power,
    aten.softshrink.default: soft_shrink,
    aten.exp2.default: power_of_two,
    aten.special_exp2.default: power_of_two,
}
UNKNOWN_TO_COREMLTOOLS: dict[object, Speller] = {
    **OWN,
    aten.celu.default: celu,
    aten.log_sigmoid.default: log_sigmoid,
    aten.channel_shuffle.default: shuffle,
    aten.reciprocal.default: one_by,
    **dict.fromkeys(MOMENTS, moments),
}
