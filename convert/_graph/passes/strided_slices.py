"""Take every s-th place of an axis by a reshape and a plain slice; all of them side by side by one transpose.

XNNPACK has no slice with a step. With L = n s, an axis of L places is one of n and one of s,

    x[a::s]  =  x as (n, s), place a of the second

around which what is before and behind the axis is glued, so that no rank rises above 3. Where the n steps do not fit
the axis, it is cut to n s places around those wanted, or gets zeros behind, which nobody takes.

Windows are merged by putting all residues a of one or two axes side by side along another, as in patch merging:

    cat([x[:, a::2, b::2] for b, a in product((0, 1), (0, 1))], -1)  =  x as (H/2, 2, W/2, 2, C) -> (H/2, W/2, b, a, C)

for any order in which one axis runs through while the others stand still. That is reshapes around a transpose, which
`rearrange` then makes flat: the example needs one transpose of (H/2, 2, W, C) that moves whole rows. Fires once per
concatenation and once per slice that is left.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import permutations, product
from math import prod

from torch import fx

from ..graph import arguments, aten, call, copy_graph, filled, finish, in_place_of


def strided_slices(graph: fx.GraphModule) -> tuple[fx.GraphModule, int]:
    """The rewritten copy and how many concatenations and slices were replaced."""
    graph = copy_graph(graph)
    replaced = 0
    for target, rewrite in ((aten.cat.default, merged), (aten.slice.Tensor, picked)):
        for node in list(graph.graph.find_nodes(op="call_function", target=target)):
            with in_place_of(graph, node):
                made = rewrite(graph, node)
            if made is not None:
                node.replace_all_uses_with(made)
                replaced += 1
        graph = finish(graph)
    return graph, replaced


def step_of(node: fx.Node) -> tuple[int, int, int] | None:
    """Axis, first place and step of a slice with one; None for all else."""
    if node.target is not aten.slice.Tensor:
        return None
    x, axis, start, _, step = filled(node, None, 0, None, None, 1)
    axis %= x.meta["val"].ndim
    length = x.meta["val"].shape[axis]
    first = start or 0
    first = max(first + length, 0) if first < 0 else first
    return (axis, first, step) if step > 1 and node.meta["val"].shape[axis] else None


def residues(node: fx.Node) -> tuple[fx.Node, dict[int, int], dict[int, int]]:
    """What the node takes residues of along some axes: the value, the steps and the residues."""
    steps: dict[int, int] = {}
    firsts: dict[int, int] = {}
    while (found := step_of(node)) and found[0] not in steps:
        axis, first, step = found
        if first >= step or arguments(node)[0].meta["val"].shape[axis] != step * node.meta["val"].shape[axis]:
            break
        node, steps[axis], firsts[axis] = arguments(node)[0], step, first
    return node, steps, firsts


def merged(graph: fx.GraphModule, node: fx.Node) -> fx.Node | None:
    parts = [residues(part) for part in arguments(node)[0]]
    x, steps, _ = parts[0]
    shape = x.meta["val"].shape
    along = filled(node, None, 0)[1] % len(shape)
    if not steps or along in steps or any((source, s) != (x, steps) for source, s, _ in parts):
        return None
    order = running([firsts for _, _, firsts in parts], steps)
    if order is None:
        return None
    cut: list[int] = []
    places: list[int] = []  # of the axes after the cut
    inner: dict[int, int] = {}  # and of the residues
    for axis, length in enumerate(shape):
        places.append(len(cut))
        if axis in steps:
            inner[axis] = len(cut) + 1
        cut += [length // steps[axis], steps[axis]] if axis in steps else [length]
    way: list[int] = []
    for axis in range(len(shape)):
        way += [*(inner[i] for i in order), places[axis]] if axis == along else [places[axis]]
    y = call(graph, aten.permute.default, call(graph, aten.reshape.default, x, cut), way)
    return call(graph, aten.reshape.default, y, list(node.meta["val"].shape))


def running(firsts: Sequence[dict[int, int]], steps: dict[int, int]) -> tuple[int, ...] | None:
    """The axes, the slowest first, whose residues are enumerated in this order; None if they are not."""
    for order in permutations(steps):
        if list(firsts) == [dict(zip(order, at, strict=True)) for at in product(*(range(steps[i]) for i in order))]:
            return order
    return None


def picked(graph: fx.GraphModule, node: fx.Node) -> fx.Node | None:
    slice_ = step_of(node)
    if slice_ is None:
        return None
    axis, first, step = slice_
    x, new = arguments(node)[0], list(node.meta["val"].shape)
    length, count = x.meta["val"].shape[axis], new[axis]
    if count == 1:
        return call(graph, aten.slice.Tensor, x, axis, first, first + 1)
    before, after = prod(new[:axis]), prod(new[axis + 1 :])
    begin = min(first, max(length - count * step, 0))
    if begin + count * step > length:
        x = call(graph, aten.reshape.default, x, [before, length, after])
        x = call(graph, aten.pad.default, x, [0, 0, 0, begin + count * step - length], "constant", 0.0)
        length = begin + count * step
    if (begin, begin + count * step) != (0, length):
        x = call(graph, aten.reshape.default, x, [before, length, after])
        x = call(graph, aten.slice.Tensor, x, 1, begin, begin + count * step)
    x = call(graph, aten.reshape.default, x, [before * count, step, after])
    x = call(graph, aten.slice.Tensor, x, 1, first - begin, first - begin + 1)
    return call(graph, aten.reshape.default, x, new)
