"""Say in a few basic operations what has a name of its own, so that every later rewrite sees it.

    attention(q, k, v)        softmax(s q k^T + mask) v,  s = 1 / sqrt(d); `masked_scores` has masks of truth values
    batch norm left over      g' x + b',  g' = g / sqrt(v + eps),  b' = b - m g'
    softmax over an axis      over the last one, between two transposes
    roll by k                 the last k places, then the others
    unbind                    a selection per place
    stack                     an axis of length 1 each, put together
    x[:, index]               a selection by the constant indices along their axes as one
    maximum and its place     the maximum, where nobody reads the place
    convolution "same"        zeros of its own amount (an odd amount is left), "valid" none
    padded average pool       zeros around the map, then the pool, if zeros count
    variance over axes        the mean of (x - mean(x))^2, times n / (n - 1) where that is wanted; deviation its root
    length of a vector        the root of the sum of squares
    pixel and channel shuffle     reshape, transpose, reshape
    element by element, above rank 4      without axes of length 1, if at most four remain

Fires once per operation spelled out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import prod
from typing import Any

import torch
from torch import Tensor, fx

from ..graph import (
    add_constant,
    arguments,
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
from .largest_values import first_alone
from .masked_scores import attention, hides_by_truths

RANK = 4
BINARY = {
    aten.add.Tensor, aten.sub.Tensor, aten.mul.Tensor, aten.div.Tensor, aten.maximum.default, aten.minimum.default,
}  # fmt: skip
MOMENTS = {
    aten.var.default, aten.var.dim, aten.var.correction, aten.std.default, aten.std.dim, aten.std.correction,
    aten.var_mean.dim, aten.var_mean.correction,
}  # fmt: skip
SHUFFLES = {aten.pixel_shuffle.default, aten.pixel_unshuffle.default, aten.channel_shuffle.default}
Speller = Callable[[fx.GraphModule, fx.Node], fx.Node | None]


def spell_out(graph: fx.GraphModule) -> tuple[fx.GraphModule, int]:
    """The rewritten copy and how many operations were spelled out."""
    return spelled_by(graph, SPELLERS)


def plain_rolls(graph: fx.GraphModule) -> tuple[fx.GraphModule, int]:
    """Rolls alone: Core ML's converter makes a gather of each, which the Neural Engine is said to leave to the CPU."""
    return spelled_by(graph, {aten.roll.default: roll})


def masked_attention(graph: fx.GraphModule) -> tuple[fx.GraphModule, int]:
    """Attention that hides places: coremltools adds -30000 to their scores, which is not enough for large ones."""

    def spell(graph: fx.GraphModule, node: fx.Node) -> fx.Node | None:
        return attention(graph, node, computed=True) if hides_by_truths(node) else None

    return spelled_by(graph, {aten.scaled_dot_product_attention.default: spell})


def spelled_by(graph: fx.GraphModule, spellers: Mapping[object, Speller]) -> tuple[fx.GraphModule, int]:
    graph = copy_graph(graph)
    spelled = 0
    for node in list(graph.graph.nodes):
        spell = spellers.get(node.target) if node.op == "call_function" else None
        if spell is None:
            continue
        with in_place_of(graph, node):
            made = spell(graph, node)
        if made is not None:
            node.replace_all_uses_with(made)
            graph.graph.erase_node(node)  # attention may draw random numbers, and would be kept though nobody reads it
            spelled += 1
    return finish(graph), spelled


def stored(graph: fx.GraphModule, name: str, value: Tensor) -> fx.Node:
    return get(graph, add_constant(graph, name, value))


def batch_norm(graph: fx.GraphModule, node: fx.Node) -> fx.Node | None:
    x, *held, training, _momentum, eps = arguments(node)[:8]
    values = [None if a is None else constant(graph, a) for a in held]
    g, b, m, v = values
    if (
        training
        or m is None
        or v is None
        or any(a is not None and c is None for a, c in zip(held, values, strict=True))
    ):
        return None
    scale = 1 / torch.sqrt(v.double() + eps) * (1 if g is None else g.double())
    shift = (0 if b is None else b.double()) - m.double() * scale
    shape = [1, -1, *[1] * (x.meta["val"].ndim - 2)]
    dtype = x.meta["val"].dtype
    x = call(graph, aten.mul.Tensor, x, stored(graph, "norm_scale", scale.reshape(shape).to(dtype)))
    return call(graph, aten.add.Tensor, x, stored(graph, "norm_shift", shift.reshape(shape).to(dtype)))


