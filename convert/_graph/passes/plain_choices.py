"""Choices and truth values as coremltools takes them.

    one of two numbers        a choice of tensors of the result's type; coremltools wants both alike
    a & b, a | b, a ^ b       and, or, exclusive or, of truth values
    NaN and infinity put off  choices by x != x, x = inf and x = -inf; coremltools 9.0 writes places of unknown number

Fires once per operation spelled out.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import fx

from ..graph import add_constant, arguments, aten, call, filled, get
from .spell_out import Speller, spelled_by


def plain_choices(graph: fx.GraphModule) -> tuple[fx.GraphModule, int]:
    """The rewritten copy and how many operations were spelled out."""
    return spelled_by(graph, SPELLERS)


def chosen(graph: fx.GraphModule, mask: fx.Node, inside: object, outside: object, like: Any) -> fx.Node:
    """`inside` where the mask is true, `outside` elsewhere: tensors or numbers, of the type of the tensor `like`."""

    def tensor(value: Any) -> fx.Node:
        if not isinstance(value, fx.Node):
            number = torch.full([1] * like.ndim, value, dtype=like.dtype)
            return get(graph, add_constant(graph, "choice", number))
        same = value.meta["val"].dtype == like.dtype
        return value if same else call(graph, aten.to.dtype, value, like.dtype)

    return call(graph, aten.where.self, mask, tensor(inside), tensor(outside))


def choice(graph: fx.GraphModule, node: fx.Node) -> fx.Node | None:
    mask, inside, outside = arguments(node)
    like = node.meta["val"]
    tensors = isinstance(inside, fx.Node) and isinstance(outside, fx.Node)
    if tensors and inside.meta["val"].dtype == outside.meta["val"].dtype:
        return None
    return chosen(graph, mask, inside, outside, like)


def finite(graph: fx.GraphModule, node: fx.Node) -> fx.Node | None:
    x, nan, above, below = filled(node, None, *(node.kwargs.get(name) for name in ("nan", "posinf", "neginf")))
    like = node.meta["val"]
    if not like.is_floating_point():
        return None
    largest = torch.finfo(like.dtype).max
    y = chosen(graph, call(graph, aten.ne.Tensor, x, x), nan or 0.0, x, like)
    for end, put in (
        (math.inf, largest if above is None else above),
        (-math.inf, -largest if below is None else below),
    ):
        y = chosen(graph, call(graph, aten.eq.Scalar, y, end), put, y, like)
    return y


def of_truths(target: Any) -> Speller:
    def spell(graph: fx.GraphModule, node: fx.Node) -> fx.Node | None:
        a, b = arguments(node)
        if not all(isinstance(part, fx.Node) and part.meta["val"].dtype is torch.bool for part in (a, b)):
            return None
        return call(graph, target, a, b)

    return spell


SPELLERS: dict[object, Speller] = {
    aten.where.self: choice,
    aten.where.ScalarSelf: choice,
    aten.where.ScalarOther: choice,
    aten.where.Scalar: choice,
    aten.nan_to_num.default: finite,
    **dict.fromkeys((aten.__and__.Tensor, aten.bitwise_and.Tensor), of_truths(aten.logical_and.default)),
    **dict.fromkeys((aten.__or__.Tensor, aten.bitwise_or.Tensor), of_truths(aten.logical_or.default)),
    **dict.fromkeys((aten.__xor__.Tensor, aten.bitwise_xor.Tensor), of_truths(aten.logical_xor.default)),
}
