"""Which TFLite operators stand for an operation of the rewritten graph: one short function each, in one table."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Sequence

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from torch import fx

from .. import _mobile_ops as mobile
from .._axes import order_of
from .._graph import arguments, aten, filled
from ._writer import Code, Writer

Options = schema.BuiltinOptions
Activation = schema.ActivationFunctionType
FUSING = {  # options that can hold an activation
    schema.Conv2DOptionsT, schema.DepthwiseConv2DOptionsT, schema.FullyConnectedOptionsT, schema.AddOptionsT,
    schema.MulOptionsT, schema.SubOptionsT, schema.DivOptionsT,
}  # fmt: skip


class Scope:
    """The writer, and the tensor of every node lowered so far."""

    def __init__(self, writer: Writer, constants: dict[fx.Node, np.ndarray]) -> None:
        self.writer = writer
        self.constants = constants
        self.at: dict[fx.Node, int | list[int]] = {}

    def __getitem__(self, value: object) -> int:
        """The tensor of a node, a constant's data, or a number."""
        if isinstance(value, fx.Node):
            if value in self.constants:
                return self.writer.constant(self.constants[value], value.name)
            found = self.at[value]
            assert isinstance(found, int)
            return found
        return self.writer.constant(np.array(value, np.float32), "number")

    def one(self, code: int, inputs: Sequence[int], shape: Sequence[int], name: str, options=None, kind=0) -> int:
        return self.writer.operator(code, inputs, [list(shape)], name, options, kind)[0]

    def integers(self, values: Sequence, name: str) -> int:
        return self.writer.constant(np.array(values, np.int32), name)


Lowering = Callable[[Scope, fx.Node], int | list[int]]


def shape_of(node: fx.Node) -> list[int]:
    return [int(n) for n in node.meta["val"].shape]


def unary(code: int, options: type | None = None, kind: int = 0) -> Callable[[Scope, fx.Node], int]:
    def lower(s: Scope, node: fx.Node) -> int:
        return s.one(code, [s[arguments(node)[0]]], shape_of(node), node.name, options and options(), kind)

    return lower


def binary(code: int, options: type, kind: int) -> Lowering:
    def lower(s: Scope, node: fx.Node) -> int:
        if node.kwargs.get("alpha", 1) != 1:
            raise NotImplementedError("a sum with alpha")
        return s.one(code, [s[a] for a in arguments(node)[:2]], shape_of(node), node.name, options(), kind)

    return lower


def silu(s: Scope, node: fx.Node) -> int:
    x, shape = s[arguments(node)[0]], shape_of(node)
    gate = s.one(Code.LOGISTIC, [x], shape, node.name)
    return s.one(Code.MUL, [x, gate], shape, node.name, schema.MulOptionsT(), Options.MulOptions)


def gelu(s: Scope, node: fx.Node) -> int:
    options = schema.GeluOptionsT()
    options.approximate = node.kwargs.get("approximate", "none") == "tanh"
    return s.one(Code.GELU, [s[arguments(node)[0]]], shape_of(node), node.name, options, Options.GeluOptions)


def hardtanh(s: Scope, node: fx.Node) -> int:
    x, low, high = filled(node, None, -1.0, 1.0)
    if (low, high) == (0, 6):
        return clipped(Activation.RELU6, Code.RELU6)(s, node)
    kind, shape = Options.MaximumMinimumOptions, shape_of(node)
    tensor = s.one(Code.MAXIMUM, [s[x], s[float(low)]], shape, node.name, schema.MaximumMinimumOptionsT(), kind)
    return s.one(Code.MINIMUM, [tensor, s[float(high)]], shape, node.name, schema.MaximumMinimumOptionsT(), kind)


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


def reduced(code: int) -> Lowering:
    """A mean, sum or extreme over axes; over all of them where none is named."""

    def lower(s: Scope, node: fx.Node) -> int:
        x, axes, keep, *_ = filled(node, None, [], False)
        rank = x.meta["val"].ndim
        options = schema.ReducerOptionsT()
        options.keepDims = bool(keep)
        where = s.integers(sorted(axis % rank for axis in axes) or list(range(rank)), "axes")
        return s.one(code, [s[x], where], shape_of(node), node.name, options, Options.ReducerOptions)

    return lower


