"""Put the channel axis of every map last, once and for all, instead of around each convolution.

Mobile CPUs and the TFLite format keep maps as (N, H, W, C). Every value v of the graph gets a twin, the same numbers
with the channel axis moved to the end; each operation is replaced by the one that makes the twin of its result from
the twins of its operands:

* convolution and pooling by their channels-last forms (`_mobile_ops`), with the weight permuted here
* element by element operations by themselves, constants permuted; an operand of lower rank gets axes of length 1
* a mean or a maximum, a concatenation, a slice, padding or a split by itself on the axis where the old one went; where
  that takes the channel axis away, or leaves nothing but it, the result is the old one and needs no twin
* a map flattened to (N, C, H W) by a reshape to (N, H W, C), and back
* a transpose (N, H, W, C) -> (N, C, H, W) of a value without a twin by nothing: what it transposes is the twin

Where an operation is none of these, the old value is made from its twin by a transpose, which `rearrange` afterwards
merges with what stands around it. A product with a constant matrix stays as it is on purpose: as M^T x its constant
would be on the left, which XNNPACK refuses in half precision. A value of rank 3 has a twin only if it came from a map.

Fires once per operation that works on a twin.
"""

from __future__ import annotations

import operator
from typing import Any

from torch import Tensor, fx

from .. import mobile_ops as _mobile_ops
from ..axes import MOVES, order_of
from ..graph import (  # fmt: skip
    TRANSPOSED,
    add_constant,
    arguments,
    aten,
    call,
    comes_from,
    constant,
    copy_graph,
    filled,
    finish,
    get,
    in_place_of,
    stands_for,
)
from .average_borders import average_of, divides_by_what_it_sees
from .pool_borders import max_pool_of

ELEMENTWISE = {
    aten.add.Tensor, aten.sub.Tensor, aten.mul.Tensor, aten.div.Tensor, aten.maximum.default, aten.minimum.default,
    aten.silu.default, aten.sigmoid.default, aten.relu.default, aten.relu6.default, aten.hardtanh.default,
    aten.hardswish.default, aten.hardsigmoid.default, aten.gelu.default, aten.tanh.default, aten.exp.default,
    aten.abs.default, aten.neg.default, aten.sqrt.default, aten.rsqrt.default, aten.pow.Tensor_Scalar,
    aten.clamp.default, aten.leaky_relu.default, aten.rsub.Scalar, aten.square.default, aten.reciprocal.default,
    aten.log.default, aten.sin.default, aten.cos.default, aten.floor.default, aten.sign.default,
}  # fmt: skip
REDUCTIONS = {aten.mean.dim, aten.sum.dim_IntList, aten.amax.default, aten.amin.default}
PADS = {aten.pad.default, aten.constant_pad_nd.default}
RESIZES: dict[object, Any] = {  # `resizes` has spelled out all others
    aten.upsample_bilinear2d.vec: _mobile_ops.resize_bilinear,
    aten.upsample_nearest2d.vec: _mobile_ops.resize_nearest,
    aten._upsample_nearest_exact2d.vec: _mobile_ops.resize_nearest_exact,
}
WINDOWS = {aten.avg_pool2d.default, aten.max_pool2d.default}
FLATTENING = {aten.flatten.using_ints, aten.reshape.default, aten.view.default}


def channels_last(graph: fx.GraphModule) -> tuple[fx.GraphModule, int]:
    """The rewritten copy and how many operations were moved."""
    graph = copy_graph(graph)
    twins = Twins(graph)
    moved = 0
    for node in list(graph.graph.nodes):
        if node.op != "call_function" or not any(isinstance(v, Tensor) for v in values_of(node)):
            continue
        if twins.turns_into_a_map(node):
            twins.known[node] = arguments(node)[0]
            continue
        with in_place_of(graph, node):
            twin = twins.move(node)
        if twin is not None:
            stands_for(twin, node)
            twins.known[node] = twin
            moved += 1
    for node in list(graph.graph.nodes):
        if node in twins.known and not isinstance(node.meta["val"], (list, tuple)):
            # readers that were not moved still want the old layout
            readers = [user for user in node.users if user not in twins.known]
            if readers:
                with graph.graph.inserting_after(twins.known[node]):
                    old = call(graph, aten.permute.default, twins.known[node], back(node.meta["val"].ndim))
                comes_from(old, node)
                for reader in readers:
                    reader.replace_input_with(node, old)
    return finish(graph), moved