def softmax(graph: fx.GraphModule, node: fx.Node) -> fx.Node | None:
    x, axis = arguments(node)[:2]
    rank = x.meta["val"].ndim
    if axis % rank == rank - 1 or len(arguments(node)) > 2:
        return None
    y = call(graph, aten.softmax.int, call(graph, aten.transpose.int, x, axis, -1), -1)
    return call(graph, aten.transpose.int, y, axis, -1)


def roll(graph: fx.GraphModule, node: fx.Node) -> fx.Node | None:
    x, shifts, axes = filled(node, None, None, [])
    if not axes:  # rolls the flattened value
        shape = list(x.meta["val"].shape)
        flat = call(graph, aten.reshape.default, x, [prod(shape)])
        return call(graph, aten.reshape.default, rolled(graph, flat, shifts, [0]), shape)
    return rolled(graph, x, shifts, axes)


def rolled(graph: fx.GraphModule, x: fx.Node, shifts: list[int], axes: list[int]) -> fx.Node:
    for shift, axis in zip(shifts, axes, strict=True):
        length = x.meta["val"].shape[axis]
        cut = length - shift % length
        if cut == length:
            continue
        parts = [call(graph, aten.slice.Tensor, x, axis, *ends) for ends in ((cut, length), (0, cut))]
        x = call(graph, aten.cat.default, parts, axis)
    return x


def unbind(graph: fx.GraphModule, node: fx.Node) -> fx.Node | None:
    x, axis = filled(node, None, 0)
    for piece in list(node.users):
        piece.replace_all_uses_with(call(graph, aten.select.int, x, axis, arguments(piece)[1]))
        graph.graph.erase_node(piece)
    return x  # in place of a node that nobody reads any more


def stack(graph: fx.GraphModule, node: fx.Node) -> fx.Node:
    parts, axis = filled(node, None, 0)
    axis %= node.meta["val"].ndim
    return call(graph, aten.cat.default, [call(graph, aten.unsqueeze.default, p, axis) for p in parts], axis)


def index(graph: fx.GraphModule, node: fx.Node) -> fx.Node | None:
    """One selection: of the places along one axis, or along several as one, whose places are then counted through."""
    x, places = arguments(node)
    shape = list(x.meta["val"].shape)
    axes = [axis for axis, where in enumerate(places) if where is not None]
    values = [constant(graph, places[axis]) for axis in axes]
    if any(value is None or value.dtype in {torch.bool, torch.uint8} for value in values):
        return None
    known = torch.broadcast_tensors(*(v % shape[axis] for v, axis in zip(values, axes, strict=True) if v is not None))
    first = axes[0] if axes[-1] - axes[0] == len(axes) - 1 else 0  # torch puts the places in front if they are apart
    rest = [axis for axis in range(len(shape)) if axis not in axes]
    order = [*rest[:first], *axes, *rest[first:]]
    if order != list(range(len(shape))):
        x = call(graph, aten.permute.default, x, order)
    before, after = [shape[axis] for axis in rest[:first]], [shape[axis] for axis in rest[first:]]
    if len(axes) > 1:
        x = call(graph, aten.reshape.default, x, [*before, prod(shape[axis] for axis in axes), *after])
    where = torch.zeros_like(known[0])
    for value, axis in zip(known, axes, strict=True):
        where = where * shape[axis] + value
    x = call(graph, aten.index_select.default, x, first, stored(graph, "places", where.flatten()))
    if where.ndim == 1:
        return x
    return call(graph, aten.reshape.default, x, [*before, *where.shape, *after])


def maximum(graph: fx.GraphModule, node: fx.Node) -> fx.Node | None:
    x, axis, keep = filled(node, None, None, False)
    return first_alone(graph, node, lambda: call(graph, aten.amax.default, x, [axis], keep))


