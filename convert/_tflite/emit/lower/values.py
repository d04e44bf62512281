"""Operations on single values, and over axes."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from torch import fx

from ...._graph import mobile_ops as mobile
from ...._graph.graph import arguments, filled
from ..writer import Code
from .scope import Lowering, Options, Scope, shape_of

Activation = schema.ActivationFunctionType
FUSING = {  # options that can hold an activation
    schema.Conv2DOptionsT, schema.DepthwiseConv2DOptionsT, schema.FullyConnectedOptionsT, schema.AddOptionsT,
    schema.MulOptionsT, schema.SubOptionsT, schema.DivOptionsT,
}  # fmt: skip
CLIPS: dict[tuple[float | None, float | None], tuple[int, int]] = {
    (0, 6): (Activation.RELU6, Code.RELU6),
    (0, None): (Activation.RELU, Code.RELU),
    (-1, 1): (Activation.RELU_N1_TO_1, Code.RELU_N1_TO_1),
}


def unary(code: int, options: type | None = None, kind: int = 0) -> Callable[[Scope, fx.Node], int]:
    def lower(s: Scope, node: fx.Node) -> int:
        return s.one(code, [s[arguments(node)[0]]], shape_of(node), node.name, options and options(), kind)

    return lower


def binary(code: int, options: type, kind: int) -> Lowering:
    def lower(s: Scope, node: fx.Node) -> int:
        if node.kwargs.get("alpha", 1) != 1:
            raise NotImplementedError("a sum with alpha")
        a, b = arguments(node)[:2]
        operands = [operand(s, a, b, node), operand(s, b, a, node)]
        return s.one(code, operands, shape_of(node), node.name, options(), kind)

    return lower


def operand(s: Scope, value: object, other: object, node: fx.Node) -> int:
    """One side of an operator on two values; numbers that are the same for all channels of the other as a single one.

    With a number for each of a picture's three channels XNNPACK goes over it three values at a time.
    """
    if isinstance(value, fx.Node) and value in s.constants:
        constant = s.constants[value]
        alike = 1 < constant.size == constant.shape[-1] and (constant == constant.flat[0]).all()
        if alike and isinstance(other, fx.Node) and shape_of(other) == shape_of(node):  # it widens nothing
            return s.writer.constant(constant.reshape(-1)[0].astype(np.float64), value.name)
    return s[value]


def silu(s: Scope, node: fx.Node) -> int:
    x, shape = s[arguments(node)[0]], shape_of(node)
    gate = s.one(Code.LOGISTIC, [x], shape, node.name)
    return s.one(Code.MUL, [x, gate], shape, node.name, schema.MulOptionsT(), Options.MulOptions)


def gelu(s: Scope, node: fx.Node) -> int:
    options = schema.GeluOptionsT()
    options.approximate = node.kwargs.get("approximate", "none") == "tanh"
    return s.one(Code.GELU, [s[arguments(node)[0]]], shape_of(node), node.name, options, Options.GeluOptions)


def clipped(activation: int, code: int) -> Callable[[Scope, fx.Node], int]:
    """An activation inside the operator before it where that is read by nothing else."""

    def lower(s: Scope, node: fx.Node) -> int:
        x = arguments(node)[0]
        tensor = s[x]
        for made in reversed(s.writer.graph.operators):
            if tensor in made.outputs:
                options = made.builtinOptions
                if type(options) in FUSING and len(x.users) == 1 and not options.fusedActivationFunction:
                    options.fusedActivationFunction = activation
                    return tensor
                break
        return s.one(code, [tensor], shape_of(node), node.name)

    return lower


def power(s: Scope, node: fx.Node) -> int:
    x, exponent = arguments(node)
    if exponent == 2:
        return s.one(Code.MUL, [s[x], s[x]], shape_of(node), node.name, schema.MulOptionsT(), Options.MulOptions)
    return s.one(Code.POW, [s[x], s[exponent]], shape_of(node), node.name, schema.PowOptionsT(), Options.PowOptions)


def choice(s: Scope, node: fx.Node) -> int:
    """One value where a constant mask is one, the other elsewhere."""
    mask, inside, outside = arguments(node)
    held = s.writer.constant(s.held(mask, "a mask"), mask.name)
    return s.one(
        Code.SELECT_V2, [held, s[inside], s[outside]], shape_of(node), node.name,
        schema.SelectV2OptionsT(), Options.SelectV2Options,
    )  # fmt: skip


def hardtanh(s: Scope, node: fx.Node) -> int:
    _, low, high = filled(node, None, -1.0, 1.0)
    return between(s, node, low, high)


def clamp(s: Scope, node: fx.Node) -> int:
    _, low, high = filled(node, None, node.kwargs.get("min"), node.kwargs.get("max"))
    return between(s, node, low, high)


def between(s: Scope, node: fx.Node, low: float | None, high: float | None) -> int:
    """Cut off below and above, by an activation where there is one with these ends."""
    if (low, high) in CLIPS:
        return clipped(*CLIPS[low, high])(s, node)
    x = s[arguments(node)[0]]
    for code, end in ((Code.MAXIMUM, low), (Code.MINIMUM, high)):
        if end is not None:
            options = schema.MaximumMinimumOptionsT()
            x = s.one(code, [x, s[end]], shape_of(node), node.name, options, Options.MaximumMinimumOptions)
    return x


def hardsigmoid(s: Scope, node: fx.Node) -> int:
    """relu6(x + 3) / 6"""
    options = schema.AddOptionsT()
    options.fusedActivationFunction = Activation.RELU6
    x, shape = s[arguments(node)[0]], shape_of(node)
    x = s.one(Code.ADD, [x, s[3.0]], shape, node.name, options, Options.AddOptions)
    return s.one(Code.MUL, [x, s[1 / 6]], shape, node.name, schema.MulOptionsT(), Options.MulOptions)


def leaky_relu(s: Scope, node: fx.Node) -> int:
    x, slope = filled(node, None, 0.01)
    options = schema.LeakyReluOptionsT()
    options.alpha = slope
    return s.one(Code.LEAKY_RELU, [s[x]], shape_of(node), node.name, options, Options.LeakyReluOptions)


def prelu(s: Scope, node: fx.Node) -> int:
    """A slope per channel, which is the last axis; ATen's own form has the channels on axis 1."""
    x, weight = arguments(node)
    slopes = s.held(weight, "a prelu with a slope")
    rank = node.meta["val"].ndim
    if slopes.size > 1 and rank > 2 and node.target is not mobile.prelu:
        raise NotImplementedError("a prelu with slopes along another axis than the last")
    slopes = np.broadcast_to(slopes, shape_of(node)[-1:]).reshape([1] * max(rank - 2, 0) + [-1])
    return s.one(Code.PRELU, [s[x], s.writer.constant(slopes, weight.name)], shape_of(node), node.name)


