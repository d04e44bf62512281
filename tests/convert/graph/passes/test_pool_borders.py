"""Maximum pools get their border beforehand, of zeros only where nothing is negative."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from convert._graph.passes import pool_borders
from tests.convert._rewriting import Of, count, file_of_pass, rewritten

_pool_borders = file_of_pass(pool_borders)


@pytest.mark.parametrize("before", [F.relu, torch.tanh], ids=["zeros", "edges"])
@pytest.mark.parametrize(
    ("side", "kernel", "stride", "padding", "ceiling"),
    [
        ((8, 6), 3, 2, 1, False),
        ((8, 6), 3, 2, 1, True),
        ((9, 6), 5, 2, 2, False),
        ((9, 7), (3, 2), (2, 3), (1, 1), False),
        ((7, 10), 4, 3, 2, True),
        ((7, 8), 4, 1, 2, False),
        ((9, 8), 5, 4, 0, True),
    ],
)
def test_a_border_of_zeros_or_edges(before, side, kernel, stride, padding, ceiling):
    x = torch.randn(2, 3, *side, dtype=torch.float64, generator=torch.Generator().manual_seed(2)) - 1
    net = Of(lambda m, x: F.max_pool2d(before(x), kernel, stride, padding, ceil_mode=ceiling))
    graph = rewritten(pool_borders, net, x, fires=1)
    assert count(graph, "aten.pad") == (before is F.relu) and count(graph, "cat") in (
        {0} if before is F.relu else {1, 2}
    )
    (pool,) = graph.graph.find_nodes(op="call_function", target=torch.ops.aten.max_pool2d.default)
    assert len(pool.args) == 3  # no border and no ceiling left


@pytest.mark.parametrize(
    "forward",
    [
        lambda m, x: F.max_pool2d(x, 2),
        lambda m, x: F.max_pool2d(x, 5, 1, 2),  # SAME
        lambda m, x: F.max_pool2d(x[:, :, 1:, 1:], 3, 2, 1),  # SAME on odd sides
        lambda m, x: F.max_pool2d(x, 3, 2, ceil_mode=True),  # SAME
        lambda m, x: F.max_pool2d(x, 2, 1, 1, dilation=2),
        lambda m, x: F.avg_pool2d(x, 3, 2, 1),
    ],
)
def test_pools_that_need_no_border_stay(picture, forward):
    rewritten(pool_borders, Of(forward), picture, fires=0)


@pytest.mark.parametrize(
    ("forward", "zeros"),
    [
        (lambda x: F.hardtanh(x, 0.0, 4.0), True),
        (lambda x: F.hardtanh(x), False),
        (lambda x: x.clamp(min=0.1).flatten(2).reshape(x.shape), True),
        (lambda x: x.clamp(max=1), False),
        (lambda x: torch.cat([x.abs(), x.sigmoid()], 1), True),
        (lambda x: torch.cat([x.abs(), x], 1), False),
        (lambda x: F.relu(x) - 1, False),
    ],
)
def test_zeros_only_where_nothing_is_negative(picture, forward, zeros):
    graph = rewritten(pool_borders, Of(lambda m, x: F.max_pool2d(forward(x), 3, 2, 1)), picture, fires=1)
    assert count(graph, "aten.pad") == zeros


def test_zeros_beside_negative_values_would_be_noticed(picture, monkeypatch):
    monkeypatch.setattr(_pool_borders, "never_negative", lambda node: True)
    with pytest.raises(AssertionError):
        rewritten(pool_borders, Of(lambda m, x: F.max_pool2d(x - 3, 3, 2, 1)), picture, fires=1)
