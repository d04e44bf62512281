"""Adaptive pools become products with constant matrices."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from convert._graph.passes import pooling_matrices
from tests.convert._rewriting import count, file_of_pass, rewritten

_pooling_matrices = file_of_pass(pooling_matrices)


def square_map(side: int, height: int | None = None) -> torch.Tensor:
    generator = torch.Generator().manual_seed(2)
    return torch.randn(2, 3, height or side, side, dtype=torch.float64, generator=generator)


@pytest.mark.parametrize("side", [1, 7, 8, 16])
def test_global_pool_is_a_mean(side):
    graph = rewritten(pooling_matrices, nn.AdaptiveAvgPool2d(1), square_map(side), fires=1)
    assert count(graph, "adaptive") == 0 and count(graph, "aten.mean") == 1


@pytest.mark.parametrize(("side", "output"), [(8, 4), (9, 3), (15, 5), (5, 5)])
def test_divisible_pool_is_a_plain_one(side, output):
    graph = rewritten(pooling_matrices, nn.AdaptiveAvgPool2d(output), square_map(side), fires=1)
    assert count(graph, "adaptive", "matmul") == 0 and count(graph, "aten.avg_pool2d") == 1


@pytest.mark.parametrize(
    ("side", "output"), [(8, 3), (8, 5), (7, 3), (7, 5), (16, 3), (3, 5), (1, 3), (32, 5)], ids=lambda n: str(n)
)
def test_other_pools_are_one_matrix_product(side, output):
    graph = rewritten(pooling_matrices, nn.AdaptiveAvgPool2d(output), square_map(side), fires=1)
    assert count(graph, "adaptive") == 0 and count(graph, "matmul") == 1


@pytest.mark.parametrize(
    ("output", "height"), [((3, 5), 7), ((4, 3), 8), ((3, 4), 6), ((1, 3), 8), ((3, 1), 7), ((None, 3), 6)]
)
def test_sides_that_differ(output, height):
    rewritten(pooling_matrices, nn.AdaptiveAvgPool2d(output), square_map(8, height), fires=1)


@pytest.mark.parametrize(("length", "bins"), [(8, 3), (8, 5), (7, 3), (3, 5), (6, 6), (1, 1)])
def test_bins_by_hand(length, bins):
    """Bin i is the mean of the rows from floor(iL/n) up to, not with, ceil((i+1)L/n)."""
    rows = torch.randn(length, dtype=torch.float64)
    expected = [rows[i * length // bins : -((i + 1) * length // -bins)].mean() for i in range(bins)]
    assert (_pooling_matrices.bins(length, bins) @ rows - torch.stack(expected)).abs().max() <= 1e-12


def test_pool_without_a_batch_axis_is_left():
    graph = rewritten(pooling_matrices, nn.AdaptiveAvgPool2d(3), square_map(8)[0], fires=0)
    assert count(graph, "adaptive") == 1


def test_other_pools_are_left():
    net = nn.Sequential(nn.AvgPool2d(2), nn.AdaptiveMaxPool2d(3))
    rewritten(pooling_matrices, net, square_map(8), fires=0)


def test_a_wrong_pool_is_noticed(monkeypatch):
    """Bins of equal width, without the overlap: the comparison sees it."""
    equal = torch.tensor([[1.0] * 3 + [0] * 5, [0] * 3 + [1] * 3 + [0] * 2, [0] * 6 + [1] * 2], dtype=torch.float64)
    monkeypatch.setattr(_pooling_matrices, "bins", lambda length, count: equal / equal.sum(1, keepdim=True))
    with pytest.raises(AssertionError):
        rewritten(pooling_matrices, nn.AdaptiveAvgPool2d(3), square_map(8), fires=1)
