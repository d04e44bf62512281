"""Queries, keys and values are told apart without an axis or a transpose of their own."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from convert._graph.passes import (
    fold_scales,
    rearrange,
    rewrite,
    spell_out,
    split_after,
    split_before,
    transposed_products,
)
from tests.convert._rewriting import D, Of, count, ranks, rewritten


def heads_first(m: nn.Module, x: Tensor) -> Tensor:
    q, k, v = m.qkv(x).reshape(2, 6, 3, 2, D // 2).permute(2, 0, 3, 1, 4).unbind(0)
    return torch.softmax(q @ k.transpose(-2, -1) * 0.3, -1) @ v


def test_an_axis_for_queries_keys_and_values_is_not_made(tokens):
    def run(graph):
        graph, fired = rewrite(graph, (spell_out, split_before, split_after))
        assert fired["split_after"] == 1
        return graph, fired["split_before"]

    graph = rewritten(run, Of(heads_first, qkv=nn.Linear(D, 3 * D)), tokens, fires=1)
    assert ranks(graph) == 4 and count(graph, "select", "unbind") == 0 and count(graph, "permute") == 1


@pytest.mark.parametrize(
    "forward",
    [
        lambda m, x: m.qkv(x).reshape(2, 6, 2, 3, 4).select(3, 1),
        lambda m, x: (y := m.qkv(x).reshape(2, 6, 3, 8)).select(2, 1) + y.mean(2),
        lambda m, x: m.qkv(x).transpose(1, 2).select(1, 1),
    ],
    ids=["not the first factor", "read whole", "an axis that was there"],
)
def test_other_selections_stay(tokens, forward):
    rewritten(split_before, Of(forward, qkv=nn.Linear(D, 3 * D)), tokens, fires=0)


def attention(m: nn.Module, x: Tensor) -> Tensor:
    n, t, _ = x.shape
    q, k, v = (p.reshape(n, t, 2, D // 2).transpose(1, 2) for p in m.qkv(x).chunk(3, -1))
    y = torch.softmax(q @ k.transpose(-2, -1) * (D // 2) ** -0.5, -1) @ v
    return m.out(y.transpose(1, 2).reshape(n, t, D))


def test_attention_takes_two_transposes(tokens):
    """One for queries, keys and values together, one for the result; the scale is in the weights."""
    net = Of(attention, qkv=nn.Linear(D, 3 * D), out=nn.Linear(D, D))

    def run(graph):
        graph, fired = rewrite(graph, (fold_scales, transposed_products, split_after, rearrange))
        assert [fired[name] for name in ("fold_scales", "transposed_products", "split_after")] == [1, 1, 1]
        return graph, 0

    graph = rewritten(run, net, tokens, fires=0)
    assert count(graph, "permute", "transpose.int") == 2 and count(graph, "aten.mul") == 0
    assert ranks(graph) == 4


@pytest.mark.parametrize(
    ("forward", "pieces"),
    [
        (lambda m, x: different_heads(m.qkv(x).chunk(2, -1)), 2),
        (lambda m, x: m.qkv(x).chunk(3, -1)[1].reshape(2, 6, 2, 4) + 1, 3),
        (lambda m, x: sum(p.reshape(6, 2, 2, 4) for p in m.qkv(x).chunk(2, -1)), 2),
        (lambda m, x: sum(p.reshape(2, 3, D) for p in m.qkv(x).chunk(2, 1)), 1),
        (lambda m, x: sum(p.reshape(2, 6, 2, 4) + p.sum() for p in m.qkv(x).chunk(2, -1)), 2),
    ],
    ids=["different heads", "unread pieces", "tokens cut too", "another axis", "piece read elsewhere"],
)
def test_other_splits_stay(tokens, forward, pieces):
    rewritten(split_after, Of(forward, qkv=nn.Linear(D, pieces * D)), tokens, fires=0)


def different_heads(pieces: tuple[Tensor, ...]) -> Tensor:
    return pieces[0].reshape(2, 6, 2, 4).sum((2, 3)) + pieces[1].reshape(2, 6, 4, 2).sum((2, 3))


def test_products_without_a_transpose_stay(tokens):
    rewritten(transposed_products, Of(lambda m, x: x @ x.reshape(2, D, 6)), tokens, fires=0)
