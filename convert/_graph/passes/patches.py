"""Patches cut out of a map (`unfold`), and a map put together from patches (`fold`), by moving numbers.

Patches k x k that lie side by side are a reshape, a transpose and a reshape,

    (N, C, h k, w k) -> (N, C, h, k, w, k) -> (N, C, k, k, h, w) -> (N, C k k, h w)

and the way back is the same in reverse. Patches that overlap, or leave places out, are one strided slice of the padded
map for each place of the kernel, put together. A map from patches that overlap is their sum, which is what a transposed
convolution does whose kernel for place (i, j) of the patch is 1 at (i, j) and 0 elsewhere, each channel for itself.
Fires once per operation spelled out. Core ML's converter knows the patches that do not overlap.
"""

from __future__ import annotations

from itertools import product
from math import prod

import torch
from torch import fx

from ..graph import add_constant, arguments, aten, call, copy_graph, finish, get, in_place_of
from .spell_out import spelled_by


def patches(graph: fx.GraphModule) -> tuple[fx.GraphModule, int]:
    """The rewritten copy and how many operations were spelled out."""
    graph = copy_graph(graph)
    spelled = 0
    for target, spell in ((aten.im2col.default, cut_out), (aten.col2im.default, put_together)):
        for node in list(graph.graph.find_nodes(op="call_function", target=target)):
            with in_place_of(graph, node):
                new = spell(graph, node)
            if new is not None:
                node.replace_all_uses_with(new)
                graph.graph.erase_node(node)
                spelled += 1
    return finish(graph), spelled


def overlapping_patches(graph: fx.GraphModule) -> tuple[fx.GraphModule, int]:
    """Maps from patches that overlap or leave places out, alone."""
    return spelled_by(graph, {aten.col2im.default: put_together_by_sums})


def cut_out(graph: fx.GraphModule, node: fx.Node) -> fx.Node | None:
    x, kernel, dilation, padding, stride = arguments(node)
    if x.meta["val"].ndim != 4:
        return None
    n, c, height, width = x.meta["val"].shape
    (k, wide), count = kernel, node.meta["val"].shape[-1]
    if side_by_side(kernel, dilation, padding, stride) and not height % k and not width % wide:
        cut = call(graph, aten.reshape.default, x, [n, c, height // k, k, width // wide, wide])
        cut = call(graph, aten.permute.default, cut, [0, 1, 3, 5, 2, 4])
        return call(graph, aten.reshape.default, cut, [n, c * k * wide, count])
    if any(padding):
        x = call(graph, aten.pad.default, x, [padding[1], padding[1], padding[0], padding[0]], "constant", 0.0)
    rows, columns = (
        (side + 2 * p - d * (size - 1) - 1) // s + 1
        for side, size, d, p, s in zip((height, width), kernel, dilation, padding, stride, strict=True)
    )
    pieces = []
    for i, j in product(range(k), range(wide)):
        piece = x
        for axis, place, many in ((2, i, rows), (3, j, columns)):
            first, step = place * dilation[axis - 2], stride[axis - 2]
            piece = call(graph, aten.slice.Tensor, piece, axis, first, first + (many - 1) * step + 1, step)
        pieces.append(call(graph, aten.reshape.default, piece, [n, c, 1, count]))
    return call(graph, aten.reshape.default, call(graph, aten.cat.default, pieces, 2), [n, c * k * wide, count])


def put_together(graph: fx.GraphModule, node: fx.Node) -> fx.Node | None:
    x, (height, width), kernel, dilation, padding, stride = arguments(node)
    k, wide = kernel
    if x.meta["val"].ndim != 3 or not side_by_side(kernel, dilation, padding, stride) or height % k or width % wide:
        return put_together_by_sums(graph, node)
    n, channels, _ = x.meta["val"].shape
    c = channels // (k * wide)
    cut = call(graph, aten.reshape.default, x, [n, c, k, wide, height // k, width // wide])
    cut = call(graph, aten.permute.default, cut, [0, 1, 4, 2, 5, 3])
    return call(graph, aten.reshape.default, cut, [n, c, height, width])


def put_together_by_sums(graph: fx.GraphModule, node: fx.Node) -> fx.Node | None:
    x, sides, kernel, dilation, padding, stride = arguments(node)
    if side_by_side(kernel, dilation, padding, stride) and not any(n % k for n, k in zip(sides, kernel, strict=True)):
        return None
    places, shape = prod(kernel), x.meta["val"].shape
    c = shape[-2] // places
    reaches = [d * (k - 1) + 1 for d, k in zip(dilation, kernel, strict=True)]
    counts = [(n + 2 * p - r) // s + 1 for n, p, r, s in zip(sides, padding, reaches, stride, strict=True)]
    groups = c if stride[0] == stride[1] else 1  # files have no transposed convolution by group with two strides
    ones = torch.zeros(c, places, c // groups, *reaches, dtype=x.meta["val"].dtype)
    for channel, (number, (i, j)) in product(range(c), enumerate(product(*(range(k) for k in kernel)))):
        ones[channel, number, channel if groups == 1 else 0, i * dilation[0], j * dilation[1]] = 1
    maps = call(graph, aten.reshape.default, x, [-1, c * places, *counts])
    weight = get(graph, add_constant(graph, "places", ones.flatten(0, 1)))
    y = call(graph, aten.conv_transpose2d.input, maps, weight, None, stride, [0, 0], [0, 0], groups)
    for axis, (n, p) in enumerate(zip(sides, padding, strict=True), 2):
        behind = p + n - y.meta["val"].shape[axis]  # rows or columns that no patch reaches
        if behind > 0:
            y = call(graph, aten.pad.default, y, [0, 0] * (3 - axis) + [0, behind], "constant", 0.0)
        if y.meta["val"].shape[axis] != n:
            y = call(graph, aten.slice.Tensor, y, axis, p, p + n)
    return call(graph, aten.reshape.default, y, list(node.meta["val"].shape))


def side_by_side(kernel: list[int], dilation: list[int], padding: list[int], stride: list[int]) -> bool:
    return list(stride) == list(kernel) and not any(padding) and all(d == 1 for d in dilation)
