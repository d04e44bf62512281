"""Chains of reshapes and transposes shrink, and stay within rank four."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from convert._graph.graph import trace
from convert._graph.passes import rearrange
from tests.convert._rewriting import Of, count, file_of_pass, ranks, rewritten

_rearrange = file_of_pass(rearrange)


def patches(m: nn.Module, x: Tensor) -> Tensor:
    """The pixels at one place of every 2x2 patch as one sequence, and back: rank 6 both ways."""
    n, c, h, w = x.shape
    y = x.reshape(n, c, h // 2, 2, w // 2, 2).permute(0, 3, 5, 2, 4, 1).reshape(n * 4, -1, c)
    y = torch.tanh(y)
    return y.reshape(n, 2, 2, h // 2, w // 2, c).permute(0, 5, 3, 1, 4, 2).reshape(n, c, h, w)


def test_patches_stay_within_rank_four(picture):
    graph = rewritten(rearrange, Of(patches), picture, fires=2)
    assert ranks(graph) == 4


@pytest.mark.parametrize(
    ("forward", "left"),
    [
        (lambda m, x: x.permute(0, 2, 3, 1).permute(0, 3, 1, 2) + 1, 0),
        (lambda m, x: x.flatten(2).unsqueeze(1).squeeze(1).reshape(2, 4, 8, 6) + 1, 0),
        (lambda m, x: x.transpose(1, 2).transpose(2, 3).transpose(1, 2) + 1, 1),
        (lambda m, x: x.reshape(2, 4, 48).transpose(1, 2).reshape(2, 8, 6, 4).permute(0, 3, 1, 2) + 1, 0),
        (lambda m, x: x.reshape(2, 2, 2, 8, 6).permute(0, 2, 1, 3, 4).reshape(2, 4, 8, 6) + 1, 3),  # channel shuffle
    ],
    ids=["there and back", "reshapes alone", "three swaps", "to tokens and back", "channel shuffle"],
)
def test_chains_shrink(picture, forward, left):
    graph = rewritten(rearrange, Of(forward), picture, fires=1)
    assert count(graph, "reshape", "permute", "transpose", "flatten", "squeeze") == left and ranks(graph) <= 4


@pytest.mark.parametrize(
    "forward",
    [
        lambda m, x: x.permute(0, 2, 3, 1) + 1,
        lambda m, x: x.reshape(2, 6, 32).transpose(1, 2).reshape(2, 4, 8, 6) * 2,  # cuts across channels and rows
        lambda m, x: (y := x.transpose(1, 2)) + y.reshape(2, 4, 8, 6).sum(),
    ],
    ids=["one transpose", "across atoms", "read in between"],
)
def test_other_chains_stay(picture, forward):
    rewritten(rearrange, Of(forward), picture, fires=0)


@pytest.mark.parametrize("seed", range(20))
def test_any_permutation_of_six_axes(seed):
    """Random shapes and orders, against NumPy's own transpose."""
    generator = torch.Generator().manual_seed(seed)
    shape = [int(n) for n in torch.randint(1, 4, (6,), generator=generator)]
    order = torch.randperm(6, generator=generator).tolist()
    x = torch.randn(shape, dtype=torch.float64, generator=generator).flatten()
    net = Of(lambda m, v: v.reshape(shape).permute(order).flatten() * 1.5)
    new, _ = rearrange(trace(net, x))
    assert ranks(new) <= 4
    expected = x.numpy().reshape(shape).transpose(order).ravel() * 1.5
    assert (new(x).numpy() == expected).all()


def test_a_wrong_step_is_noticed(picture, monkeypatch):
    steps = _rearrange.steps_between
    monkeypatch.setattr(_rearrange, "steps_between", lambda sizes, order: steps(sizes, order)[:1])
    with pytest.raises((AssertionError, RuntimeError)):
        rewritten(rearrange, Of(patches), picture, fires=2)
