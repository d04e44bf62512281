"""What moves numbers and computes nothing."""

from __future__ import annotations

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from torch import fx

from ...._graph.axes import order_of
from ...._graph.graph import arguments, aten, filled
from ..writer import Code
from .scope import Options, Scope, shape_of


def concatenation(s: Scope, node: fx.Node) -> int:
    parts, axis = filled(node, None, 0)
    options = schema.ConcatenationOptionsT()
    options.axis = axis % node.meta["val"].ndim
    return s.one(
        Code.CONCATENATION, [s[p] for p in parts], shape_of(node), node.name, options, Options.ConcatenationOptions
    )  # fmt: skip


def split(s: Scope, node: fx.Node) -> list[int]:
    x = arguments(node)[0]
    axis = filled(node, None, None, 0)[2] % x.meta["val"].ndim
    shapes = [[int(n) for n in piece.shape] for piece in node.meta["val"]]
    lengths = [shape[axis] for shape in shapes]
    where = s.writer.constant(np.array(axis, np.int32), "axis")
    if len(set(lengths)) == 1:
        options = schema.SplitOptionsT()
        options.numSplits = len(shapes)
        return s.writer.operator(Code.SPLIT, [where, s[x]], shapes, node.name, options, Options.SplitOptions)
    wide = schema.SplitVOptionsT()
    wide.numSplits = len(shapes)
    operands = [s[x], s.integers(lengths, "lengths"), where]
    return s.writer.operator(Code.SPLIT_V, operands, shapes, node.name, wide, Options.SplitVOptions)


def item(s: Scope, node: fx.Node) -> int:
    found = s.at[arguments(node)[0]]
    assert isinstance(found, list)
    return found[arguments(node)[1]]


def cut(s: Scope, node: fx.Node) -> int:
    x, axis, start, _, step = filled(node, None, 0, None, None, 1)
    shape, size = shape_of(x), shape_of(node)
    axis %= len(shape)
    first = start or 0
    begin = [0] * len(shape)
    begin[axis] = max(first + shape[axis], 0) if first < 0 else first
    if step == 1:
        operands = [s[x], s.integers(begin, "begin"), s.integers(size, "size")]
        return s.one(Code.SLICE, operands, size, node.name, schema.SliceOptionsT(), Options.SliceOptions)
    end, steps = list(shape), [1] * len(shape)
    end[axis], steps[axis] = begin[axis] + (size[axis] - 1) * step + 1, step
    operands = [s[x], s.integers(begin, "begin"), s.integers(end, "end"), s.integers(steps, "steps")]
    return s.one(
        Code.STRIDED_SLICE, operands, size, node.name, schema.StridedSliceOptionsT(), Options.StridedSliceOptions
    )


def reshape(s: Scope, node: fx.Node) -> int:
    return shaped(s, node, s[arguments(node)[0]])


def shaped(s: Scope, node: fx.Node, x: int) -> int:
    """x in the shape of the node."""
    options = schema.ReshapeOptionsT()
    options.newShape = np.array(shape_of(node), np.int32)
    operands = [x, s.integers(shape_of(node), "shape")]
    return s.one(Code.RESHAPE, operands, shape_of(node), node.name, options, Options.ReshapeOptions)


def permute(s: Scope, node: fx.Node) -> int:
    operands = [s[arguments(node)[0]], s.integers(order_of(node), "order")]
    return s.one(
        Code.TRANSPOSE, operands, shape_of(node), node.name, schema.TransposeOptionsT(), Options.TransposeOptions
    )


def selection(s: Scope, node: fx.Node) -> int:
    """One place of an axis: a slice, without the axis."""
    x, axis, place = arguments(node)
    size, begin = shape_of(x), [0] * len(shape_of(x))
    axis %= len(size)
    begin[axis] = place % size[axis]
    size[axis] = 1
    operands = [s[x], s.integers(begin, "begin"), s.integers(size, "size")]
    piece = s.one(Code.SLICE, operands, size, node.name, schema.SliceOptionsT(), Options.SliceOptions)
    return shaped(s, node, piece)


def selected(s: Scope, node: fx.Node) -> int:
    x, axis, where = arguments(node)
    options = schema.GatherOptionsT()
    options.axis = axis % node.meta["val"].ndim
    operands = [s[x], s.integers(s.held(where, "an index"), "places")]
    return s.one(Code.GATHER, operands, shape_of(node), node.name, options, Options.GatherOptions)


def top(s: Scope, node: fx.Node) -> list[int]:
    """The largest values of the last axis; their places, which are int32, nobody may read."""
    x, count, axis, largest, _ = filled(node, None, None, -1, True, True)
    rank = x.meta["val"].ndim
    if not largest or axis % rank != rank - 1 or any(arguments(user)[1] and user.users for user in node.users):
        raise NotImplementedError("the places of the largest values")
    shapes = [[int(n) for n in value.shape] for value in node.meta["val"]]
    operands = [s[x], s.writer.constant(np.array(count, np.int32), "count")]
    return s.writer.operator(
        Code.TOPK_V2, operands, shapes, node.name, schema.TopKV2OptionsT(), Options.TopKV2Options,
        types=[np.float32, np.int32],
    )  # fmt: skip


def pad(s: Scope, node: fx.Node) -> int:
    x, amounts, mode, value = filled(node, None, None, "constant", None)
    if node.target is aten.constant_pad_nd.default:
        mode, value = "constant", filled(node, None, None, 0)[2]
    mode, value = node.kwargs.get("mode", mode), node.kwargs.get("value", value)
    rank = node.meta["val"].ndim
    pairs = [list(amounts[i : i + 2]) for i in range(0, len(amounts), 2)]
    table = [[0, 0]] * (rank - len(pairs)) + pairs[::-1]
    if min(amounts) < 0:
        raise NotImplementedError("padding by a negative amount")
    operands = [s[x], s.integers(table, "paddings")]
    if mode == "reflect":
        mirror = schema.MirrorPadOptionsT()
        mirror.mode = schema.MirrorPadMode.REFLECT
        return s.one(Code.MIRROR_PAD, operands, shape_of(node), node.name, mirror, Options.MirrorPadOptions)
    if mode != "constant":
        raise NotImplementedError(f"padding of the kind {mode!r}")
    if not value:
        return s.one(Code.PAD, operands, shape_of(node), node.name, schema.PadOptionsT(), Options.PadOptions)
    operands.append(s[value])
    return s.one(Code.PADV2, operands, shape_of(node), node.name, schema.PadV2OptionsT(), Options.PadV2Options)


def expand(s: Scope, node: fx.Node) -> int:
    operands = [s[arguments(node)[0]], s.integers(shape_of(node), "shape")]
    options = schema.BroadcastToOptionsT()
    return s.one(Code.BROADCAST_TO, operands, shape_of(node), node.name, options, Options.BroadcastToOptions)
