"""Graph rewrites: they fire where they should, nowhere else, and what comes out computes the same."""

from __future__ import annotations

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from convert._graph import trace
from convert._passes import (
    HALF_PASSES,
    PASSES,
    _fold_batchnorm,
    _linear_as_convolution,
    _pooling_matrices,
    fold_batchnorm,
    linear_as_convolution,
    pooling_matrices,
    rewrite,
)
from edge.models import create_model
from tests.convert._rewriting import Of, count, rewritten, settled


@pytest.fixture
def x() -> torch.Tensor:
    return torch.randn(2, 4, 9, 7, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


# Batch norm


@pytest.mark.parametrize(
    "conv",
    [
        nn.Conv2d(4, 8, 3, bias=False),
        nn.Conv2d(4, 8, 3, bias=True),
        nn.Conv2d(4, 8, 3, stride=2, padding=1, bias=False),
        nn.Conv2d(4, 8, 3, dilation=2, padding=(2, 1), bias=True),
        nn.Conv2d(4, 8, 1, groups=2, bias=True),
        nn.Conv2d(4, 4, 3, groups=4, padding=1, bias=False),
    ],
    ids=["no bias", "bias", "stride", "dilation", "groups", "depthwise"],
)
@pytest.mark.parametrize("affine", [True, False])
def test_folds(x, conv, affine):
    net = nn.Sequential(conv, nn.BatchNorm2d(conv.out_channels, eps=1e-3, affine=affine), nn.SiLU())
    graph = rewritten(fold_batchnorm, net, x, fires=1)
    assert count(graph, "batch_norm") == 0 and count(graph, "conv2d") == 1


def test_folds_a_chain(x):
    units = [nn.Sequential(nn.Conv2d(4, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4), nn.ReLU()) for _ in range(3)]
    assert count(rewritten(fold_batchnorm, nn.Sequential(*units), x, fires=3), "batch_norm") == 0


def test_folds_shared_convolution_weights(x):
    """Two norms after two calls of one convolution: each gets weights of its own."""

    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.a, self.b = nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4), nn.BatchNorm2d(4)

        def forward(self, x):
            return self.b(self.conv(self.a(self.conv(x))))

    rewritten(fold_batchnorm, Twice(), x, fires=2)


def test_folds_in_double_precision(x):
    """A float32 net is folded in float64 and rounded once: no further off than one rounding of each weight."""
    net = settled(nn.Sequential(nn.Conv2d(4, 8, 3), nn.BatchNorm2d(8)))
    exact = net(x)
    scale = net[1].weight / torch.sqrt(net[1].running_var + net[1].eps)
    kernel = (net[0].weight * scale.reshape(-1, 1, 1, 1)).float()
    graph, _ = fold_batchnorm(trace(copy.deepcopy(net).float(), x.float()))
    folded = [t for name, t in graph.state_dict().items() if t.shape == kernel.shape]
    assert (graph(x.float()).double() - exact).abs().max() < 1e-5
    assert any((t - kernel).abs().max() <= 2 * torch.finfo(torch.float32).eps * kernel.abs().max() for t in folded)


class TwoReaders(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.norm = nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4)

    def forward(self, x):
        y = self.conv(x)
        return self.norm(y) + y


