"""Quotients that are rounded, and what they leave, as plain arithmetic.

    without its fraction      sign(x) floor(|x|)
    x / y, rounded            floor(x / y), or x / y without its fraction
    remainder                 x - y floor(x / y), with the sign of y
    modulo as C has it        x - y t, t = x / y without its fraction: with the sign of x
    rounded at a decimal      round(x 10^d) / 10^d

For Core ML as well: coremltools 9.0 does not read the rounding of a quotient from torch.export, and has nothing for the
others. Whole numbers are left. Where x / y rounds up to a whole number (1.0 / 0.1), torch takes the exact remainder and
gives one less; of an infinite y its remainder is x, and that of these forms NaN. Fires once per operation spelled out.
"""

from __future__ import annotations

from torch import fx

from ..graph import arguments, aten, call, filled
from .spell_out import Speller, spelled_by


def plain_quotients(graph: fx.GraphModule) -> tuple[fx.GraphModule, int]:
    """The rewritten copy and how many operations were spelled out."""
    return spelled_by(graph, SPELLERS)


def broken(node: fx.Node) -> bool:
    """Whether the result is no whole number's type."""
    return bool(node.meta["val"].is_floating_point())


def without_fraction(graph: fx.GraphModule, x: fx.Node) -> fx.Node:
    whole = call(graph, aten.floor.default, call(graph, aten.abs.default, x))
    return call(graph, aten.mul.Tensor, call(graph, aten.sign.default, x), whole)


def quotient(graph: fx.GraphModule, x: fx.Node, y: object) -> fx.Node:
    return call(graph, aten.div.Tensor, x, y)


def truncated(graph: fx.GraphModule, node: fx.Node) -> fx.Node | None:
    return without_fraction(graph, arguments(node)[0]) if broken(node) else None


def rounded_quotient(graph: fx.GraphModule, node: fx.Node) -> fx.Node | None:
    x, y = arguments(node)[:2]
    how = node.kwargs.get("rounding_mode", "floor" if node.target in FLOORED else None)
    if not broken(node) or not isinstance(x, fx.Node):
        return None
    result = quotient(graph, x, y)
    if how is None:
        return result
    return call(graph, aten.floor.default, result) if how == "floor" else without_fraction(graph, result)


def what_is_left(graph: fx.GraphModule, node: fx.Node) -> fx.Node | None:
    x, y = arguments(node)
    if not broken(node) or not isinstance(x, fx.Node):
        return None
    result = quotient(graph, x, y)
    floored = node.target is aten.remainder.Tensor
    whole = call(graph, aten.floor.default, result) if floored else without_fraction(graph, result)
    return call(graph, aten.sub.Tensor, x, call(graph, aten.mul.Tensor, whole, y))


def at_a_decimal(graph: fx.GraphModule, node: fx.Node) -> fx.Node:
    x, decimals = filled(node, None, node.kwargs.get("decimals", 0))
    there, back = (aten.mul.Tensor, aten.div.Tensor) if decimals >= 0 else (aten.div.Tensor, aten.mul.Tensor)
    whole = call(graph, aten.round.default, call(graph, there, x, 10.0 ** abs(decimals)))
    return call(graph, back, whole, 10.0 ** abs(decimals))


FLOORED = {aten.floor_divide.default, aten.floor_divide.Scalar}
SPELLERS: dict[object, Speller] = {
    aten.trunc.default: truncated,
    aten.fix.default: truncated,
    aten.div.Tensor_mode: rounded_quotient,
    aten.div.Scalar_mode: rounded_quotient,
    **dict.fromkeys(FLOORED, rounded_quotient),
    aten.remainder.Tensor: what_is_left,
    aten.fmod.Scalar: what_is_left,
    aten.fmod.Tensor: what_is_left,
    aten.round.decimals: at_a_decimal,
}
