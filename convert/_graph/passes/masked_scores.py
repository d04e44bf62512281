"""Attention in products and a softmax, with a mask that hides places whatever their scores are.

    softmax(s q k^T + mask) v,  s = 1 / sqrt(d)

A mask of truth values hides places. A large negative number added to their scores hides them only from scores that are
not further below than that number, and minus infinity is what accelerators are said to make NaN of. With k = 1 for a
place that is seen and 0 for a hidden one, and r the smallest score of the row,

    u = (score - r) k - 104 (1 - k)

has the same differences among the seen places, all at least 0, and -104 for hidden ones: exp(-104) is 0 in float32. A
row that sees nothing gives zeros, as torch does.
"""

from __future__ import annotations

import torch
from torch import Tensor, fx

from ..graph import add_constant, aten, call, constant, filled, get

HIDDEN = -104.0  # exp of it is below half of float32's smallest number


def attention(graph: fx.GraphModule, node: fx.Node, *, computed: bool = False) -> fx.Node | None:
    """What stands for `scaled_dot_product_attention`; None for dropout, for more queries than keys per head, and for a
    mask of truth values that is no constant, unless `computed` allows it."""
    q, k, v, mask, dropout, causal = filled(node, None, None, None, None, 0.0, False)
    mask = node.kwargs.get("attn_mask", mask)
    if dropout or node.kwargs.get("dropout_p") or node.kwargs.get("enable_gqa"):
        return None
    dtype, width = q.meta["val"].dtype, q.meta["val"].shape[-1]
    scale = node.kwargs.get("scale")
    seen: Tensor | None = None
    if causal or node.kwargs.get("is_causal"):
        rows, columns = q.meta["val"].shape[-2], k.meta["val"].shape[-2]
        seen, mask = torch.ones(rows, columns, dtype=torch.bool).tril(), None
    truths = mask is not None and mask.meta["val"].dtype is torch.bool
    if truths:
        seen = constant(graph, mask)
        if seen is None and not computed:
            return None
    scores = call(graph, aten.matmul.default, q, call(graph, aten.transpose.int, k, -2, -1))
    scores = call(graph, aten.mul.Tensor, scores, width**-0.5 if scale is None else scale)
    if seen is None and not truths:
        if mask is not None:
            scores = call(graph, aten.add.Tensor, scores, mask)
        return call(graph, aten.matmul.default, call(graph, aten.softmax.int, scores, -1), v)
    if seen is None:
        keep = call(graph, aten.to.dtype, mask, dtype)
        away = call(graph, aten.mul.Tensor, call(graph, aten.sub.Tensor, keep, 1.0), -HIDDEN)
    else:
        keep = get(graph, add_constant(graph, "seen", seen.to(dtype)))
        away = get(graph, add_constant(graph, "hidden", (~seen).to(dtype) * HIDDEN))
    scores = call(graph, aten.sub.Tensor, scores, call(graph, aten.amin.default, scores, [-1], True))
    scores = call(graph, aten.add.Tensor, call(graph, aten.mul.Tensor, scores, keep), away)
    weights = call(graph, aten.softmax.int, scores, -1)
    if seen is None or not bool(seen.any(-1).all()):
        weights = call(graph, aten.mul.Tensor, weights, keep)
    return call(graph, aten.matmul.default, weights, v)


def hides_by_truths(node: fx.Node) -> bool:
    """Whether an attention hides places by truth values or by their order."""
    mask = node.kwargs.get("attn_mask", filled(node, None, None, None, None)[3])
    causal = node.kwargs.get("is_causal", filled(node, None, None, None, None, 0.0, False)[5])
    return bool(causal) or (isinstance(mask, fx.Node) and mask.meta["val"].dtype is torch.bool)