def softmax(s: Scope, node: fx.Node) -> int:
    x, axis = arguments(node)[:2]
    if axis % x.meta["val"].ndim != x.meta["val"].ndim - 1:
        raise NotImplementedError("softmax over another axis than the last")
    options = schema.SoftmaxOptionsT()
    options.beta = 1.0
    return s.one(Code.SOFTMAX, [s[x]], shape_of(node), node.name, options, Options.SoftmaxOptions)


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
        else:
            sides.append(s[a])
    options = schema.BatchMatMulOptionsT()
    options.adjY = transposed
    return s.one(Code.BATCH_MATMUL, sides, shape_of(node), node.name, options, Options.BatchMatMulOptions)


def padding_of(length: int, kernel: int, stride: int, dilation: int, pad: int) -> str:
    """SAME or VALID where they are what the network does along one axis, EXPLICIT where neither is.

    SAME pads max((ceil(L / s) - 1) s + k - L, 0) in all, the smaller half before (the TFLite reference kernels).
    """
    reach = dilation * (kernel - 1) + 1
    total = max((math.ceil(length / stride) - 1) * stride + reach - length, 0)
    if total == 2 * pad:
        return "SAME" if pad else "BOTH"  # without padding SAME and VALID are one
    return "VALID" if pad == 0 else "EXPLICIT"


def padded(s: Scope, x: int, kernel, stride, dilation, padding, name: str) -> tuple[int, int]:
    """The operand, padded where needed, and the padding scheme for the operator."""
    _, height, width, channels = shape = s.writer.shape(x)
    kinds = {
        padding_of(length, k, st, d, p)
        for length, k, st, d, p in zip((height, width), kernel, stride, dilation, padding, strict=True)
    } - {"BOTH"}
    if kinds <= {"SAME"} and kinds:
        return x, schema.Padding.SAME
    if kinds <= {"VALID"}:
        return x, schema.Padding.VALID
    (top, left), amounts = padding, [[0, 0], [padding[0]] * 2, [padding[1]] * 2, [0, 0]]
    wider = [shape[0], height + 2 * top, width + 2 * left, channels]
    x = s.one(
        Code.PAD, [x, s.integers(amounts, "paddings")], wider, f"{name}_pad", schema.PadOptionsT(), Options.PadOptions
    )
    return x, schema.Padding.VALID


def conv2d(s: Scope, node: fx.Node) -> int:
    x, weight, bias, stride, padding, dilation, groups = arguments(node)
    kernel = s.constants[weight]  # (outputs, rows, columns, inputs / groups)
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


def average_pool(s: Scope, node: fx.Node) -> int:
    x, kernel, stride = arguments(node)
    return pool(s, node, Code.AVERAGE_POOL_2D, s[x], kernel, stride, schema.Padding.VALID)


def max_pool(s: Scope, node: fx.Node) -> int:
    x, kernel, stride, padding = arguments(node)
    tensor = s[x]
    if any(padding):
        low = float(np.finfo(np.float32).min)
        height, width = (shape_of(x)[i + 1] + 2 * padding[i] for i in range(2))
        amounts = s.integers([[0, 0], [padding[0]] * 2, [padding[1]] * 2, [0, 0]], "paddings")
        shape = [shape_of(x)[0], height, width, shape_of(x)[3]]
        value = s.writer.constant(np.array(low, np.float32), "lowest")
        operands, name = [tensor, amounts, value], f"{node.name}_pad"
        tensor = s.one(Code.PADV2, operands, shape, name, schema.PadV2OptionsT(), Options.PadV2Options)
    return pool(s, node, Code.MAX_POOL_2D, tensor, kernel, stride, schema.Padding.VALID)


def pool(s: Scope, node: fx.Node, code: int, x: int, kernel, stride, scheme: int) -> int:
    options = schema.Pool2DOptionsT()
    options.padding = scheme
    options.filterHeight, options.filterWidth = kernel
    options.strideH, options.strideW = stride
    return s.one(code, [x], shape_of(node), node.name, options, Options.Pool2DOptions)


