"""Operations on single values, and over axes."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from torch import fx

from ...._graph.graph import arguments, filled
from .scope import Lowering, Scope, shape_of


def unary(kind: str, **attributes: Any) -> Callable[[Scope, fx.Node], str]:
    def lower(s: Scope, node: fx.Node) -> str:
        return s.one(kind, [s[arguments(node)[0]]], shape_of(node), node.name, **attributes)

    return lower


def binary(kind: str) -> Lowering:
    def lower(s: Scope, node: fx.Node) -> str:
        if node.kwargs.get("alpha", 1) != 1:
            raise NotImplementedError("a sum with alpha")
        return s.one(kind, [s[a] for a in arguments(node)[:2]], shape_of(node), node.name)

    return lower


def silu(s: Scope, node: fx.Node) -> str:
    return gated(s, node, "Sigmoid")


def hardswish(s: Scope, node: fx.Node) -> str:
    """x relu6(x + 3) / 6; the operator of that name is younger than the operator set."""
    return gated(s, node, "HardSigmoid", alpha=1 / 6, beta=0.5)


def gated(s: Scope, node: fx.Node, kind: str, **attributes: Any) -> str:
    x, shape = s[arguments(node)[0]], shape_of(node)
    gate = s.one(kind, [x], shape, node.name, **attributes)
    return s.one("Mul", [x, gate], shape, node.name)


def gelu(s: Scope, node: fx.Node) -> str:
    """x / 2 (1 + erf(x / sqrt(2))), or with tanh; ONNX Runtime makes one operator of it again."""
    x, shape = s[arguments(node)[0]], shape_of(node)

    def step(kind: str, *operands: str) -> str:
        return s.one(kind, operands, shape, node.name)

    if node.kwargs.get("approximate", "none") == "tanh":
        cubed = step("Mul", step("Mul", step("Mul", x, x), x), s[0.044715])
        inner = step("Tanh", step("Mul", step("Add", x, cubed), s[math.sqrt(2 / math.pi)]))
    else:
        inner = step("Erf", step("Div", x, s[math.sqrt(2)]))
    return step("Mul", step("Mul", x, step("Add", inner, s[1.0])), s[0.5])


def power(s: Scope, node: fx.Node) -> str:
    x, exponent = arguments(node)
    operands, kind = ([s[x], s[x]], "Mul") if exponent == 2 else ([s[x], s[exponent]], "Pow")
    return s.one(kind, operands, shape_of(node), node.name)


def square(s: Scope, node: fx.Node) -> str:
    x = s[arguments(node)[0]]
    return s.one("Mul", [x, x], shape_of(node), node.name)


def choice(s: Scope, node: fx.Node) -> str:
    """One value where a constant mask is one, the other elsewhere."""
    mask, inside, outside = arguments(node)
    held = s.writer.constant(s.held(mask, "a mask"), mask.name)
    return s.one("Where", [held, s[inside], s[outside]], shape_of(node), node.name)


def hardtanh(s: Scope, node: fx.Node) -> str:
    _, low, high = filled(node, None, -1.0, 1.0)
    return between(s, node, low, high)


def clamp(s: Scope, node: fx.Node) -> str:
    _, low, high = filled(node, None, node.kwargs.get("min"), node.kwargs.get("max"))
    return between(s, node, low, high)


def between(s: Scope, node: fx.Node, low: float | None, high: float | None) -> str:
    ends = ["" if low is None else s[float(low)], *([] if high is None else [s[float(high)]])]
    return s.one("Clip", [s[arguments(node)[0]], *ends], shape_of(node), node.name)


def relu6(s: Scope, node: fx.Node) -> str:
    return between(s, node, 0.0, 6.0)


def leaky_relu(s: Scope, node: fx.Node) -> str:
    x, slope = filled(node, None, 0.01)
    return s.one("LeakyRelu", [s[x]], shape_of(node), node.name, alpha=float(slope))


def prelu(s: Scope, node: fx.Node) -> str:
    """A slope per channel, which is axis 1."""
    x, weight = arguments(node)
    slopes = s.held(weight, "a prelu with a slope")
    rank = node.meta["val"].ndim
    if slopes.size > 1 and rank > 1:
        slopes = slopes.reshape([-1, *[1] * (rank - 2)])
    return s.one("PRelu", [s[x], s.writer.constant(slopes, weight.name)], shape_of(node), node.name)


def reverse_difference(s: Scope, node: fx.Node) -> str:
    x, number, alpha = filled(node, None, None, 1)
    if alpha != 1:
        raise NotImplementedError("a difference with alpha")
    return s.one("Sub", [s[number], s[x]], shape_of(node), node.name)


def rsqrt(s: Scope, node: fx.Node) -> str:
    root = s.one("Sqrt", [s[arguments(node)[0]]], shape_of(node), node.name)
    return s.one("Reciprocal", [root], shape_of(node), node.name)


def reduction(kind: str) -> Lowering:
    def lower(s: Scope, node: fx.Node) -> str:
        x, axes, keep = filled(node, None, None, False)
        rank = x.meta["val"].ndim
        places = sorted({axis % rank for axis in axes or range(rank)})
        if kind == "ReduceSum" and s.writer.opset >= 13:  # the first whose axes are an input
            operands = [s[x], s.integers(places, "axes")]
            return s.one(kind, operands, shape_of(node), node.name, keepdims=int(bool(keep)))
        return s.one(kind, [s[x]], shape_of(node), node.name, axes=places, keepdims=int(bool(keep)))

    return lower


def softmax(s: Scope, node: fx.Node) -> str:
    """Over the last axis, where operator sets before 13 mean the same as later ones."""
    x, axis = arguments(node)[:2]
    rank = x.meta["val"].ndim
    if axis % rank != rank - 1:
        raise NotImplementedError("softmax over another axis than the last")
    return s.one("Softmax", [s[x]], shape_of(node), node.name, axis=rank - 1)


def whole_mean(s: Scope, node: fx.Node) -> str:
    return s.one("ReduceMean", [s[arguments(node)[0]]], shape_of(node), node.name, keepdims=0)


def top(s: Scope, node: fx.Node) -> list[str]:
    """The largest values of an axis; their places nobody may read."""
    x, count, axis, largest, _ = filled(node, None, None, -1, True, True)
    if any(arguments(user)[1] and user.users for user in node.users):
        raise NotImplementedError("the places of the largest values")
    shapes = [[int(n) for n in value.shape] for value in node.meta["val"]]
    operands = [s[x], s.integers([count], "count")]
    return s.writer.operator(
        "TopK", operands, shapes, node.name, types=[np.float32, np.int64],
        axis=axis % x.meta["val"].ndim, largest=int(largest), sorted=1,
    )  # fmt: skip
