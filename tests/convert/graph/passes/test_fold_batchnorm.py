"""Batch norm goes into the convolution before it, where that computes the same and nowhere else."""

from __future__ import annotations

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from convert._graph.graph import trace
from convert._graph.passes import fold_batchnorm
from tests.convert._rewriting import count, rewritten, settled


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
    monkeypatch.setattr(torch, "sqrt", lambda v: (v - 1e-3).sqrt())
    with pytest.raises(AssertionError):
        rewritten(fold_batchnorm, nn.Sequential(nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4, eps=1e-3)), x, fires=1)