def resize(s: Scope, node: fx.Node) -> int:
    x, size, *corners = arguments(node)
    if node.target is mobile.resize_nearest:
        options, kind = schema.ResizeNearestNeighborOptionsT(), Options.ResizeNearestNeighborOptions
        return s.one(
            Code.RESIZE_NEAREST_NEIGHBOR, [s[x], s.integers(size, "size")], shape_of(node), node.name, options, kind
        )
    options = schema.ResizeBilinearOptionsT()
    options.alignCorners, options.halfPixelCenters = corners[0], not corners[0]
    return s.one(
        Code.RESIZE_BILINEAR, [s[x], s.integers(size, "size")], shape_of(node), node.name,
        options, Options.ResizeBilinearOptions,
    )  # fmt: skip


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
    shape = shape_of(x)
    axis %= len(shape)
    first = start or 0
    first = min(first if first >= 0 else max(0, first + shape[axis]), shape[axis])
    if step == 1:
        return piece(s, s[x], axis, first, shape_of(node), node.name)
    begin, end, steps = [0] * len(shape), list(shape), [1] * len(shape)
    begin[axis], steps[axis] = first, step
    end[axis] = first + (shape_of(node)[axis] - 1) * step + 1
    operands = [s[x], s.integers(begin, "begin"), s.integers(end, "end"), s.integers(steps, "steps")]
    options, kind = schema.StridedSliceOptionsT(), Options.StridedSliceOptions
    return s.one(Code.STRIDED_SLICE, operands, shape_of(node), node.name, options, kind)


def piece(s: Scope, x: int, axis: int, first: int, shape: Sequence[int], name: str) -> int:
    """`shape` values of a tensor, from `first` on along one axis."""
    begin = [0] * len(shape)
    begin[axis] = first
    operands = [x, s.integers(begin, "begin"), s.integers(shape, "size")]
    return s.one(Code.SLICE, operands, shape, name, schema.SliceOptionsT(), Options.SliceOptions)


def reshape(s: Scope, node: fx.Node) -> int:
    options = schema.ReshapeOptionsT()
    options.newShape = np.array(shape_of(node), np.int32)
    operands = [s[arguments(node)[0]], s.integers(shape_of(node), "shape")]
    return s.one(Code.RESHAPE, operands, shape_of(node), node.name, options, Options.ReshapeOptions)


def permute(s: Scope, node: fx.Node) -> int:
    operands = [s[arguments(node)[0]], s.integers(order_of(node), "order")]
    return s.one(
        Code.TRANSPOSE, operands, shape_of(node), node.name, schema.TransposeOptionsT(), Options.TransposeOptions
    )


def power(s: Scope, node: fx.Node) -> int:
    x, exponent = arguments(node)
    if exponent == 2:
        return s.one(Code.MUL, [s[x], s[x]], shape_of(node), node.name, schema.MulOptionsT(), Options.MulOptions)
    return s.one(Code.POW, [s[x], s[exponent]], shape_of(node), node.name, schema.PowOptionsT(), Options.PowOptions)


def selected(s: Scope, node: fx.Node) -> int:
    """One place of an axis, which is then gone."""
    x, axis, index = arguments(node)
    shape = shape_of(x)
    axis %= len(shape)
    wide = [*shape[:axis], 1, *shape[axis + 1 :]]
    return shaped(s, piece(s, s[x], axis, index % shape[axis], wide, node.name), shape_of(node), node.name)


def shaped(s: Scope, x: int, shape: Sequence[int], name: str) -> int:
    options = schema.ReshapeOptionsT()
    options.newShape = np.array(shape, np.int32)
    return s.one(Code.RESHAPE, [x, s.integers(shape, "shape")], shape, name, options, Options.ReshapeOptions)