def reverse_difference(s: Scope, node: fx.Node) -> int:
    x, number, alpha = filled(node, None, None, 1)
    if alpha != 1:
        raise NotImplementedError("a difference with alpha")
    return s.one(Code.SUB, [s[number], s[x]], shape_of(node), node.name, schema.SubOptionsT(), Options.SubOptions)


def reciprocal(s: Scope, node: fx.Node) -> int:
    operands = [s[1.0], s[arguments(node)[0]]]
    return s.one(Code.DIV, operands, shape_of(node), node.name, schema.DivOptionsT(), Options.DivOptions)


def square(s: Scope, node: fx.Node) -> int:
    x = s[arguments(node)[0]]
    return s.one(Code.MUL, [x, x], shape_of(node), node.name, schema.MulOptionsT(), Options.MulOptions)


def reduction(code: int) -> Lowering:
    def lower(s: Scope, node: fx.Node) -> int:
        x, axes, keep = filled(node, None, None, False)
        rank = x.meta["val"].ndim
        options = schema.ReducerOptionsT()
        options.keepDims = bool(keep)
        where = s.integers(sorted({axis % rank for axis in axes or range(rank)}), "axes")
        return s.one(code, [s[x], where], shape_of(node), node.name, options, Options.ReducerOptions)

    return lower


def softmax(s: Scope, node: fx.Node) -> int:
    x, axis = arguments(node)[:2]
    if axis % x.meta["val"].ndim != x.meta["val"].ndim - 1:
        raise NotImplementedError("softmax over another axis than the last")
    options = schema.SoftmaxOptionsT()
    options.beta = 1.0
    return s.one(Code.SOFTMAX, [s[x]], shape_of(node), node.name, options, Options.SoftmaxOptions)
