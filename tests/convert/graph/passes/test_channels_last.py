"""Maps are moved to channels last once, and everything that reads them follows."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from convert._graph.passes import channels_last, rearrange, rewrite, spell_out
from tests.convert._rewriting import Of, count, rewritten


class Conv(nn.Module):
    """What a convolutional network has, in one."""

    def __init__(self) -> None:
        super().__init__()
        self.a = nn.Conv2d(4, 6, 3, stride=2, padding=1)
        self.b = nn.Conv2d(6, 6, 3, padding=1, groups=6, bias=False)
        self.c = nn.Conv2d(12, 5, 1)

    def forward(self, x: Tensor) -> Tensor:
        y = F.silu(self.a(x))
        z = y * torch.sigmoid(y.mean((2, 3), keepdim=True)) + F.hardswish(self.b(y))
        z = F.max_pool2d(torch.cat([z, F.interpolate(F.avg_pool2d(z, 1), size=z.shape[2:])], 1), 3, 2, 1)
        one, two = self.c(z).split([2, 3], 1)
        return torch.cat([two, one], 1)[:, 1:].mean((2, 3))


def test_maps_move_once(picture):
    """One transpose at the beginning; what the last mean leaves is in no layout any more."""

    def run(graph):
        graph, _ = rewrite(graph, (channels_last, rearrange))
        return graph, 0

    graph = rewritten(run, Conv(), picture, fires=0)
    assert count(graph, "aten.conv2d", "aten.max_pool2d", "aten.avg_pool2d", "upsample") == 0
    assert count(graph, "permute") == 1


@pytest.mark.parametrize("shape", [(4, 1, 1), (6,), (8, 6), (4, 8, 6), (1,)], ids=str)
def test_a_constant_of_lower_rank_is_permuted_here(picture, shape):
    """A vector of 6 goes along the width, which is not the last axis any more."""
    net = Of(lambda m, x: (m.few * m.c(x)).mean((2, 3)), c=nn.Conv2d(4, 4, 1))
    net.register_buffer("few", torch.randn(shape, dtype=torch.float64))
    graph = rewritten(channels_last, net, picture, fires=3)
    assert count(graph, "permute") == 1


def test_a_value_of_lower_rank_gets_axes_of_length_one(picture):
    net = Of(lambda m, x: m.c(x) * torch.sigmoid(x).mean((0, 1)), c=nn.Conv2d(4, 4, 1))
    rewritten(channels_last, net, picture, fires=2)


def test_a_map_of_lower_rank_than_the_result_is_left(picture):
    rewritten(channels_last, Of(lambda m, x: m.c(x) + x.unsqueeze(0), c=nn.Conv2d(4, 4, 1)), picture, fires=1)


def test_the_networks_own_transpose_makes_a_map():
    """An image comes channels last; nothing of it is transposed, normalisation in front of the convolution or not."""

    def forward(m, image):
        x = image.permute(0, 3, 1, 2)
        return m.c(((x / 255) - m.mean) / m.std).mean((2, 3))

    net = Of(forward, c=nn.Conv2d(4, 5, 3, padding=1))
    net.register_buffer("mean", torch.rand(1, 4, 1, 1, dtype=torch.float64))
    net.register_buffer("std", torch.rand(4, 1, 1, dtype=torch.float64) + 0.5)
    x = torch.randn(2, 8, 6, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    graph = rewritten(channels_last, net, x, fires=5)
    assert count(graph, "permute") == 0


@pytest.mark.parametrize(
    ("forward", "fires"),
    [
        (lambda m, x: (y := m.c(x)).permute(0, 3, 1, 2).tanh() + y.mean(), 1),  # rotates a map that has a twin
        (lambda m, x: x.permute(0, 3, 2, 1).tanh(), 0),
        (lambda m, x: x.permute(0, 3, 1, 2).tanh() * x.permute(0, 3, 1, 2), 2),
        (lambda m, x: x.permute(0, 3, 1, 2).reshape(2, -1) + x.reshape(2, -1), 0),
    ],
    ids=["of a map", "another order", "twice", "read as it is"],
)
def test_other_transposes_stay_what_they_are(picture, forward, fires):
    rewritten(channels_last, Of(forward, c=nn.Conv2d(4, 4, 1)), picture, fires=fires)


@pytest.mark.parametrize(
    ("forward", "permutes"),
    [
        (lambda y: y.mean((2, 3)), 1),
        (lambda y: y.sum(1) + y.amax(1), 1),
        (lambda y: y.mean((1, 2)), 1),
        (lambda y: y.amin(2), 2),
        (lambda y: y.mean(-1).tanh(), 2),
        (lambda y: y[:, 1], 1),
        (lambda y: y[:, :, 2], 2),
        (lambda y: y[1], 2),
        (lambda y: y.mean((0, 1)), 2),
        (lambda y: y.mean((0, 2), keepdim=True), 2),
        (lambda y: F.pad(y, (1, 0, 0, 2, 3, 1)), 2),
        (lambda y: y.mean(1, keepdim=True).expand(-1, 3, -1, -1), 2),
        (lambda y: torch.index_select(y, 1, torch.tensor([2, 0])), 2),
        (lambda y: y.flatten(2).mean(2), 1),
    ],
)  # fmt: skip
def test_axes_go_where_they_are(picture, forward, permutes):
    """Two transposes where a map goes in and a map comes out, one where no map is left."""
    net = Of(lambda m, x: forward(m.c(x)) * 2.5, c=nn.Conv2d(4, 5, 1))

    def run(graph):
        return channels_last(spell_out(graph)[0])[0], 0

    graph = rewritten(run, net, picture, fires=0)
    assert count(graph, "permute") == permutes


@pytest.mark.parametrize(
    "options", [{"ceil_mode": True, "padding": 1}, {"padding": 1}, {"divisor_override": 3}], ids=str
)
def test_odd_windows_are_left(picture, options):
    rewritten(channels_last, Of(lambda m, x: F.avg_pool2d(x, 3, 2, **options)), picture, fires=0)


def test_options_by_name_move_along(picture):
    net = Of(lambda m, x: torch.add(F.gelu(m.c(x), approximate="tanh"), m.c(x), alpha=0.3), c=nn.Conv2d(4, 4, 1))
    rewritten(channels_last, net, picture, fires=4)


@pytest.mark.parametrize(("options", "fires"), [({"size": (5, 9)}, 1), ({"scale_factor": 1.3}, 0)])
@pytest.mark.parametrize("mode", ["nearest", "nearest-exact", "bilinear"])
def test_a_resize_by_a_factor_is_left(picture, mode, options, fires):
    """Torch then reads at places that the sizes alone do not give; `resizes` has rewritten it before."""
    net = Of(lambda m, x: F.interpolate(x, mode=mode, **options))
    rewritten(channels_last, net, picture, fires=fires)