def unbound(s: Scope, node: fx.Node) -> list[int]:
    """Every place of an axis as a tensor of its own."""
    x, axis = filled(node, None, 0)
    shape = shape_of(x)
    axis %= len(shape)
    options = schema.SplitOptionsT()
    options.numSplits = shape[axis]
    wide = [*shape[:axis], 1, *shape[axis + 1 :]]
    where = s.writer.constant(np.array(axis, np.int32), "axis")
    shapes = [wide] * shape[axis]
    pieces = s.writer.operator(Code.SPLIT, [where, s[x]], shapes, node.name, options, Options.SplitOptions)
    narrow = [*shape[:axis], *shape[axis + 1 :]]
    return [shaped(s, one, narrow, node.name) for one in pieces]


def stacked(s: Scope, node: fx.Node) -> int:
    parts, axis = filled(node, None, 0)
    shape = shape_of(node)
    axis %= len(shape)
    wide = [*shape[:axis], 1, *shape[axis + 1 :]]
    options = schema.ConcatenationOptionsT()
    options.axis = axis
    pieces = [shaped(s, s[part], wide, node.name) for part in parts]
    return s.one(Code.CONCATENATION, pieces, shape, node.name, options, Options.ConcatenationOptions)


def rolled(s: Scope, node: fx.Node) -> int:
    """What leaves at the end of an axis comes in at its beginning, axis after axis."""
    x, shifts, axes = filled(node, None, None, [])
    if not axes:
        raise NotImplementedError("a roll of the flattened tensor")
    tensor, shape = s[x], shape_of(node)
    for shift, axis in zip(shifts, axes, strict=True):
        axis %= len(shape)
        front = shift % shape[axis]
        if not front:
            continue
        cuts = [(shape[axis] - front, front), (0, shape[axis] - front)]
        sizes = [[*shape[:axis], size, *shape[axis + 1 :]] for _, size in cuts]
        parts = [piece(s, tensor, axis, first, size, node.name) for (first, _), size in zip(cuts, sizes, strict=True)]
        options = schema.ConcatenationOptionsT()
        options.axis = axis
        tensor = s.one(Code.CONCATENATION, parts, shape, node.name, options, Options.ConcatenationOptions)
    return tensor