def values_of(node: fx.Node) -> list:
    value = node.meta.get("val")
    return list(value) if isinstance(value, (list, tuple)) else [value]


def forth(rank: int) -> list[int]:
    return [0, *range(2, rank), 1]


def back(rank: int) -> list[int]:
    return [0, rank - 1, *range(1, rank - 1)]


def place(axis: int, rank: int) -> int:
    """Where an axis of the old layout is in the new one."""
    return forth(rank).index(axis % rank)


class Twins:
    """The channels-last twin of every value that has one."""

    def __init__(self, graph: fx.GraphModule) -> None:
        self.graph = graph
        self.known: dict[fx.Node, fx.Node] = {}

    def of(self, node: fx.Node) -> fx.Node:
        """The twin of a map; made by a transpose where nothing better is known."""
        if node not in self.known:
            value = constant(self.graph, node)
            rank = node.meta["val"].ndim
            if value is not None:
                name = add_constant(self.graph, f"{node.name}_last", value.permute(forth(rank)).contiguous())
                self.known[node] = get(self.graph, name)
            else:
                return call(self.graph, aten.permute.default, node, forth(rank))
        return self.known[node]

    def turns_into_a_map(self, node: fx.Node) -> bool:
        """Whether the node's operand is the twin of its result."""
        rank = node.meta["val"].ndim if isinstance(node.meta["val"], Tensor) else 0
        return (
            node.target in MOVES
            and rank == 4
            and order_of(node) == back(rank)
            and arguments(node)[0] not in self.known
            and constant(self.graph, arguments(node)[0]) is None
        )

    def move(self, node: fx.Node) -> fx.Node | None:
        """The twin of the node's result, made from twins; None if the operation is left where it is."""
        target, args = node.target, arguments(node)
        if target is aten.conv2d.default:
            return self.convolution(*args)
        if target is aten.conv_transpose2d.input and filled(node, *TRANSPOSED)[6:] == (1, [1, 1]):
            return self.transposed_convolution(node)
        if target in WINDOWS and plain_window(node):
            return self.window(node)
        if target is operator.getitem and args[0] in self.known:
            return self.emit(operator.getitem, self.known[args[0]], args[1])
        if target in RESIZES and by_size(node):
            return self.emit(RESIZES[target], self.of(args[0]), *args[1:-1])
        if target in FLATTENING:
            return self.flattened(node)
        operands = [a for a in node.all_input_nodes if constant(self.graph, a) is None]
        if not any(a in self.known for a in operands):
            return None
        if target in ELEMENTWISE:
            return self.elementwise(node)
        rank = node.all_input_nodes[0].meta["val"].ndim
        if target in REDUCTIONS and not node.kwargs and len(args) > 1 and args[1]:
            return self.reduced(node, [place(axis, rank) for axis in args[1]], filled(node, None, None, False)[2])
        if target is aten.select.int:
            return self.reduced(node, place(args[1], rank), args[2])
        if target in PADS and rank == 4 and len(args[1]) <= 6:
            left, right, top, bottom, *channels = [*args[1], 0, 0, 0, 0][:6]
            return self.emit(aten.pad.default, self.of(args[0]), [*channels, left, right, top, bottom], *mode_of(node))
        if target is aten.prelu.default and rank == 4:
            return self.emit(_mobile_ops.prelu, self.of(args[0]), args[1])
        if target is aten.cat.default:
            axis = filled(node, None, 0)[1]
            return self.emit(target, [self.of(a) for a in args[0]], place(axis, rank))
        if target in {aten.chunk.default, aten.split.Tensor, aten.split_with_sizes.default}:
            axis = filled(node, None, None, 0)[2]
            return self.emit(target, self.of(args[0]), args[1], place(axis, rank))
        if target is aten.slice.Tensor:
            axis = filled(node, None, 0)[1]
            return self.emit(target, self.of(args[0]), place(axis, rank), *args[2:])
        if target is aten.index_select.default:
            return self.emit(target, self.of(args[0]), place(args[1], rank), args[2])
        if target is aten.expand.default and len(args[1]) == rank and not node.kwargs:
            return self.emit(target, self.of(args[0]), [args[1][axis] for axis in forth(rank)])
        return None

    def emit(self, target, *args) -> fx.Node:
        return call(self.graph, target, *args)

    def convolution(self, x, weight, bias=None, stride=(1, 1), padding=(0, 0), dilation=(1, 1), groups=1) -> fx.Node:
        kernel = self.of(weight)
        return self.emit(
            _mobile_ops.conv2d, self.of(x), kernel, bias, list(stride), list(padding), list(dilation), groups
        )  # fmt: skip

    def transposed_convolution(self, node: fx.Node) -> fx.Node | None:
        x, weight, bias, stride, padding, extra, _, _ = filled(node, *TRANSPOSED)
        kernel = constant(self.graph, weight)  # (inputs, outputs, rows, columns)
        if kernel is None:
            return None
        name = add_constant(self.graph, f"{weight.name}_last", kernel.permute(1, 2, 3, 0).contiguous())
        operands = [self.of(x), get(self.graph, name), bias]
        return self.emit(_mobile_ops.conv_transpose2d, *operands, list(stride), list(padding), list(extra))

    def window(self, node: fx.Node) -> fx.Node:
        if node.target is aten.max_pool2d.default:
            x, kernel, stride, padding, _, ceiling = max_pool_of(node)
            return self.emit(_mobile_ops.max_pool2d, self.of(x), kernel, stride, padding, ceiling)
        one = average_of(node)
        border = [one.padding, one.ceiling] if any(one.padding) or one.ceiling else []
        return self.emit(_mobile_ops.avg_pool2d, self.of(one.x), one.kernel, one.stride, *border)

    def reduced(self, node: fx.Node, axes: list[int] | int, option: object) -> fx.Node | None:
        """An operation that may take axes away; what is left is a map, or else the old result itself."""
        x = arguments(node)[0]
        rank, left = x.meta["val"].ndim, node.meta["val"].ndim
        gone = [axes] if isinstance(axes, int) else axes
        if left < rank and 0 in gone:
            return None
        result = self.emit(node.target, self.of(x), axes, option)
        if left < rank and (rank - 1 in gone or left <= 2):
            node.replace_all_uses_with(result)
        return result

    def elementwise(self, node: fx.Node) -> fx.Node | None:
        rank = node.meta["val"].ndim
        if any(a in self.known and a.meta["val"].ndim != rank for a in node.all_input_nodes):
            return None
        swap = {a: self.widened(a, rank) for a in node.all_input_nodes if a.meta["val"].ndim}
        operation: Any = node.target
        return call(self.graph, operation, *fx.map_arg(arguments(node), lambda a: swap.get(a, a)), **node.kwargs)

    def widened(self, node: fx.Node, rank: int) -> fx.Node:
        """The twin of an operand; of a lower rank it broadcasts against the last axes, which move."""
        shape = [1] * (rank - node.meta["val"].ndim) + list(node.meta["val"].shape)
        if len(shape) == node.meta["val"].ndim:
            return self.of(node)
        value = constant(self.graph, node)
        if value is None:
            return self.of(self.emit(aten.reshape.default, node, shape))
        value = value.reshape(shape).permute(forth(rank)).contiguous()
        return get(self.graph, add_constant(self.graph, f"{node.name}_last", value))

    def flattened(self, node: fx.Node) -> fx.Node | None:
        """(N, C, H, W) -> (N, C, H W) and back: the channel axis stays an axis of its own."""
        x = arguments(node)[0]
        old, new = x.meta["val"].shape, node.meta["val"].shape
        if x not in self.known or {len(old), len(new)} != {3, 4} or old[:2] != new[:2]:
            return None
        return self.emit(aten.reshape.default, self.known[x], [new[0], *new[2:], new[1]])


def by_size(node: fx.Node) -> bool:
    """Whether a resize is in the form that `resizes` leaves: by its size alone."""
    args = arguments(node)
    return node.meta["val"].ndim == 4 and len(args) > 2 and args[1] is not None and args[-1] is None


def mode_of(node: fx.Node) -> tuple[Any, Any]:
    """How an `aten.pad` pads, and with what."""
    if node.target is aten.constant_pad_nd.default:
        return "constant", filled(node, None, None, 0)[2]
    _, _, mode, value = filled(node, None, None, "constant", None)
    return node.kwargs.get("mode", mode), node.kwargs.get("value", value)


def plain_window(node: fx.Node) -> bool:
    """No dilation; of an average no divisor but what a window sees of the map."""
    if node.meta["val"].ndim != 4:
        return False
    if node.target is aten.max_pool2d.default:
        return max_pool_of(node)[4] == [1, 1]
    return divides_by_what_it_sees(node)
