"""The angle of a point (`atan2`) by quadrants, for Core ML.

    angle of (|x|, |y|)       a = atan(min / max) where |y| <= |x|, pi / 2 - a elsewhere; 0 for the point (0, 0)
    to the left of the axis   pi minus that; below it the negative of that

A zero's sign counts as in IEEE 754: the angle of (-0, 0) is pi, of (-1, -0) it is -pi. coremltools 9.0 gives 0 for
every point (x < 0, 0), as of a hue whose green and blue are equal, and NaN for (0, 0) in half precision. Fires once per
angle spelled out.
"""

from __future__ import annotations

import math

import torch
from torch import fx

from ..graph import add_constant, arguments, aten, call, get
from .plain_choices import chosen
from .spell_out import spelled_by


def plain_angles(graph: fx.GraphModule) -> tuple[fx.GraphModule, int]:
    """The rewritten copy and how many angles were spelled out."""
    return spelled_by(graph, dict.fromkeys((aten.atan2.default, aten.arctan2.default), angle))


def angle(graph: fx.GraphModule, node: fx.Node) -> fx.Node | None:
    y, x = arguments(node)
    like = node.meta["val"]
    if any(part.meta["val"].dtype != like.dtype for part in (y, x)):
        return None
    up, along = call(graph, aten.abs.default, y), call(graph, aten.abs.default, x)
    longest = call(graph, aten.maximum.default, up, along)
    nowhere = call(graph, aten.eq.Scalar, longest, 0)
    ratio = call(graph, aten.minimum.default, up, along)
    ratio = call(graph, aten.div.Tensor, ratio, chosen(graph, nowhere, 1.0, longest, like))
    turn = call(graph, aten.atan.default, ratio)
    turn = chosen(graph, call(graph, aten.gt.Tensor, up, along), less_than(graph, math.pi / 2, turn), turn, like)
    turn = chosen(graph, negative(graph, x), less_than(graph, math.pi, turn), turn, like)
    return chosen(graph, negative(graph, y), call(graph, aten.neg.default, turn), turn, like)


def less_than(graph: fx.GraphModule, number: float, x: fx.Node) -> fx.Node:
    """number - x"""
    return call(graph, aten.add.Tensor, call(graph, aten.neg.default, x), number)


def negative(graph: fx.GraphModule, x: fx.Node) -> fx.Node:
    """Where x is below zero or minus zero, whose inverse is minus infinity."""
    one = get(graph, add_constant(graph, "one", torch.ones(1, dtype=x.meta["val"].dtype)))
    inverse = call(graph, aten.div.Tensor, one, x)
    below = call(graph, aten.lt.Scalar, inverse, 0)
    return call(graph, aten.logical_or.default, below, call(graph, aten.lt.Scalar, x, 0))
