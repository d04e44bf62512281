"""What moves numbers and computes nothing."""

from __future__ import annotations

from torch import fx

from ...._graph.axes import order_of
from ...._graph.graph import arguments, aten, filled
from .scope import Scope, shape_of


def concatenation(s: Scope, node: fx.Node) -> str:
    parts, axis = filled(node, None, 0)
    return s.one("Concat", [s[p] for p in parts], shape_of(node), node.name, axis=axis % node.meta["val"].ndim)


def split(s: Scope, node: fx.Node) -> list[str]:
    x = arguments(node)[0]
    axis = filled(node, None, None, 0)[2] % x.meta["val"].ndim
    shapes = [[int(n) for n in piece.shape] for piece in node.meta["val"]]
    lengths = [shape[axis] for shape in shapes]
    if s.writer.opset >= 13:  # the first whose lengths are an input
        return s.writer.operator("Split", [s[x], s.integers(lengths, "lengths")], shapes, node.name, axis=axis)
    return s.writer.operator("Split", [s[x]], shapes, node.name, axis=axis, split=lengths)


def item(s: Scope, node: fx.Node) -> str:
    pieces = s.at[arguments(node)[0]]
    assert isinstance(pieces, list)
    return pieces[arguments(node)[1]]


def cut(s: Scope, node: fx.Node) -> str:
    x, axis, start, _, step = filled(node, None, 0, None, None, 1)
    shape, size = shape_of(x), shape_of(node)
    axis %= len(shape)
    first = start or 0
    begin = max(first + shape[axis], 0) if first < 0 else first
    return sliced(s, node, s[x], axis, begin, begin + (size[axis] - 1) * step + 1, step, size)


def sliced(
    s: Scope, node: fx.Node, x: str, axis: int, begin: int, end: int, step: int, size: list[int]
) -> str:  # fmt: skip
    places = [s.integers([number], "place") for number in (begin, end, axis, step)]
    return s.one("Slice", [x, *places], size, node.name)


def reshape(s: Scope, node: fx.Node) -> str:
    return shaped(s, node, s[arguments(node)[0]])


def shaped(s: Scope, node: fx.Node, x: str) -> str:
    """x in the shape of the node."""
    return s.one("Reshape", [x, s.integers(shape_of(node), "shape")], shape_of(node), node.name)


def permute(s: Scope, node: fx.Node) -> str:
    return s.one("Transpose", [s[arguments(node)[0]]], shape_of(node), node.name, perm=list(order_of(node)))


def selection(s: Scope, node: fx.Node) -> str:
    """One place of an axis: a slice, without the axis."""
    x, axis, place = arguments(node)
    size = shape_of(x)
    axis %= len(size)
    begin = place % size[axis]
    size[axis] = 1
    return shaped(s, node, sliced(s, node, s[x], axis, begin, begin + 1, 1, size))


def selected(s: Scope, node: fx.Node) -> str:
    x, axis, where = arguments(node)
    places = s.integers(s.held(where, "an index"), "places")
    return s.one("Gather", [s[x], places], shape_of(node), node.name, axis=axis % node.meta["val"].ndim)


def pad(s: Scope, node: fx.Node) -> str:
    x, amounts, mode, value = filled(node, None, None, "constant", None)
    if node.target is aten.constant_pad_nd.default:
        mode, value = "constant", filled(node, None, None, 0)[2]
    mode, value = node.kwargs.get("mode", mode), node.kwargs.get("value", value)
    rank = node.meta["val"].ndim
    pairs = [list(amounts[i : i + 2]) for i in range(0, len(amounts), 2)]
    table = [[0, 0]] * (rank - len(pairs)) + pairs[::-1]
    if min(amounts) < 0:
        raise NotImplementedError("padding by a negative amount")
    if mode not in {"constant", "reflect"}:
        raise NotImplementedError(f"padding of the kind {mode!r}")
    pads = s.integers([front for front, _ in table] + [end for _, end in table], "pads")
    operands = [s[x], pads, *([s[float(value)]] if mode == "constant" and value else [])]
    return s.one("Pad", operands, shape_of(node), node.name, mode=mode)


def expand(s: Scope, node: fx.Node) -> str:
    return s.one("Expand", [s[arguments(node)[0]], s.integers(shape_of(node), "shape")], shape_of(node), node.name)
