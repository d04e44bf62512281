"""Attention that hides places hides them whatever their scores are."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from convert._graph.passes import masked_attention, spell_out
from tests.convert._rewriting import Of, count, file_of_pass, rewritten

_masked_scores = file_of_pass(spell_out).attention.__globals__
TOKENS = torch.randn(1, 2, 6, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
SOME = torch.rand(6, 6, generator=torch.Generator().manual_seed(1)) > 0.5


def causal(m, x: Tensor) -> Tensor:
    """Scores of some 1e5, those of hidden places among the largest."""
    return F.scaled_dot_product_attention(300 * x, 300 * x, x, is_causal=True)


def masked(mask: Tensor, size: float = 300.0):
    return lambda m, x: F.scaled_dot_product_attention(size * x, size * x, x, attn_mask=mask)


CASES = {
    "causal": causal,
    "more keys than queries": lambda m, x: F.scaled_dot_product_attention(x[:, :, :4], x, x, is_causal=True),
    "small scores": masked(SOME | torch.eye(6).bool(), 0.1),
    "large scores": masked(SOME | torch.eye(6).bool()),
    "a row that sees nothing": masked(SOME & (torch.arange(6) != 2)[:, None], 1.0),
    "for each head": masked((torch.stack([SOME, ~SOME]) | torch.eye(6).bool())[None]),
    "a scale of its own": lambda m, x: F.scaled_dot_product_attention(x, x, x, is_causal=True, scale=0.3),
}


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("rewrite", [spell_out, masked_attention], ids=lambda f: f.__name__)
def test_hidden_places_are_hidden(rewrite, name):
    graph = rewritten(rewrite, Of(CASES[name]), TOKENS, fires=1)
    assert count(graph, "scaled_dot") == 0 and count(graph, "softmax") == 1
    assert all(
        value.abs().max() <= 104 for value in graph.buffers() if value.is_floating_point()
    )  # nothing that half precision cannot hold


def test_a_mask_that_is_computed():
    net = Of(lambda m, x: F.scaled_dot_product_attention(300 * x, x, x, attn_mask=x @ x.transpose(2, 3) > 1))
    rewritten(masked_attention, net, TOKENS, fires=1)
    rewritten(spell_out, net, TOKENS, fires=0)


def test_masks_of_numbers_are_added_as_they_are():
    number = torch.randn(6, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    graph = rewritten(spell_out, Of(masked(number)), TOKENS, fires=1)
    assert count(graph, "amin") == 0
    rewritten(masked_attention, Of(masked(number)), TOKENS, fires=0)


def test_a_number_that_hides_too_little_is_noticed(monkeypatch):
    monkeypatch.setitem(_masked_scores, "HIDDEN", -1.0)
    with pytest.raises(AssertionError):
        rewritten(spell_out, Of(CASES["small scores"]), TOKENS, fires=1)
