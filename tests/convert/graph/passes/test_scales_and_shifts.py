"""Constant factors and terms go into the weights and biases beside them."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from convert._graph.passes import fold_scales, fold_shifts
from tests.convert._rewriting import D, Of, count, file_of_pass, rewritten

_fold_scales = file_of_pass(fold_scales)
_fold_shifts = file_of_pass(fold_shifts)


@pytest.mark.parametrize(
    "forward",
    [
        lambda m, x: m.a(x) * 0.3,
        lambda m, x: 0.3 * m.a(x),
        lambda m, x: m.a(x) / m.vector,
        lambda m, x: m.a(x).reshape(2, 3, 2, D).transpose(1, 2) * 0.3,
        lambda m, x: m.b(x * m.vector),
        lambda m, x: m.qkv(x).chunk(3, -1)[0] * 0.3 + sum(m.qkv(x).chunk(3, -1)),
        lambda m, x: torch.relu(x) @ m.a(x).transpose(1, 2) * 0.3,
    ],
    ids=["after", "number first", "per channel", "behind a rearrangement", "before", "a piece of a split", "a product"],
)
def test_scales_go_into_weights(tokens, forward):
    net = Of(forward, a=nn.Linear(D, D), b=nn.Linear(D, 3), qkv=nn.Linear(D, 3 * D))
    net.register_buffer("vector", torch.rand(D, dtype=torch.float64) + 0.5)
    graph = rewritten(fold_scales, net, tokens, fires=1)
    assert count(graph, "aten.mul", "aten.div") == 0


def test_normalisation_goes_into_the_first_convolution(picture):
    net = Of(lambda m, x: m.c((x - m.mean) / m.std), c=nn.Conv2d(4, 5, 3, padding=1))
    net.register_buffer("mean", torch.rand(1, 4, 1, 1, dtype=torch.float64))
    net.register_buffer("std", torch.rand(1, 4, 1, 1, dtype=torch.float64) + 0.5)
    graph = rewritten(fold_scales, net, picture, fires=1)
    assert count(graph, "div") == 0 and count(graph, "sub") == 1  # the border is padded with zeros, not with -mean


@pytest.mark.parametrize(
    ("forward", "fires"),
    [
        (lambda m, x: m.c((x - m.mean) / m.std), 1),
        (lambda m, x: m.c(m.std * (0.3 + x) + m.mean), 2),
        (lambda m, x: m.g((x - m.mean) / 0.5), 1),
        (lambda m, x: m.c(m.few * x + m.few), 1),
        (lambda m, x: m.l(x.flatten(2) - m.vector), 1),
    ],
    ids=["normalisation", "two in a row", "groups", "lower rank", "linear"],
)
def test_a_shift_goes_into_the_bias(picture, forward, fires):
    layers = {"c": nn.Conv2d(4, 5, 3, bias=False), "g": nn.Conv2d(4, 8, 3, groups=2), "l": nn.Linear(48, 3)}
    net = Of(lambda m, x: forward(m, torch.tanh(x)), **layers)
    for name, shape in (("mean", (1, 4, 1, 1)), ("std", (1, 4, 1, 1)), ("few", (4, 1, 1)), ("vector", (48,))):
        net.register_buffer(name, torch.rand(shape, dtype=torch.float64) + 0.5)
    graph = rewritten(fold_shifts, net, picture, fires=fires)
    assert count(graph, "sub", "add") == 0


@pytest.mark.parametrize(
    "forward",
    [
        lambda m, x: m.p(x - m.mean),
        lambda m, x: m.c(y := x - m.mean) + y.mean(),
        lambda m, x: m.c(F.relu(x - m.mean)),
        lambda m, x: m.c(x + m.places),
        lambda m, x: m.c(m.mean - x),
        lambda m, x: m.c(torch.add(x, m.mean, alpha=2)),
        lambda m, x: m.l(x - m.mean),
        lambda m, x: m.c(x[:, :1] + m.mean),
        lambda m, x: F.conv2d(x - m.mean, x[:, :, :3, :3]),
    ],
    ids=[
        "padding", "read twice", "not linear", "by place", "the other way", "alpha", "not the layer's axis",
        "made wider", "computed kernel",
    ],
)  # fmt: skip
def test_other_shifts_stay(picture, forward):
    net = Of(
        lambda m, x: forward(m, torch.tanh(x)), c=nn.Conv2d(4, 5, 3), p=nn.Conv2d(4, 5, 3, padding=1), l=nn.Linear(6, 4)
    )
    net.register_buffer("mean", torch.rand(1, 4, 1, 1, dtype=torch.float64))
    net.register_buffer("places", torch.rand(1, 1, 8, 6, dtype=torch.float64))
    rewritten(fold_shifts, net, picture, fires=0)


@pytest.mark.parametrize(
    "forward",
    [
        lambda m, x: m.c((x - 0.3) / m.std),
        lambda m, x: m.c((x.transpose(2, 3) / 255 - 0.3) / m.std + 0.1),
        lambda m, x: m.c(m.std * x + 0.1),
    ],
)
def test_the_mean_of_the_picture_stays(picture, forward):
    net = Of(forward, c=nn.Conv2d(4, 5, 3))
    net.register_buffer("std", torch.rand(1, 4, 1, 1, dtype=torch.float64) + 0.5)
    rewritten(fold_shifts, net, picture, fires=0)


def test_a_shift_into_a_padded_layer_would_be_noticed(picture, monkeypatch):
    monkeypatch.setattr(_fold_shifts, "any", lambda padding: False, raising=False)
    net = Of(lambda m, x: m.c(x.tanh() - 0.7), c=nn.Conv2d(4, 5, 3, padding=1))
    with pytest.raises(AssertionError):
        rewritten(fold_shifts, net, picture, fires=1)


@pytest.mark.parametrize(
    "forward",
    [
        lambda m, x: (y := m.a(x)) * 0.3 + y,
        lambda m, x: torch.relu(x) * 0.3,
        lambda m, x: m.a(x) * x,
        lambda m, x: m.a(x) * m.rows,
        lambda m, x: m.a(x).transpose(1, 2) * m.vector6,
    ],
    ids=["read twice", "no layer", "not constant", "per row", "per token"],
)
def test_other_scales_stay(tokens, forward):
    net = Of(forward, a=nn.Linear(D, D))
    net.register_buffer("rows", torch.rand(6, 1, dtype=torch.float64))
    net.register_buffer("vector6", torch.rand(6, dtype=torch.float64))
    rewritten(fold_scales, net, tokens, fires=0)


def test_a_scale_passes_from_a_piece_to_the_convolution_that_made_it(picture):
    """Windows are cut from a convolution's map before queries, keys and values are told apart."""

    def forward(m, x):
        y = m.qkv(x).permute(0, 2, 3, 1)
        y = y.reshape(len(y), 2, -1, *y.shape[2:]).transpose(1, 2)
        q, k, v = y.reshape(*y.shape[:3], -1, 12).chunk(3, -1)
        return torch.cat([q * 0.3, k, v], -1)

    graph = rewritten(fold_scales, Of(forward, qkv=nn.Conv2d(4, 12, 1)), picture, fires=1)
    assert count(graph, "aten.mul") == 0


@pytest.mark.parametrize("cut", [1, 2])
def test_a_scale_of_a_piece_along_another_axis_stays(picture, cut):
    net = Of(lambda m, x: m.c(x).chunk(2, cut + 1)[0] * 0.3, c=nn.Conv2d(4, 12, 1))
    rewritten(fold_scales, net, picture, fires=0)


def test_a_scale_of_the_wrong_rows_is_noticed(tokens, monkeypatch):
    def forward(m, x):
        q, k, v = m.qkv(x).chunk(3, -1)
        return torch.cat([q * 0.3, k, v], -1)

    scale = _fold_scales.scale_layer
    monkeypatch.setattr(_fold_scales, "scale_layer", lambda graph, layer, factor, _: scale(graph, layer, factor, None))
    with pytest.raises(AssertionError):
        rewritten(fold_scales, Of(forward, qkv=nn.Linear(D, 3 * D)), tokens, fires=1)
