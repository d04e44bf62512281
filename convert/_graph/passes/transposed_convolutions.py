"""A transposed convolution in the forms that a file has: plain, or as a convolution.

In one dimension, with stride s, dilation d, k places of the kernel and padding p, it gives the places o of

    y(o) = sum W(j) x(i)   over all i, j with   s i + d j = o + p

which is what a file's operator does for one group, d = 1, and as much cut off in front as SAME or VALID cut. Others:

* stride 1: a convolution with the kernel turned round, padded by d (k - 1) - p
* dilated: a kernel with zeros in the gaps
* one group, cut off otherwise (a kernel of 3, stride 2, padding 1, one more behind): nothing cut off, and a slice of
  that. A kernel with a row and a column of zeros more would be SAME and need no slice, but takes 1.5 to 1.8 times as
  long (LiteRT, one thread: 1.4 and 2.6 ms for 64 channels, 32 x 32 to 64 x 64)
* groups: the s results a with the same r, where o = s a + r, are those of a convolution with the kernel places
  j = r + p - s t for t = i - a. All r together are one convolution with s^2 times the channels, and a pixel shuffle.

* more cut off in front than the kernel reaches, or added behind than its stride: a kernel with zeros behind

* groups whose two strides differ: one group, with zeros between inputs and outputs of different groups

Fires where the kernel is a constant.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, fx

from ..graph import TRANSPOSED, add_constant, aten, call, constant, copy_graph, filled, finish, get, in_place_of
from ..mobile_ops import transposed_scheme


def transposed_convolutions(graph: fx.GraphModule) -> tuple[fx.GraphModule, int]:
    """The rewritten copy and how many transposed convolutions changed their form."""
    graph = copy_graph(graph)
    changed = 0
    for node in list(graph.graph.find_nodes(op="call_function", target=aten.conv_transpose2d.input)):
        with in_place_of(graph, node):
            made = other_form(graph, node)
        if made is not None:
            node.replace_all_uses_with(made)
            graph.graph.erase_node(node)
            changed += 1
    return finish(graph), changed


def other_form(graph: fx.GraphModule, node: fx.Node) -> fx.Node | None:
    """What computes the same; None where the node has a form that a file has, or none."""
    x, weight, bias, stride, padding, extra, groups, dilation = filled(node, *TRANSPOSED)
    kernel = constant(graph, weight)  # (inputs, outputs / groups, rows, columns)
    if kernel is None or x.meta["val"].ndim != 4:
        return None
    wide = with_gaps(kernel, dilation)
    short = too_short(wide.shape[2:], stride, padding, extra)
    if any(short):
        kernel = wide = F.pad(wide, (0, short[1], 0, short[0]))
        dilation, extra = [1, 1], [0 if s == 1 or e >= s else e for s, e in zip(stride, extra, strict=True)]
    old, new, reach = x.meta["val"].shape[2:], node.meta["val"].shape[2:], wide.shape[2:]
    if set(stride) == {1}:
        turned = stored(graph, by_output(kernel, groups).flip(2, 3))
        around = [k - 1 - p for k, p in zip(reach, padding, strict=True)]
        return cut(
            graph, call(graph, aten.conv2d.default, x, turned, bias, [1, 1], around, dilation, groups), [0, 0], new
        )
    if groups > 1 and len(set(stride)) == 1:
        return shuffled(graph, node, wide)
    if groups > 1:
        wide = as_one_group(wide, groups)
    scheme = transposed_scheme(old, new, reach, stride, padding)
    if scheme is None:
        extra = [max(e - p, 0) for e, p in zip(extra, padding, strict=True)]
    if scheme and wide is kernel and not any(short):
        return None
    off = padding if scheme else [0, 0]
    y = call(graph, aten.conv_transpose2d.input, x, stored(graph, wide), bias, stride, off, extra)
    return y if scheme else cut(graph, y, padding, new)


def too_short(reach: Sequence[int], stride: Sequence[int], padding: Sequence[int], extra: Sequence[int]) -> list[int]:
    """How many places of zeros the kernel has to get behind, so that what is cut off in front is within its reach, and
    so is what is added behind, where that is not less than the stride."""
    return [
        max(p + 1 - k, e if s == 1 or e >= s else 0, 0)
        for k, s, p, e in zip(reach, stride, padding, extra, strict=True)
    ]


def with_gaps(kernel: Tensor, dilation: Sequence[int]) -> Tensor:
    """The kernel with zeros where a dilated one looks past; itself without dilation."""
    if set(dilation) == {1}:
        return kernel
    rows, columns = (d * (k - 1) + 1 for d, k in zip(dilation, kernel.shape[2:], strict=True))
    wide = kernel.new_zeros(*kernel.shape[:2], rows, columns)
    wide[..., :: dilation[0], :: dilation[1]] = kernel
    return wide


def as_one_group(kernel: Tensor, groups: int) -> Tensor:
    """(inputs, outputs / groups, rows, columns) as (inputs, outputs, rows, columns), with zeros across groups."""
    parts = [torch.block_diag(*place.chunk(groups)) for place in kernel.flatten(2).unbind(2)]
    return torch.stack(parts, 2).unflatten(2, kernel.shape[2:])


def by_output(kernel: Tensor, groups: int) -> Tensor:
    """(inputs, outputs / groups, rows, columns) as a convolution has it: (outputs, inputs / groups, rows, columns)."""
    split = kernel.unflatten(0, (groups, -1)).transpose(1, 2)
    return split.flatten(0, 1)


def shuffled(graph: fx.GraphModule, node: fx.Node, wide: Tensor) -> fx.Node | None:
    """All residues of the places by one convolution; kernel without dilation, one stride for both axes."""
    x, _, bias, stride, padding, _, groups, _ = filled(node, *TRANSPOSED)
    shift = constant(graph, bias)
    if bias is not None and shift is None:
        return None
    step, old, new = stride[0], x.meta["val"].shape[2:], node.meta["val"].shape[2:]
    rows, columns = (residues(k, step, p) for k, p in zip(wide.shape[2:], padding, strict=True))
    padded = F.pad(by_output(wide, groups), (0, 1, 0, 1))  # the last row and column: places that a residue lacks
    # (outputs, inputs, residue, row, residue, column) -> (outputs, residue, residue, inputs, row, column)
    kernel = padded[:, :, rows[:, :, None, None], columns].permute(0, 2, 4, 1, 3, 5).flatten(0, 2).contiguous()
    (top, bottom), (left, right) = (
        ((k - 1 - p) // step, max(-(-n // step) - o + (step - 1 + p) // step, 0))
        for k, p, o, n in zip(wide.shape[2:], padding, old, new, strict=True)
    )
    around = [top, left]
    if (top, left) != (bottom, right):
        x, around = call(graph, aten.pad.default, x, [left, right, top, bottom], "constant", 0.0), [0, 0]
    if shift is not None:
        bias = stored(graph, shift.repeat_interleave(step**2))
    y = call(graph, aten.conv2d.default, x, stored(graph, kernel), bias, [1, 1], around, [1, 1], groups)
    return cut(graph, call(graph, aten.pixel_shuffle.default, y, step), [0, 0], new)


def residues(length: int, step: int, off: int) -> Tensor:
    """int64 (r, t): which place of the kernel j = r + off - step t is, and `length` where there is none."""
    t = torch.arange(-((length - 1 - off) // step), (step - 1 + off) // step + 1)
    places = torch.arange(step)[:, None] + off - step * t
    return places.where((places >= 0) & (places < length), length)


def cut(graph: fx.GraphModule, x: fx.Node, first: Sequence[int], size: Sequence[int]) -> fx.Node:
    """As many rows and columns as `size` says, from the `first` ones on."""
    for axis, begin, length in zip((2, 3), first, size, strict=True):
        if x.meta["val"].shape[axis] != length:
            x = call(graph, aten.slice.Tensor, x, axis, begin, begin + length)
    return x


def stored(graph: fx.GraphModule, kernel: Tensor) -> fx.Node:
    return get(graph, add_constant(graph, "transposed_w", kernel.contiguous()))