class TrainingForm(nn.Module):
    """Normalises with the batch's own mean, whatever the mode; the running one is there and is not what counts."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(4, 4, 1)
        self.register_buffer("mean", torch.full((4,), 3.0))
        self.register_buffer("variance", torch.full((4,), 7.0))

    def forward(self, x):
        return F.batch_norm(self.conv(x), self.mean, self.variance, training=True, momentum=0.0)


class NoStatistics(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(4, 4, 1)

    def forward(self, x):
        return F.batch_norm(self.conv(x), None, None, training=True)


class ComputedKernel(nn.Module):
    """A kernel that depends on the input cannot be folded ahead of time."""

    def __init__(self):
        super().__init__()
        self.norm = nn.BatchNorm2d(4)

    def forward(self, x):
        return self.norm(F.conv2d(x, x.mean(dim=(0, 2, 3)).diag().reshape(4, 4, 1, 1)))


class NormFirst(nn.Sequential):
    def __init__(self):
        super().__init__(nn.BatchNorm2d(4), nn.Conv2d(4, 4, 1))


class AfterActivation(nn.Sequential):
    def __init__(self):
        super().__init__(nn.Conv2d(4, 4, 1), nn.ReLU(), nn.BatchNorm2d(4))


class ConvIsAnOutputToo(TwoReaders):
    def forward(self, x):
        y = self.conv(x)
        return torch.cat([self.norm(y), y])


@pytest.mark.parametrize(
    "net",
    [
        TwoReaders,
        ConvIsAnOutputToo,
        TrainingForm,
        NoStatistics,
        ComputedKernel,
        NormFirst,
        AfterActivation,
    ],
    ids=lambda net: net.__name__,
)
def test_does_not_fold(x, net):
    graph = rewritten(fold_batchnorm, net(), x, fires=0)
    assert count(graph, "batch_norm") == 1


def test_folds_one_and_leaves_the_other(x):
    net = nn.Sequential(TwoReaders(), nn.Conv2d(4, 2, 1), nn.BatchNorm2d(2))
    assert count(rewritten(fold_batchnorm, net, x, fires=1), "batch_norm") == 1


def test_a_wrong_fold_is_noticed(x, monkeypatch):
    """eps forgotten, as it easily is: the comparison sees it."""
    monkeypatch.setattr(_fold_batchnorm.torch, "sqrt", lambda v: (v - 1e-3).sqrt())
    with pytest.raises(AssertionError):
        rewritten(fold_batchnorm, nn.Sequential(nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4, eps=1e-3)), x, fires=1)


# Adaptive pools


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


# The whole network


@pytest.mark.parametrize("side", [64, 96])
def test_hierattn(side):
    """Every batch norm and every adaptive pool is gone, and the network is the same function."""
    net = create_model("hierattn_xs")
    norms = sum(isinstance(module, nn.BatchNorm2d) for module in net.modules())
    x = torch.rand(1, 3, side, side, dtype=torch.float64, generator=torch.Generator().manual_seed(3))

    def all_passes(graph):
        graph, fired = rewrite(graph, PASSES)
        expected = {
            "drop_identities": 10,
            "sum_factors": 0,
            "fold_constants": 0,
            "fold_batchnorm": norms,
            "pooling_matrices": 12,
        }
        assert fired == expected  # four pools in each of three stages
        return graph, sum(fired.values())

    graph = rewritten(all_passes, net, x, fires=10 + norms + 12)
    assert count(graph, "batch_norm", "adaptive", "dropout") == 0
    assert not [name for name, _ in graph.named_buffers() if "running" in name]  # nothing unused goes into the file


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("shape", [(5,), (3, 5), (1, 7, 5), (2, 3, 4, 5)])
def test_linear_layers_are_convolutions(shape, bias):
    module = Of(lambda m, x: m.layer(x), layer=nn.Linear(5, 6, bias=bias))
    new = rewritten(linear_as_convolution, module, torch.randn(shape, dtype=torch.float64), fires=1)
    assert count(new, "linear") == 0 and count(new, "conv2d") == 1
    (convolution,) = new.graph.find_nodes(op="call_function", target=torch.ops.aten.conv2d.default)
    assert convolution.meta["module"] == "layer"


def test_a_layer_that_is_used_twice_is_two_convolutions():
    module = Of(lambda m, x: m.layer(m.layer(x)), layer=nn.Linear(5, 5))
    new = rewritten(linear_as_convolution, module, torch.randn(2, 5, dtype=torch.float64), fires=2)
    assert count(new, "linear") == 0


def test_a_computed_weight_is_left():
    module = Of(lambda m, x: F.linear(x, x), layer=nn.Identity())
    rewritten(linear_as_convolution, module, torch.randn(3, 5, dtype=torch.float64), fires=0)


def test_a_wrong_convolution_is_noticed(monkeypatch):
    monkeypatch.setattr(_linear_as_convolution, "add_constant", lambda g, n, v: _add_twice(g, n, v))
    module = Of(lambda m, x: m.layer(x), layer=nn.Linear(5, 6))
    with pytest.raises(AssertionError):
        rewritten(linear_as_convolution, module, torch.randn(3, 5, dtype=torch.float64), fires=1)


def _add_twice(graph, name, value):
    return _pooling_matrices.add_constant(graph, name, 2 * value)


def test_half_precision_asks_for_convolutions():
    graph, fired = rewrite(trace(settled(create_model("hierattn_xs")), torch.rand(1, 3, 64, 64).double()), HALF_PASSES)
    assert fired["linear_as_convolution"] > 30 and count(graph, "linear") == 0
