"""A dilated convolution as what the Neural Engine takes, which is said to leave dilated ones to the CPU.

With d the dilation, over the places i of the kernel,

    y(p) = sum_i  W_i x(p + d i)

* depthwise, and no wider than WIDEST with its gaps: one convolution whose kernel has zeros in the gaps
* else: the map with its border, cut once per place of the kernel; each cut is multiplied by W_i (depthwise: a factor
  per channel; else: a 1x1 convolution), and the products are added. Places that see only the border are left out.

Fires where strides are 1 and the kernel is a constant.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import NamedTuple

from torch import Tensor, fx

from ..graph import (
    CONVOLUTION,
    add_constant,
    aten,
    call,
    constant,
    copy_graph,
    filled,
    finish,
    get,
    in_place_of,
    stands_for,
)

WIDEST = 7  # places; kernels as wide are common, the zeros of wider ones cost more than the cuts


class Convolution(NamedTuple):
    node: fx.Node
    x: fx.Node
    kernel: Tensor  # (C_out, C_in / groups, H, W)
    bias: fx.Node | None
    border: Sequence[tuple[int, int]]  # before and behind, of rows and of columns
    dilation: Sequence[int]
    groups: int

    @property
    def depthwise(self) -> bool:
        return self.groups == len(self.kernel) == self.x.meta["val"].shape[1]


def undilate(graph: fx.GraphModule) -> tuple[fx.GraphModule, int]:
    """The rewritten copy and how many convolutions lost their dilation."""
    graph = copy_graph(graph)
    freed = 0
    for node in list(graph.graph.nodes):
        convolution = dilated(graph, node)
        if convolution is None:
            continue
        with in_place_of(graph, node):
            sizes = convolution.kernel.shape[2:]
            reach = (d * (k - 1) + 1 for d, k in zip(convolution.dilation, sizes, strict=True))
            new = (
                with_zeros(graph, convolution)
                if convolution.depthwise and max(reach) <= WIDEST
                else by_place(graph, convolution)
            )
        node.replace_all_uses_with(new)
        graph.graph.erase_node(node)
        freed += 1
    return finish(graph), freed


def dilated(graph: fx.GraphModule, node: fx.Node) -> Convolution | None:
    if node.target not in {aten.conv2d.default, aten.conv2d.padding}:
        return None
    x, weight, bias, stride, padding, dilation, groups = filled(node, *CONVOLUTION)
    kernel = constant(graph, weight)
    dilation = list(dilation) * (2 // len(dilation))
    if max(dilation) == 1 or set(stride) != {1} or kernel is None or x.meta["val"].ndim != 4:
        return None
    spread = [d * (k - 1) for d, k in zip(dilation, kernel.shape[2:], strict=True)]
    if padding == "same":
        border = [(total // 2, total - total // 2) for total in spread]
    elif padding == "valid":
        border = [(0, 0), (0, 0)]
    else:
        border = [(p, p) for p in list(padding) * (2 // len(padding))]
    return Convolution(node, x, kernel, bias, border, dilation, groups)


def with_zeros(graph: fx.GraphModule, convolution: Convolution) -> fx.Node:
    rows, columns = (d * (k - 1) + 1 for d, k in zip(convolution.dilation, convolution.kernel.shape[2:], strict=True))
    wide = convolution.kernel.new_zeros(*convolution.kernel.shape[:2], rows, columns)
    wide[..., :: convolution.dilation[0], :: convolution.dilation[1]] = convolution.kernel
    weight = get(graph, add_constant(graph, "with_zeros_w", wide))
    (top, bottom), (left, right) = convolution.border
    x, padding = convolution.x, [top, left]
    if (top, left) != (bottom, right):
        x, padding = bordered(graph, convolution), [0, 0]
    new = call(graph, aten.conv2d.default, x, weight, convolution.bias, [1, 1], padding, [1, 1], convolution.groups)
    stands_for(new, convolution.node)
    return new


def by_place(graph: fx.GraphModule, convolution: Convolution) -> fx.Node:
    x = bordered(graph, convolution)
    rows, columns = (seen(convolution, axis) for axis in (0, 1))
    strips = {i: cut(graph, x, 2, i * convolution.dilation[0], convolution.node) for i in rows}
    bias, total = convolution.bias, None
    for i, j in itertools.product(rows, columns):
        piece = cut(graph, strips[i], 3, j * convolution.dilation[1], convolution.node)
        factor = convolution.kernel[:, :, i : i + 1, j : j + 1]
        if convolution.depthwise:
            scale = get(graph, add_constant(graph, "place_w", factor.reshape(1, -1, 1, 1).contiguous()))
            product = call(graph, aten.mul.Tensor, piece, scale)
        else:
            weight = get(graph, add_constant(graph, "place_w", factor.contiguous()))
            product = call(graph, aten.conv2d.default, piece, weight, bias, [1, 1], [0, 0], [1, 1], convolution.groups)
            stands_for(product, convolution.node)
            bias = None  # once
        total = product if total is None else call(graph, aten.add.Tensor, total, product)
    assert total is not None
    if bias is None:
        return total
    return call(graph, aten.add.Tensor, total, call(graph, aten.reshape.default, bias, [1, -1, 1, 1]))


def seen(convolution: Convolution, axis: int) -> list[int]:
    """The places of the kernel along an axis that look at the map and not only at its border; one at least."""
    length, results = convolution.x.meta["val"].shape[2 + axis], convolution.node.meta["val"].shape[2 + axis]
    before = convolution.border[axis][0]
    starts = {i: i * convolution.dilation[axis] for i in range(convolution.kernel.shape[2 + axis])}
    return [i for i, start in starts.items() if start < before + length and start + results > before] or [0]


def bordered(graph: fx.GraphModule, convolution: Convolution) -> fx.Node:
    (top, bottom), (left, right) = convolution.border
    if not (top or bottom or left or right):
        return convolution.x
    return call(graph, aten.pad.default, convolution.x, [left, right, top, bottom], "constant", 0.0)


def cut(graph: fx.GraphModule, x: fx.Node, axis: int, start: int, like: fx.Node) -> fx.Node:
    """As many rows (axis 2) or columns (3) as `like` has, from `start` on."""
    length = like.meta["val"].shape[axis]
    if length == x.meta["val"].shape[axis]:
        return x
    return call(graph, aten.slice.Tensor, x, axis, start, start + length)
