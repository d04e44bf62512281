"""Norms, patches, activations, reductions and moves without an operator become what files have, and compute alike."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from convert._graph.graph import trace
from convert._graph.passes import (
    careful_reductions,
    group_norms,
    near_zero,
    norms_by_axis,
    overlapping_patches,
    patches,
    plain_activations,
    plain_angles,
    plain_diagonals,
    plain_moves,
    plain_padding,
    plain_reductions,
)
from edge.errors import InputError
from tests.convert._rewriting import Of, count, file_of_pass, rewritten


def group_norm(groups: int, channels: int = 4, **options) -> nn.GroupNorm:
    norm = nn.GroupNorm(groups, channels, **options)
    if norm.affine:
        nn.init.normal_(norm.weight)
        nn.init.normal_(norm.bias)
    return norm


@pytest.mark.parametrize("groups", [1, 2, 4])
@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize("spelled", [group_norms, norms_by_axis])
def test_group_norms_are_spelled_out_without_cutting_the_map(picture, groups, affine, spelled):
    net = Of(lambda m, x: m.n(x * 3 + 2), n=group_norm(groups, affine=affine, eps=1e-2))
    graph = rewritten(spelled, net, picture, fires=1)
    assert count(graph, "group_norm") == 0
    maps = [node for node in graph.graph.nodes if "reshape" in str(node.target) and node.meta["val"].ndim == 3]
    assert all(node.meta["val"].numel() == 2 * 4 for node in maps)  # only what is left per channel


@pytest.mark.parametrize("shape", [(2, 4), (2, 4, 9), (2, 4, 3, 2, 2)])
@pytest.mark.parametrize("spelled", [group_norms, norms_by_axis])
def test_group_norms_of_other_ranks(shape, spelled):
    x = torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    rewritten(spelled, Of(lambda m, x: m.n(x), n=group_norm(2)), x, fires=1)


def test_instance_norms_of_the_picture_alone(picture):
    norm = nn.InstanceNorm2d(4, affine=True)
    nn.init.normal_(norm.weight)
    assert count(rewritten(group_norms, Of(lambda m, x: m.n(x), n=norm), picture, fires=1), "norm") == 0


def test_an_instance_norm_with_running_statistics_is_left(picture):
    norm = nn.InstanceNorm2d(4, track_running_stats=True)
    rewritten(group_norms, Of(lambda m, x: m.n(x), n=norm), picture, fires=0)


def test_another_norm_is_left(picture):
    rewritten(group_norms, Of(lambda m, x: m.n(x), n=nn.LayerNorm(6)), picture, fires=0)


def test_a_group_norm_without_its_groups_is_noticed(picture, monkeypatch):
    mean = file_of_pass(group_norms).mean_of_groups
    monkeypatch.setattr(file_of_pass(group_norms), "mean_of_groups", lambda graph, x, *_: mean(graph, x, 1))
    with pytest.raises(AssertionError):
        rewritten(group_norms, Of(lambda m, x: m.n(x), n=group_norm(2)), picture, fires=1)


@pytest.mark.parametrize(
    ("options", "slices"),
    [
        ({"kernel_size": 2, "stride": 2}, 0),
        ({"kernel_size": (4, 3), "stride": (4, 3)}, 0),
        ({"kernel_size": 3, "stride": 3}, 18),  # rows are left out at the end
        ({"kernel_size": 3, "padding": 1}, 18),
        ({"kernel_size": (2, 3), "stride": (2, 1), "dilation": (3, 2), "padding": (1, 2)}, 12),
    ],
    ids=["side by side", "side by side, oblong", "cut off", "overlapping", "dilated"],
)
def test_patches_are_moves(picture, options, slices):
    graph = rewritten(patches, Of(lambda m, x: F.unfold(x, **options)), picture, fires=1)
    assert count(graph, "im2col") == 0 and count(graph, "slice") == slices


def test_patches_and_back(picture):
    def forward(_m, x):
        return F.fold(F.unfold(x, 2, stride=2).tanh(), (8, 6), 2, stride=2)

    assert count(rewritten(patches, Of(forward), picture, fires=2), "im2col", "col2im") == 0


@pytest.mark.parametrize(
    ("kernel", "options"),
    [
        (3, {"padding": 1}),
        (3, {"padding": 1, "stride": 2}),
        ((2, 3), {"dilation": (2, 1), "padding": (1, 2), "stride": (2, 1)}),
        (2, {"stride": 3, "padding": 1}),
        (3, {"stride": 5}),
    ],
)
def test_patches_that_overlap_are_put_together_as_sums(picture, kernel, options):
    net = Of(lambda m, x: F.fold(F.unfold(x, kernel, **options), (8, 6), kernel, **options))
    assert count(rewritten(patches, net, picture, fires=2), "col2im", "im2col") == 0
    assert count(rewritten(overlapping_patches, net, picture, fires=1), "col2im") == 0


@pytest.mark.parametrize(
    ("forward", "gone"),
    [
        (lambda m, x: x.clamp_min(0.2) + x.clamp_max(-0.1), "clamp_m"),
        (lambda m, x: F.elu(x, 0.7), "aten.elu."),
        (lambda m, x: F.selu(x), "selu"),
        (lambda m, x: F.celu(x, 0.6), "celu"),
        (lambda m, x: F.softplus(x * 30), "softplus"),
        (lambda m, x: F.softplus(x, 2.5), "softplus"),
        (lambda m, x: F.softplus(x, threshold=0.3), "softplus"),  # torch jumps there
        (lambda m, x: F.softplus(x, beta=-1.5, threshold=-0.2), "softplus"),
        (lambda m, x: F.mish(x), "mish"),
        (lambda m, x: F.logsigmoid(x * 30), "log_sigmoid"),
        (lambda m, x: F.log_softmax(x * 50, 1), "log_softmax"),
        (lambda m, x: F.glu(x, 1), "glu"),
        (lambda m, x: F.glu(x), "glu"),
    ],
)
def test_activations_are_spelled_out(picture, monkeypatch, forward, gone):
    # torch's softplus drops exp(-20), which float64 sees and float32 does not
    monkeypatch.setattr("tests.convert._rewriting.TOLERANCE", 1e-8)

    def spelled(graph):
        graph, fired = plain_activations(graph)
        return graph, bool(fired)

    assert count(rewritten(spelled, Of(forward), picture, fires=True), gone) == 0


@pytest.mark.parametrize(
    "forward",
    [
        lambda m, x: F.log_softmax(x, 1, dtype=torch.float32).double(),
        lambda m, x: x.clamp(0, 1),
    ],
    ids=["log-softmax in another type", "clamp"],
)
def test_activations_that_are_left(picture, forward):
    rewritten(plain_activations, Of(forward), picture, fires=0)


def rms(size: int, **options) -> nn.RMSNorm:
    norm = nn.RMSNorm(size, **options)
    if norm.elementwise_affine:
        nn.init.normal_(norm.weight)
    return norm


@pytest.mark.parametrize("passes", [plain_reductions, careful_reductions])
@pytest.mark.parametrize("options", [{}, {"eps": 0.1}, {"elementwise_affine": False}])
def test_rms_norms(picture, passes, options):
    graph = rewritten(passes, Of(lambda m, x: m.n(x), n=rms(6, **options)), picture, fires=1)
    assert count(graph, "rms_norm") == 0


@pytest.mark.parametrize(
    ("forward", "gone"),
    [
        (lambda m, x: (x * 800).logsumexp((1, 2)), "logsumexp"),
        (lambda m, x: x.logsumexp(1, keepdim=True), "logsumexp"),
        (lambda m, x: x / x.max(), "aten.max.default"),
        (lambda m, x: x / x.min(), "aten.min.default"),
        (lambda m, x: x.min(2).values, "min.dim"),
    ],
)
def test_reductions_are_spelled_out(picture, forward, gone):
    assert count(rewritten(plain_reductions, Of(forward), picture, fires=1), gone) == 0


def test_a_minimum_whose_place_is_read_is_left(picture):
    net = Of(lambda m, x: (both := x.min(1, keepdim=True)).values + both.indices)
    rewritten(plain_reductions, net, picture, fires=0)


@pytest.mark.parametrize("passes", [plain_moves, plain_padding])
@pytest.mark.parametrize("amounts", [(1, 2), (2, 0, 0, 3), (0, 0, 1, 1), (6, 6, 8, 8)])
def test_padding_by_the_other_end(picture, passes, amounts):
    net = Of(lambda m, x: F.pad(x, amounts, mode="circular") if len(amounts) == 4 else F.pad(x[0], amounts, "circular"))
    graph = rewritten(passes, net, picture, fires=1)
    assert count(graph, "pad") == 0


@pytest.mark.parametrize("mode", ["constant", "reflect"])
def test_padding_of_other_kinds_is_left(picture, mode):
    rewritten(plain_moves, Of(lambda m, x: F.pad(x, (1, 1, 2, 2), mode=mode)), picture, fires=0)


def test_turned_round(picture):
    graph = rewritten(plain_moves, Of(lambda m, x: x.flip(1, -1) + x.flip(2)), picture, fires=2)
    assert count(graph, "flip") == 0 and count(graph, "index_select") == 3


@pytest.mark.parametrize(
    "forward",
    [
        lambda m, x: x.mean(1, keepdim=True).expand_as(x),
        lambda m, x: x.tanh().flatten(1).reshape_as(x),
        lambda m, x: x.tanh().flatten(2).view_as(x),
    ],
    ids=["expand_as", "reshape_as", "view_as"],
)
def test_in_the_shape_of_another(picture, forward):
    assert count(rewritten(plain_moves, Of(forward), picture, fires=1), "_as") == 0


def test_core_ml_turns_round_by_itself(picture):
    rewritten(plain_padding, Of(lambda m, x: x.flip(1, -1)), picture, fires=0)


@pytest.mark.parametrize("offset", [0, 2, -3, 6])
@pytest.mark.parametrize("axes", [(1, 2), (-1, 0), (3, 1)])
@pytest.mark.parametrize("passes", [plain_moves, plain_diagonals])
def test_diagonals_are_slices(picture, passes, offset, axes):
    net = Of(lambda m, x: x.repeat(4, 2, 1, 2)[:7, :7].diagonal(offset, *axes))
    graph = rewritten(passes, net, picture, fires=1)
    assert count(graph, "diagonal") == 0


def test_a_diagonal_of_the_last_axes(picture):
    graph = rewritten(plain_diagonals, Of(lambda m, x: torch.linalg.diagonal(x, offset=1)), picture, fires=1)
    assert count(graph, "diagonal") == 0


@pytest.mark.parametrize("size", [1, 900])
@pytest.mark.parametrize("axis", [0, 2, -1])
def test_log_sum_exp_up_to_each_place(picture, size, axis):
    """The first places are far below the largest one: its maximum taken off would leave nothing of them."""
    graph = rewritten(careful_reductions, Of(lambda m, x: (size * x).logcumsumexp(axis)), picture, fires=1)
    assert count(graph, "logcumsumexp") == 0


def test_log_sum_exp_up_to_each_of_too_many_places_is_refused():
    net = Of(lambda m, x: x.logcumsumexp(0))
    with pytest.raises(InputError, match=r"aten.logcumsumexp.default.*300 places, expected at most 256"):
        careful_reductions(trace(net, torch.zeros(300)))


ENDS = torch.tensor([0.0, -0.0, 1.0, -1.0, 2.5, -2.5, 1e-30, -1e-30, 1e30, -1e30], dtype=torch.float64)


def test_angles_in_every_quadrant_and_on_the_axes():
    points = torch.stack(torch.meshgrid(ENDS, ENDS, indexing="ij"))
    graph = rewritten(plain_angles, Of(lambda m, x: torch.atan2(x[0], x[1])), points, fires=1)
    assert count(graph, "atan2") == 0


@pytest.mark.parametrize("function", [torch.log1p, torch.expm1])
@pytest.mark.parametrize("size", [0, 1e-12, 1e-3, 0.15, 5])
def test_functions_near_zero_keep_their_digits(picture, function, size):
    x = (size * picture).clamp(min=-0.5)
    graph = rewritten(near_zero, Of(lambda m, x: function(x)), x, fires=1)
    assert count(graph, function.__name__) == 0
    torch.testing.assert_close(graph(x), function(x), rtol=1e-12, atol=0)
    torch.testing.assert_close(graph(x.float()).double(), function(x.float().double()), rtol=1e-6, atol=0)
