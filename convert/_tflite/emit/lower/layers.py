"""Layers with weights, matrix products, windows."""

from __future__ import annotations

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from torch import fx

from ...._graph import mobile_ops as mobile
from ...._graph.graph import arguments, filled
from ..writer import Code
from .scope import Options, Scope, shape_of


def linear(s: Scope, node: fx.Node) -> int:
    x, weight, bias = filled(node, None, None, None)
    return fully_connected(s, node, s[x], s[weight], s[bias] if bias is not None else zeros(s, shape_of(node)[-1]))


def zeros(s: Scope, count: int) -> int:
    return s.writer.constant(np.zeros(count, np.float32), "zeros")


def fully_connected(s: Scope, node: fx.Node, x: int, weight: int, bias: int) -> int:
    options = schema.FullyConnectedOptionsT()
    options.keepNumDims = True
    return s.one(
        Code.FULLY_CONNECTED, [x, weight, bias], shape_of(node), node.name, options, Options.FullyConnectedOptions
    )  # fmt: skip


def product(s: Scope, node: fx.Node) -> int:
    a, b = arguments(node)
    if b in s.constants and s.constants[b].ndim == 2:
        weight = s.writer.constant(s.constants[b].T, b.name)
        return fully_connected(s, node, s[a], weight, zeros(s, shape_of(node)[-1]))
    return batched(s, node, transposed=False)


def batched(s: Scope, node: fx.Node, *, transposed: bool) -> int:
    rank = node.meta["val"].ndim
    sides = []
    for a in arguments(node):
        if a in s.constants:  # a runtime wants both factors of one rank
            value = s.constants[a]
            sides.append(s.writer.constant(value.reshape([1] * (rank - value.ndim) + list(value.shape)), a.name))
        elif a.meta["val"].ndim != rank:
            raise NotImplementedError("a product of factors with different ranks")
        else:
            sides.append(s[a])
    options = schema.BatchMatMulOptionsT()
    options.adjY = transposed
    return s.one(Code.BATCH_MATMUL, sides, shape_of(node), node.name, options, Options.BatchMatMulOptions)


def padded(s: Scope, x: int, kernel, stride, dilation, padding, name: str) -> tuple[int, int]:
    """The operand, padded where neither SAME nor VALID is what the network does, and the operator's padding."""
    _, height, width, channels = shape = s.writer.shape(x)
    sides = above, below, left, right = mobile.sides_around(padding)
    if not any(sides):
        return x, schema.Padding.VALID
    if sides == mobile.same_sides((height, width), kernel, stride, dilation):
        return x, schema.Padding.SAME
    amounts = [[0, 0], [above, below], [left, right], [0, 0]]
    wider = [shape[0], height + above + below, width + left + right, channels]
    x = s.one(
        Code.PAD, [x, s.integers(amounts, "paddings")], wider, f"{name}_pad", schema.PadOptionsT(), Options.PadOptions
    )
    return x, schema.Padding.VALID


def conv2d(s: Scope, node: fx.Node) -> int:
    x, weight, bias, stride, padding, dilation, groups = arguments(node)
    kernel = s.held(weight, "a kernel")  # (outputs, rows, columns, inputs / groups)
    inputs = shape_of(x)[-1]
    depthwise = groups == inputs and groups > 1
    tensor, scheme = padded(s, s[x], kernel.shape[1:3], stride, dilation, padding, node.name)
    options = schema.DepthwiseConv2DOptionsT() if depthwise else schema.Conv2DOptionsT()
    options.padding = scheme
    options.strideH, options.strideW = stride
    options.dilationHFactor, options.dilationWFactor = dilation
    if depthwise:
        options.depthMultiplier = len(kernel) // groups
        kernel = kernel.transpose(3, 1, 2, 0)
    name = weight.name
    operands = [
        tensor,
        s.writer.constant(kernel, name),
        s[bias] if bias is not None else zeros(s, shape_of(node)[-1]),
    ]
    code, kind = (
        (Code.DEPTHWISE_CONV_2D, Options.DepthwiseConv2DOptions) if depthwise else (Code.CONV_2D, Options.Conv2DOptions)
    )
    return s.one(code, operands, shape_of(node), node.name, options, kind)


def conv_transpose2d(s: Scope, node: fx.Node) -> int:
    x, weight, bias, stride, padding, _ = arguments(node)
    kernel = s.held(weight, "a kernel")  # (outputs, rows, columns, inputs)
    scheme = mobile.transposed_scheme(shape_of(x)[1:3], shape_of(node)[1:3], kernel.shape[1:3], stride, padding)
    if scheme is None:
        raise NotImplementedError("a transposed convolution with a border of its own")
    options = schema.TransposeConvOptionsT()
    options.padding = getattr(schema.Padding, scheme)
    options.strideH, options.strideW = stride
    operands = [
        s.integers(shape_of(node), "shape"),
        s.writer.constant(kernel, weight.name),
        s[x],
        s[bias] if bias is not None else zeros(s, shape_of(node)[-1]),
    ]
    return s.one(Code.TRANSPOSE_CONV, operands, shape_of(node), node.name, options, Options.TransposeConvOptions)


def average_pool(s: Scope, node: fx.Node) -> int:
    x, kernel, stride, padding, _ = filled(node, None, None, None, (0, 0), False)
    return pool(s, node, Code.AVERAGE_POOL_2D, s[x], kernel, stride, scheme_of(node, x, kernel, stride, padding))


def max_pool(s: Scope, node: fx.Node) -> int:
    x, kernel, stride, padding, _ = arguments(node)
    return pool(s, node, Code.MAX_POOL_2D, s[x], kernel, stride, scheme_of(node, x, kernel, stride, padding))


def scheme_of(node: fx.Node, x: fx.Node, kernel, stride, padding) -> int:
    scheme = mobile.pooling_scheme(shape_of(x)[1:3], shape_of(node)[1:3], kernel, stride, padding)
    if scheme is None:
        raise NotImplementedError("a pool with a border of its own")
    return getattr(schema.Padding, scheme)


def pool(s: Scope, node: fx.Node, code: int, x: int, kernel, stride, scheme: int) -> int:
    options = schema.Pool2DOptionsT()
    options.padding = scheme
    options.filterHeight, options.filterWidth = kernel
    options.strideH, options.strideW = stride
    return s.one(code, [x], shape_of(node), node.name, options, Options.Pool2DOptions)


def resize(s: Scope, node: fx.Node) -> int:
    x, size, *corners = arguments(node)
    if node.target in {mobile.resize_nearest, mobile.resize_nearest_exact}:
        options, kind = schema.ResizeNearestNeighborOptionsT(), Options.ResizeNearestNeighborOptions
        options.halfPixelCenters = node.target is mobile.resize_nearest_exact
        return s.one(
            Code.RESIZE_NEAREST_NEIGHBOR, [s[x], s.integers(size, "size")], shape_of(node), node.name, options, kind
        )
    options = schema.ResizeBilinearOptionsT()
    options.alignCorners, options.halfPixelCenters = corners[0], not corners[0]
    return s.one(
        Code.RESIZE_BILINEAR, [s[x], s.integers(size, "size")], shape_of(node), node.name,
        options, Options.ResizeBilinearOptions,
    )  # fmt: skip
