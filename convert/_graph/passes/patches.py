"""Patches cut out of a map (`unfold`), and a map put together from patches (`fold`), by moving numbers.

Patches k x k that lie side by side are a reshape, a transpose and a reshape,

    (N, C, h k, w k) -> (N, C, h, k, w, k) -> (N, C, k, k, h, w) -> (N, C k k, h w)

and the way back is the same in reverse. Patches that overlap, or leave places out, are one strided slice of the padded
map for each place of the kernel, put together. Maps from patches that overlap are sums; they are left.
Fires once per operation spelled out.
"""

from __future__ import annotations

from itertools import product

from torch import fx

from ..graph import arguments, aten, call, copy_graph, finish, in_place_of


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
        return None
    n, channels, _ = x.meta["val"].shape
    c = channels // (k * wide)
    cut = call(graph, aten.reshape.default, x, [n, c, k, wide, height // k, width // wide])
    cut = call(graph, aten.permute.default, cut, [0, 1, 4, 2, 5, 3])
    return call(graph, aten.reshape.default, cut, [n, c, height, width])


def side_by_side(kernel: list[int], dilation: list[int], padding: list[int], stride: list[int]) -> bool:
    return list(stride) == list(kernel) and not any(padding) and all(d == 1 for d in dilation)
