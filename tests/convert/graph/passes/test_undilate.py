"""Convolutions without their dilation compute the same, for the Neural Engine; others are left as they are."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from convert._graph.passes import undilate
from tests.convert._rewriting import Of, count, rewritten

DEPTHWISE = {
    "one side": {"dilation": (1, 3), "padding": (1, 3)},
    "both": {"dilation": 2, "padding": 2},
    "no border": {"dilation": 2},
    "same": {"dilation": 3, "padding": "same"},
    "valid": {"dilation": (2, 1), "padding": "valid"},
    "no bias": {"dilation": 2, "padding": 1, "bias": False},
}


@pytest.mark.parametrize("options", DEPTHWISE.values(), ids=list(DEPTHWISE))
def test_a_small_depthwise_one_gets_zeros_in_its_gaps(x, options):
    net = nn.Sequential(nn.Conv2d(4, 4, 3, groups=4, **options), nn.ReLU())
    graph = rewritten(undilate, net, x, fires=1)
    assert count(graph, "conv2d") == 1 and count(graph, "slice", "pad") == 0


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel:UserWarning")
def test_same_with_an_even_kernel_has_its_larger_border_behind(x):
    net = nn.Conv2d(4, 4, 2, groups=4, dilation=3, padding="same")
    assert count(rewritten(undilate, net, x, fires=1), "pad") == 1


WIDE = {
    "both": ({"dilation": 4, "padding": 4}, 9),
    "rows that see nothing but the border": ({"dilation": (9, 3), "padding": (9, 3)}, 3),
    "a corner": ({"dilation": 6, "padding": 6}, 9),
    "no border": ({"dilation": (4, 1)}, 9),
    "no bias": ({"dilation": 5, "padding": 5, "bias": False}, 9),
    "same": ({"dilation": 4, "padding": "same"}, 9),
}


@pytest.mark.parametrize(("options", "places"), WIDE.values(), ids=list(WIDE))
def test_a_wide_depthwise_one_is_cut_by_place(x, options, places):
    net = nn.Sequential(nn.Conv2d(4, 4, 3, groups=4, **options), nn.ReLU())
    graph = rewritten(undilate, net, x, fires=1)
    assert count(graph, "conv2d") == 0 and count(graph, "mul") == places


@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("bias", [True, False])
def test_a_dense_one_becomes_small_ones(x, groups, bias):
    net = nn.Conv2d(4, 6, 3, groups=groups, dilation=(2, 3), padding=(2, 3), bias=bias)
    graph = rewritten(undilate, net, x, fires=1)
    kernels = [tuple(one.shape[2:]) for name, one in graph.state_dict().items() if "place" in name]
    assert count(graph, "conv2d") == 9 and kernels == [(1, 1)] * 9


def test_more_outputs_than_inputs_is_not_depthwise(x):
    net = nn.Conv2d(4, 8, 3, groups=4, dilation=2, padding=2)
    assert count(rewritten(undilate, net, x, fires=1), "conv2d") == 9


@pytest.mark.parametrize(
    "conv",
    [
        nn.Conv2d(4, 4, 3, padding=1),
        nn.Conv2d(4, 4, 3, padding="same"),
        nn.Conv2d(4, 4, 3, stride=2, dilation=2),
        nn.Conv2d(4, 4, 1),
    ],
    ids=["plain", "same", "strided", "1x1"],
)
def test_others_are_left_alone(x, conv):
    assert count(rewritten(undilate, conv, x, fires=0), "conv2d") == 1


def test_a_kernel_that_is_computed_is_left_alone(x):
    net = Of(lambda self, x: torch.conv2d(x, self.conv.weight * x.mean(), None, 1, 2, 2), conv=nn.Conv2d(4, 4, 3))
    rewritten(undilate, net, x, fires=0)