def named_padding(graph: fx.GraphModule, node: fx.Node) -> fx.Node | None:
    x, weight, bias, stride, padding, dilation, groups = filled(node, None, None, None, [1, 1], "valid", [1, 1], 1)
    reach = [d * (k - 1) for d, k in zip(dilation, weight.meta["val"].shape[2:], strict=True)]
    if padding == "same" and any(r % 2 for r in reach):
        return None
    amount = [r // 2 for r in reach] if padding == "same" else [0, 0]
    made = call(graph, aten.conv2d.default, x, weight, bias, stride, amount, dilation, groups)
    stands_for(made, node)
    return made


def average_pool(graph: fx.GraphModule, node: fx.Node) -> fx.Node | None:
    x, kernel, stride, padding, ceil, counted, divisor = filled(node, None, None, [], 0, False, True, None)
    pads = [padding, padding] if isinstance(padding, int) else list(padding) * (2 // len(padding))
    if ceil or not counted or divisor is not None or not any(pads):
        return None
    wider = call(graph, aten.pad.default, x, [pads[1], pads[1], pads[0], pads[0]])
    return call(graph, aten.avg_pool2d.default, wider, kernel, stride)


def moments(graph: fx.GraphModule, node: fx.Node) -> fx.Node | None:
    """Variance, standard deviation, or variance and mean."""
    kind, options = node.target._overloadname, dict[str, Any](node.kwargs)  # type: ignore[union-attr]
    x, axes = filled(node, None, None)[:2]
    if kind == "correction":
        correction, keep = options.get("correction"), options.get("keepdim", False)
    elif kind == "default":  # of all axes; the second argument says whether n - 1 divides
        axes, correction, keep = None, filled(node, None, True)[1], False
    else:
        correction, keep = filled(node, None, None, True, False)[2:]
    correction = 1 if correction is None else int(correction)
    shape = x.meta["val"].shape
    axes = list(axes or range(len(shape)))
    count = prod(shape[axis] for axis in axes)
    if count <= correction:
        return None
    centred = call(graph, aten.sub.Tensor, x, call(graph, aten.mean.dim, x, axes, True))
    result = call(graph, aten.mean.dim, call(graph, aten.mul.Tensor, centred, centred), axes, keep)
    if correction:
        result = call(graph, aten.mul.Tensor, result, count / (count - correction))
    if node.target in {aten.std.default, aten.std.dim, aten.std.correction}:
        return call(graph, aten.sqrt.default, result)
    if node.target in {aten.var.default, aten.var.dim, aten.var.correction}:
        return result
    both = (result, call(graph, aten.mean.dim, x, axes, keep))
    for piece in list(node.users):
        piece.replace_all_uses_with(both[arguments(piece)[1]])
        graph.graph.erase_node(piece)
    return x  # in place of a node that nobody reads any more


def vector_norm(graph: fx.GraphModule, node: fx.Node) -> fx.Node | None:
    x, order, axes, keep = filled(node, None, 2, None, False)[:4]
    if order not in {2, None} or not axes or node.kwargs or len(arguments(node)) > 4:
        return None
    power = call(graph, aten.sum.dim_IntList, call(graph, aten.mul.Tensor, x, x), list(axes), keep)
    return call(graph, aten.sqrt.default, power)


def shuffle(graph: fx.GraphModule, node: fx.Node) -> fx.Node | None:
    """Pixel shuffle (C r r, H, W) -> (C, H r, W r), its inverse, and channel shuffle (g C, …) -> (C g, …)."""
    x, r = arguments(node)
    shape = x.meta["val"].shape
    if len(shape) != 4:
        return None
    n, c, h, w = shape
    cut, order = {
        aten.pixel_shuffle.default: ([n, c // r**2, r, r, h, w], [0, 1, 4, 2, 5, 3]),
        aten.pixel_unshuffle.default: ([n, c, h // r, r, w // r, r], [0, 1, 3, 5, 2, 4]),
        aten.channel_shuffle.default: ([n, r, c // r, h, w], [0, 2, 1, 3, 4]),
    }[node.target]  # type: ignore[index]
    x = call(graph, aten.permute.default, call(graph, aten.reshape.default, x, cut), order)
    return call(graph, aten.reshape.default, x, list(node.meta["val"].shape))


def narrower(graph: fx.GraphModule, node: fx.Node) -> fx.Node | None:
    shape = node.meta["val"].shape
    kept = [axis for axis, length in enumerate(shape) if length != 1]
    if len(shape) <= RANK or len(kept) > RANK or node.kwargs:
        return None

    def without(value: object) -> object:
        if not isinstance(value, fx.Node):
            return value
        old = [1] * (len(shape) - value.meta["val"].ndim) + list(value.meta["val"].shape)
        new = [old[axis] for axis in kept]
        held = constant(graph, value)
        if held is not None:
            return stored(graph, value.name, held.reshape(new).clone())
        return call(graph, aten.reshape.default, value, new)

    small = call(graph, node.target, *(without(a) for a in arguments(node)))  # type: ignore[arg-type]
    return call(graph, aten.reshape.default, small, list(shape))


SPELLERS: dict[object, Speller] = {
    aten.scaled_dot_product_attention.default: attention,
    aten.batch_norm.default: batch_norm,
    aten.softmax.int: softmax,
    aten.roll.default: roll,
    aten.unbind.int: unbind,
    aten.stack.default: stack,
    aten.index.Tensor: index,
    aten.max.dim: maximum,
    aten.conv2d.padding: named_padding,
    aten.avg_pool2d.default: average_pool,
    aten.linalg_vector_norm.default: vector_norm,
    aten.norm.ScalarOpt_dim: vector_norm,
    **dict.fromkeys(MOMENTS, moments),
    **dict.fromkeys(SHUFFLES, shuffle),
    **dict.fromkeys(BINARY, narrower),
}
