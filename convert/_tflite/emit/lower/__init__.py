"""Which TFLite operators stand for an operation of the rewritten graph: one short function each, in one table."""

from __future__ import annotations

import operator

from ai_edge_litert import schema_py_generated as schema

from ...._graph import mobile_ops as mobile
from ...._graph.graph import aten
from ..writer import Code
from . import layers, layout, values
from .scope import Lowering, Options, Scope

__all__ = ["TABLE", "Scope"]

TABLE: dict[object, Lowering] = {
    mobile.conv2d: layers.conv2d,
    mobile.conv_transpose2d: layers.conv_transpose2d,
    mobile.avg_pool2d: layers.average_pool,
    mobile.max_pool2d: layers.max_pool,
    mobile.resize_bilinear: layers.resize,
    mobile.resize_nearest: layers.resize,
    mobile.resize_nearest_exact: layers.resize,
    mobile.matmul_transposed: lambda s, node: layers.batched(s, node, transposed=True),
    aten.linear.default: layers.linear,
    aten.matmul.default: layers.product,
    aten.bmm.default: layers.product,
    aten.mm.default: layers.product,
    aten.softmax.int: values.softmax,
    aten.mean.dim: values.reduction(Code.MEAN),
    aten.mean.default: values.reduction(Code.MEAN),
    aten.sum.dim_IntList: values.reduction(Code.SUM),
    aten.amax.default: values.reduction(Code.REDUCE_MAX),
    aten.amin.default: values.reduction(Code.REDUCE_MIN),
    aten.add.Tensor: values.binary(Code.ADD, schema.AddOptionsT, Options.AddOptions),
    aten.sub.Tensor: values.binary(Code.SUB, schema.SubOptionsT, Options.SubOptions),
    aten.mul.Tensor: values.binary(Code.MUL, schema.MulOptionsT, Options.MulOptions),
    aten.div.Tensor: values.binary(Code.DIV, schema.DivOptionsT, Options.DivOptions),
    aten.maximum.default: values.binary(Code.MAXIMUM, schema.MaximumMinimumOptionsT, Options.MaximumMinimumOptions),
    aten.minimum.default: values.binary(Code.MINIMUM, schema.MaximumMinimumOptionsT, Options.MaximumMinimumOptions),
    aten.rsub.Scalar: values.reverse_difference,
    aten.where.self: values.choice,
    aten.reciprocal.default: values.reciprocal,
    aten.square.default: values.square,
    aten.pow.Tensor_Scalar: values.power,
    aten.silu.default: values.silu,
    aten.gelu.default: values.gelu,
    aten.sigmoid.default: values.unary(Code.LOGISTIC),
    aten.tanh.default: values.unary(Code.TANH),
    aten.relu.default: values.clipped(values.Activation.RELU, Code.RELU),
    aten.relu6.default: values.clipped(values.Activation.RELU6, Code.RELU6),
    aten.hardtanh.default: values.hardtanh,
    aten.clamp.default: values.clamp,
    aten.hardsigmoid.default: values.hardsigmoid,
    aten.leaky_relu.default: values.leaky_relu,
    aten.prelu.default: values.prelu,
    mobile.prelu: values.prelu,
    aten.hardswish.default: values.unary(Code.HARD_SWISH, schema.HardSwishOptionsT, Options.HardSwishOptions),
    aten.exp.default: values.unary(Code.EXP, schema.ExpOptionsT, Options.ExpOptions),
    aten.abs.default: values.unary(Code.ABS, schema.AbsOptionsT, Options.AbsOptions),
    aten.neg.default: values.unary(Code.NEG, schema.NegOptionsT, Options.NegOptions),
    aten.sqrt.default: values.unary(Code.SQRT),
    aten.rsqrt.default: values.unary(Code.RSQRT),
    aten.log.default: values.unary(Code.LOG),
    aten.sin.default: values.unary(Code.SIN),
    aten.cos.default: values.unary(Code.COS, schema.CosOptionsT, Options.CosOptions),
    aten.floor.default: values.unary(Code.FLOOR),
    aten.sign.default: values.unary(Code.SIGN, schema.SignOptionsT, Options.SignOptions),
    aten.cat.default: layout.concatenation,
    aten.chunk.default: layout.split,
    aten.split.Tensor: layout.split,
    aten.split_with_sizes.default: layout.split,
    aten.slice.Tensor: layout.cut,
    aten.select.int: layout.selection,
    aten.index_select.default: layout.selected,
    aten.topk.default: layout.top,
    aten.pad.default: layout.pad,
    aten.constant_pad_nd.default: layout.pad,
    aten.expand.default: layout.expand,
    operator.getitem: layout.item,
    aten.reshape.default: layout.reshape,
    aten.view.default: layout.reshape,
    aten._unsafe_view.default: layout.reshape,
    aten.flatten.using_ints: layout.reshape,
    aten.unflatten.int: layout.reshape,
    aten.unsqueeze.default: layout.reshape,
    aten.squeeze.default: layout.reshape,
    aten.squeeze.dim: layout.reshape,
    aten.squeeze.dims: layout.reshape,
    aten.permute.default: layout.permute,
    aten.transpose.int: layout.permute,
    aten.t.default: layout.permute,
}
