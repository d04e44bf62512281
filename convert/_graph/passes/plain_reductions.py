"""Operations over axes that files have no operator for, in those that they have.

    RMS norm                      g x / sqrt(mean(x x) + eps)
    log-sum-exp                   max + log(sum(exp(x - max)))
    log-sum-exp up to each place  the same over the places before it, with the maximum of these
    maximum or minimum of all     the same over every axis
    minimum and its place         the minimum, where nobody reads the place

Fires once per operation spelled out.
Core ML's converter has the other ones; it does not know an RMS norm, and takes no maximum off a log-sum-exp up to each
place.
"""

from __future__ import annotations

import torch
from torch import fx

from ..graph import add_constant, arguments, aten, call, filled, get
from ..refusals import refused
from .largest_values import first_alone
from .spell_out import Speller, spelled_by

LONGEST = 256  # places of an axis whose log-sum-exp is wanted up to each


def plain_reductions(graph: fx.GraphModule) -> tuple[fx.GraphModule, int]:
    """The rewritten copy and how many operations were spelled out."""
    return spelled_by(graph, SPELLERS)


def careful_reductions(graph: fx.GraphModule) -> tuple[fx.GraphModule, int]:
    """RMS norms and log-sum-exp up to each place alone."""
    return spelled_by(graph, {aten.rms_norm.default: rms_norm, aten.logcumsumexp.default: log_sums_exp})


def rms_norm(graph: fx.GraphModule, node: fx.Node) -> fx.Node:
    x, shape, weight, eps = filled(node, None, None, None, None)
    eps = torch.finfo(x.meta["val"].dtype).eps if eps is None else eps
    axes = list(range(-len(shape), 0))
    power = call(graph, aten.mean.dim, call(graph, aten.mul.Tensor, x, x), axes, True)
    y = call(graph, aten.mul.Tensor, x, call(graph, aten.rsqrt.default, call(graph, aten.add.Tensor, power, eps)))
    return y if weight is None else call(graph, aten.mul.Tensor, y, weight)


def log_sum_exp(graph: fx.GraphModule, node: fx.Node) -> fx.Node:
    x, axes, keep = filled(node, None, None, False)
    axes = [axes] if isinstance(axes, int) else list(axes)
    highest = call(graph, aten.amax.default, x, axes, True)
    total = call(graph, aten.exp.default, call(graph, aten.sub.Tensor, x, highest))
    total = call(graph, aten.log.default, call(graph, aten.sum.dim_IntList, total, axes, True))
    total = call(graph, aten.add.Tensor, highest, total)
    return total if keep else call(graph, aten.reshape.default, total, list(node.meta["val"].shape))


def log_sums_exp(graph: fx.GraphModule, node: fx.Node) -> fx.Node:
    """With the maximum of the whole axis taken off, places before it would become the logarithm of nothing."""
    x, axis = arguments(node)
    like = x.meta["val"]
    if not like.ndim:
        return call(graph, aten.clone.default, x)
    length, axis = like.shape[axis], axis % like.ndim
    if length > LONGEST:
        raise refused(node, f"the axis has {length} places, expected at most {LONGEST}, as each needs all before it")
    x = call(graph, aten.unsqueeze.default, call(graph, aten.transpose.int, x, axis, -1), -2)
    mask = torch.ones(length, length, dtype=torch.bool).tril().expand(*x.meta["val"].shape[:-2], length, length)
    upto = get(graph, add_constant(graph, "upto", mask.clone()))
    x = call(graph, aten.expand.default, x, list(mask.shape))
    lowest = call(graph, aten.expand.default, call(graph, aten.amin.default, x, [-1], True), list(mask.shape))
    x = call(graph, aten.where.self, upto, x, lowest)
    highest = call(graph, aten.amax.default, x, [-1], True)
    total = call(graph, aten.exp.default, call(graph, aten.sub.Tensor, x, highest))
    nothing = get(graph, add_constant(graph, "nothing", torch.zeros(mask.shape, dtype=like.dtype)))
    total = call(graph, aten.sum.dim_IntList, call(graph, aten.where.self, upto, total, nothing), [-1])
    total = call(graph, aten.log.default, total)
    total = call(graph, aten.add.Tensor, total, call(graph, aten.squeeze.dim, highest, -1))
    return call(graph, aten.transpose.int, total, axis, -1)


def of_all(target: object) -> Speller:
    def spell(graph: fx.GraphModule, node: fx.Node) -> fx.Node | None:
        (x,) = arguments(node)
        axes = list(range(x.meta["val"].ndim))
        return call(graph, target, x, axes, False) if axes else None  # type: ignore[arg-type]

    return spell


def minimum(graph: fx.GraphModule, node: fx.Node) -> fx.Node | None:
    x, axis, keep = filled(node, None, None, False)
    return first_alone(graph, node, lambda: call(graph, aten.amin.default, x, [axis], keep))


SPELLERS: dict[object, Speller] = {
    aten.rms_norm.default: rms_norm,
    aten.logsumexp.default: log_sum_exp,
    aten.max.default: of_all(aten.amax.default),
    aten.min.default: of_all(aten.amin.default),
    aten.min.dim: minimum,
}
