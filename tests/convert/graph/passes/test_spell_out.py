"""Operations with a name of their own become the plain ones that every runtime has."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from convert._graph.passes import fold_constants, spell_out, sum_factors
from tests.convert._rewriting import Of, count, rewritten


@pytest.mark.parametrize(
    ("forward", "gone"),
    [
        (lambda m, x: F.scaled_dot_product_attention(x, x, x.tanh(), scale=0.3), "dot_product"),
        (lambda m, x: F.scaled_dot_product_attention(x, x.sin(), x, is_causal=True), "dot_product"),
        (lambda m, x: F.scaled_dot_product_attention(x, x, x, attn_mask=m.mask), "dot_product"),
        (lambda m, x: m.n(torch.relu(x)), "batch_norm"),
        (lambda m, x: torch.softmax(x, 1), None),
        (lambda m, x: torch.roll(x, (2, -1, 8), (2, 1, 3)), "roll"),
        (lambda m, x: torch.roll(x, 5), "roll"),
        (lambda m, x: x[:, :, torch.arange(6), torch.arange(6)], "index.Tensor"),
        (lambda m, x: x[:, torch.tensor([[1], [-1]]), :, torch.tensor([2, 0, 1])], "index.Tensor"),
        (lambda m, x: torch.stack(list(x.tanh()), 1), "stack"),
        (lambda m, x: x.max(2, keepdim=True)[0], "max.dim"),
        (lambda m, x: F.avg_pool2d(x, (3, 2), 2, (1, 0)), None),
        (lambda m, x: m.c(x), "padding"),
        (lambda m, x: x.reshape(2, 1, 4, 8, 6) + m.mask[0, :6], None),
        (lambda m, x: x.var(1, unbiased=False) + x.var((1, 2), keepdim=True).sum(), "var"),
        (lambda m, x: x.std((2, 3)) + x.std(dim=2, correction=0).sum(), "std"),
        (lambda m, x: (both := torch.var_mean(x, 1, keepdim=True))[0] * both[1] + x.var(), "var"),
        (lambda m, x: torch.var_mean(x, dim=(2, 3), correction=0)[1], "var"),
        (lambda m, x: x.norm(p=2, dim=(2, 3), keepdim=True) + torch.linalg.vector_norm(x, dim=1, keepdim=True), "norm"),
        (lambda m, x: F.pixel_shuffle(x, 2), "pixel"),
        (lambda m, x: F.pixel_unshuffle(x, 2), "pixel"),
        (lambda m, x: F.channel_shuffle(x, 2), "shuffle"),
    ],
    ids=lambda value: None if callable(value) else str(value),
)
def test_is_spelled_out(picture, forward, gone):
    net = Of(forward, n=nn.BatchNorm2d(4), c=nn.Conv2d(4, 3, (3, 1), padding="same"))
    net.register_buffer("mask", torch.randn(8, 8, dtype=torch.float64))

    def both(graph):
        graph, _ = fold_constants(graph)
        graph, fired = spell_out(graph)
        return graph, bool(fired)

    graph = rewritten(both, net, picture, fires=True)
    assert gone is None or count(graph, gone) == 0


def test_the_factor_of_a_sum_is_a_product(picture):
    """coremltools 9.0 reads the two terms and forgets the factor."""
    net = Of(lambda m, x: torch.add(x, x.flip(1), alpha=2.5) * torch.sub(x, 0.3, alpha=3))
    graph = rewritten(sum_factors, net, picture, fires=2)
    assert not [node for node in graph.graph.nodes if "alpha" in node.kwargs]


def test_so_it_is_where_the_first_term_is_taken_from_the_second(picture):
    net = Of(lambda m, x: torch.rsub(x, x.flip(1), alpha=2.5) * torch.rsub(x, 0.3, alpha=3))
    graph = rewritten(sum_factors, net, picture, fires=2)
    assert not [node for node in graph.graph.nodes if "alpha" in node.kwargs or len(node.args) > 2]


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")
@pytest.mark.parametrize(
    "forward",
    [
        lambda m, x: sum(x.max(2)),
        lambda m, x: F.avg_pool2d(x, 3, 2, 1, count_include_pad=False),
        lambda m, x: F.avg_pool2d(x, 3, 2, 1, ceil_mode=True),
        lambda m, x: m.c(x),
        lambda m, x: x.norm(p=1, dim=(2, 3)),
        lambda m, x: torch.linalg.vector_norm(x, dim=1, dtype=torch.float64),
        lambda m, x: F.pixel_shuffle(x.unsqueeze(1), 2),
    ],
    ids=[
        "place of the maximum",
        "zeros do not count",
        "ceiling",
        "odd amount",
        "other length",
        "another type",
        "rank five",
    ],
)
def test_is_not_spelled_out(picture, forward):
    rewritten(spell_out, Of(forward, c=nn.Conv2d(4, 3, 2, padding="same")), picture, fires=0)