def constant_pad(s: Scope, node: fx.Node) -> int:
    """Pads from the last axis on, two numbers an axis, as torch has them; negative ones would cut."""
    x, amounts = arguments(node)[:2]
    if node.target is aten.pad.default:
        mode, value = filled(node, None, None, "constant", None)[2:]
        if mode != "constant":
            raise NotImplementedError(f"padding by {mode}")
    else:
        value = filled(node, None, None, 0.0)[2]
    if min(amounts) < 0:
        raise NotImplementedError("padding by less than nothing")
    rank = x.meta["val"].ndim
    pairs = [[0, 0]] * (rank - len(amounts) // 2) + [list(amounts[i : i + 2]) for i in range(len(amounts) - 2, -1, -2)]
    operands = [s[x], s.integers(pairs, "paddings")]
    if not value:
        return s.one(Code.PAD, operands, shape_of(node), node.name, schema.PadOptionsT(), Options.PadOptions)
    operands.append(s[float(value)])
    return s.one(Code.PADV2, operands, shape_of(node), node.name, schema.PadV2OptionsT(), Options.PadV2Options)


def leaky_relu(s: Scope, node: fx.Node) -> int:
    x, slope = filled(node, None, 0.01)
    options = schema.LeakyReluOptionsT()
    options.alpha = float(slope)
    return s.one(Code.LEAKY_RELU, [s[x]], shape_of(node), node.name, options, Options.LeakyReluOptions)


def prelu(s: Scope, node: fx.Node) -> int:
    """max(x, 0) + a min(x, 0), the slope of each channel; channels are axis 1 in torch."""
    x, slope = arguments(node)
    if slope not in s.constants:
        raise NotImplementedError("a PReLU whose slope is computed")
    shape = [1] * x.meta["val"].ndim
    if s.constants[slope].size > 1:
        shape[1] = s.constants[slope].size
    alpha = s.writer.constant(s.constants[slope].reshape(shape[1:]), slope.name)
    return s.one(Code.PRELU, [s[x], alpha], shape_of(node), node.name)


def hardsigmoid(s: Scope, node: fx.Node) -> int:
    """min(max(x + 3, 0), 6) / 6."""
    shape = shape_of(node)
    options = schema.AddOptionsT()
    options.fusedActivationFunction = Activation.RELU6
    above = s.one(Code.ADD, [s[arguments(node)[0]], s[3.0]], shape, node.name, options, Options.AddOptions)
    return s.one(Code.MUL, [above, s[1 / 6]], shape, node.name, schema.MulOptionsT(), Options.MulOptions)


TABLE: dict[object, Lowering] = {
    mobile.conv2d: conv2d,
    mobile.avg_pool2d: average_pool,
    mobile.max_pool2d: max_pool,
    mobile.resize_bilinear: resize,
    mobile.resize_nearest: resize,
    mobile.matmul_transposed: lambda s, node: batched(s, node, transposed=True),
    aten.linear.default: linear,
    aten.matmul.default: product,
    aten.softmax.int: softmax,
    aten.mean.dim: reduced(Code.MEAN),
    aten.mean.default: reduced(Code.MEAN),
    aten.sum.dim_IntList: reduced(Code.SUM),
    aten.amax.default: reduced(Code.REDUCE_MAX),
    aten.amin.default: reduced(Code.REDUCE_MIN),
    aten.add.Tensor: binary(Code.ADD, schema.AddOptionsT, Options.AddOptions),
    aten.sub.Tensor: binary(Code.SUB, schema.SubOptionsT, Options.SubOptions),
    aten.mul.Tensor: binary(Code.MUL, schema.MulOptionsT, Options.MulOptions),
    aten.div.Tensor: binary(Code.DIV, schema.DivOptionsT, Options.DivOptions),
    aten.maximum.default: binary(Code.MAXIMUM, schema.MaximumMinimumOptionsT, Options.MaximumMinimumOptions),
    aten.minimum.default: binary(Code.MINIMUM, schema.MaximumMinimumOptionsT, Options.MaximumMinimumOptions),
    aten.pow.Tensor_Scalar: power,
    aten.silu.default: silu,
    aten.gelu.default: gelu,
    aten.sigmoid.default: unary(Code.LOGISTIC),
    aten.tanh.default: unary(Code.TANH),
    aten.relu.default: clipped(Activation.RELU, Code.RELU),
    aten.relu6.default: clipped(Activation.RELU6, Code.RELU6),
    aten.hardtanh.default: hardtanh,
    aten.hardsigmoid.default: hardsigmoid,
    aten.leaky_relu.default: leaky_relu,
    aten.prelu.default: prelu,
    aten.hardswish.default: unary(Code.HARD_SWISH, schema.HardSwishOptionsT, Options.HardSwishOptions),
    aten.exp.default: unary(Code.EXP, schema.ExpOptionsT, Options.ExpOptions),
    aten.abs.default: unary(Code.ABS, schema.AbsOptionsT, Options.AbsOptions),
    aten.neg.default: unary(Code.NEG, schema.NegOptionsT, Options.NegOptions),
    aten.sqrt.default: unary(Code.SQRT),
    aten.rsqrt.default: unary(Code.RSQRT),
    aten.cat.default: concatenation,
    aten.chunk.default: split,
    aten.split.Tensor: split,
    aten.split_with_sizes.default: split,
    aten.slice.Tensor: cut,
    aten.select.int: selected,
    aten.unbind.int: unbound,
    aten.stack.default: stacked,
    aten.roll.default: rolled,
    aten.pad.default: constant_pad,
    aten.constant_pad_nd.default: constant_pad,
    operator.getitem: item,
    aten.reshape.default: reshape,
    aten.view.default: reshape,
    aten._unsafe_view.default: reshape,
    aten.flatten.using_ints: reshape,
    aten.unflatten.int: reshape,
    aten.unsqueeze.default: reshape,
    aten.squeeze.default: reshape,
    aten.squeeze.dim: reshape,
    aten.squeeze.dims: reshape,
    aten.permute.default: permute,
    aten.transpose.int: permute,
    aten.t.default: permute,
}
