"""Rewrites of what networks outside this project write: fused attention, padding in words, pieces cut late."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from convert._passes import numbered_padding, pieces_first, plain_attention, zero_mean_streams
from tests.convert._rewriting import Of, count, rewritten

D, HEADS = 8, 2


@pytest.fixture
def tokens() -> Tensor:
    return torch.randn(2, 6, D, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


@pytest.fixture
def picture() -> Tensor:
    return torch.randn(2, 4, 8, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(2))


# Attention


@pytest.mark.parametrize("options", [{}, {"scale": 0.3}, {"is_causal": True}])
def test_attention_becomes_products(tokens: Tensor, options: dict) -> None:
    net = Of(lambda m, x: F.scaled_dot_product_attention(m.q(x), m.k(x), m.v(x), **options),
             q=nn.Linear(D, D), k=nn.Linear(D, D), v=nn.Linear(D, D))  # fmt: skip
    graph = rewritten(plain_attention, net, tokens, fires=1)
    assert count(graph, "scaled_dot_product") == 0 and count(graph, "matmul") == 2 and count(graph, "softmax") == 1


@pytest.mark.parametrize("boolean", [True, False])
def test_a_mask_is_added(tokens: Tensor, boolean: bool) -> None:
    mask = torch.rand(6, 6, generator=torch.Generator().manual_seed(3)) > 0.4
    mask |= torch.eye(6, dtype=torch.bool)
    net = Of(lambda m, x: F.scaled_dot_product_attention(x, x, x, attn_mask=m.mask))
    net.register_buffer("mask", mask if boolean else mask.double())
    rewritten(plain_attention, net, tokens, fires=1)


def test_a_boolean_mask_that_is_computed_is_left(tokens: Tensor) -> None:
    net = Of(lambda m, x: F.scaled_dot_product_attention(x, x, x, attn_mask=(x @ x.transpose(1, 2)) > -9))
    rewritten(plain_attention, net, tokens, fires=0)


# Padding


@pytest.mark.parametrize("options", [{"padding": "same"}, {"padding": "same", "dilation": 2},
                                     {"padding": "valid", "stride": 2}])  # fmt: skip
def test_padding_in_words_becomes_numbers(picture: Tensor, options: dict) -> None:
    graph = rewritten(numbered_padding, nn.Conv2d(4, 6, 3, **options), picture, fires=1)
    assert count(graph, "conv2d.padding") == 0


def test_an_even_kernel_is_left(picture: Tensor) -> None:
    with pytest.warns(UserWarning, match="even kernel"):
        rewritten(numbered_padding, nn.Conv2d(4, 6, 4, padding="same"), picture, fires=0)


# Pieces


def qkv(cut):
    def forward(m: nn.Module, x: Tensor) -> Tensor:
        batch, length, _ = x.shape
        q, k, v = cut(m.qkv(x).reshape(batch, length, 3, HEADS, D // HEADS).permute(2, 0, 3, 1, 4))
        return torch.softmax(q @ k.transpose(-2, -1), -1) @ v

    return Of(forward, qkv=nn.Linear(D, 3 * D))


@pytest.mark.parametrize("cut", [lambda y: y.unbind(0), lambda y: (y[0], y[1], y[-1])])
def test_pieces_are_cut_before_they_are_rearranged(tokens: Tensor, cut) -> None:
    graph = rewritten(pieces_first, qkv(cut), tokens, fires=1)
    assert max(n.meta["val"].ndim for n in graph.graph.nodes if isinstance(n.meta.get("val"), Tensor)) == 4


def test_pieces_without_a_permutation(tokens: Tensor) -> None:
    net = Of(lambda m, x: torch.stack(m.p(x).reshape(2, 6, 4, D // 2).unbind(2)).sum(0), p=nn.Linear(D, 2 * D))
    rewritten(pieces_first, net, tokens, fires=1)


@pytest.mark.parametrize(
    "net",
    [
        Of(lambda m, x: sum(x.reshape(2, 6, 2, D // 2).unbind(3))),  # another axis than the new one
        Of(lambda m, x: sum(x.reshape(2, 3, 2, D).unbind(2))),  # cut from another axis
        Of(lambda m, x: (y := x.reshape(2, 6, 2, D // 2))[:, :, 0] + y.sum(2)),  # something else reads it
    ],
)
def test_other_cuts_are_left(tokens: Tensor, net: nn.Module) -> None:
    rewritten(pieces_first, net, tokens, fires=0)


# What a convolution in groups writes cannot be centred by its weights


@pytest.mark.parametrize(("groups", "fires"), [(1, 1), (4, 0), (2, 0)])
def test_a_stream_from_a_grouped_convolution_is_not_centred(picture: Tensor, groups: int, fires: int) -> None:
    net = Of(lambda m, x: m.n(m.c(x).permute(0, 2, 3, 1)), c=nn.Conv2d(4, 4, 3, padding=1, groups=groups),
             n=nn.LayerNorm(4))  # fmt: skip
    rewritten(zero_mean_streams, net, picture, fires=fires)
