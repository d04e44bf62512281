"""The angle of a point (`atan2`) by quadrants, for Core ML.

    angle of (|x|, |y|)       a = atan(min / max) where |y| <= |x|, pi / 2 - a elsewhere; 0 for the point (0, 0)
    to the left of the axis   pi minus that; below it the negative of that

coremltools 9.0 gives 0 for every point (x < 0, 0), as of a hue whose green and blue are equal, and NaN for (0, 0) in
half precision. Minus zero counts as zero here, so that nothing is infinite on the way. Fires once per angle spelled
out.
"""

from __future__ import annotations

import math

from torch import fx

from ..graph import arguments, aten, call
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
    turn = chosen(graph, call(graph, aten.lt.Scalar, x, 0), less_than(graph, math.pi, turn), turn, like)
    return chosen(graph, call(graph, aten.lt.Scalar, y, 0), call(graph, aten.neg.default, turn), turn, like)


def less_than(graph: fx.GraphModule, number: float, x: fx.Node) -> fx.Node:
    """number - x"""
    return call(graph, aten.add.Tensor, call(graph, aten.neg.default, x), number)
