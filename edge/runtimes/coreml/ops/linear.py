"""Matrix products and attention."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from .kinds import Tensors


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """x times the transposed weight. From iOS 17 on the weight may have another type than x."""
    if weight.dtype != x.dtype:
        weight = weight.to(x.dtype)
    return F.linear(x, weight, None if bias is None else bias.to(x.dtype))


def matmul(x: Tensor, y: Tensor, transpose_x: bool = False, transpose_y: bool = False) -> Tensor:
    """With broadcasting of the leading dimensions; a vector is never transposed."""
    if transpose_x and x.ndim > 1:
        x = x.mT
    if transpose_y and y.ndim > 1:
        y = y.mT
    if x.dtype != y.dtype:
        common = torch.promote_types(x.dtype, y.dtype)
        x, y = x.to(common), y.to(common)
    return torch.matmul(x, y)


def einsum(values: Tensors, equation: str) -> Tensor:
    return torch.einsum(equation, *values)


def scaled_dot_product_attention(query: Tensor, key: Tensor, value: Tensor, attn_mask: Tensor | None = None) -> Tensor:
    """A mask of truth values says who takes part, a mask of numbers is added before the softmax."""
    if attn_mask is not None and attn_mask.ndim < 2:
        attn_mask = attn_mask.reshape(1, -1)
    return F.scaled_dot_product_attention(query, key, value, attn_mask)


TABLE = {
    "einsum": einsum,
    "linear": linear,
    "matmul": matmul,
    "scaled_dot_product_attention": scaled_dot_product_attention,
}
EXACT: frozenset[str] = frozenset()
