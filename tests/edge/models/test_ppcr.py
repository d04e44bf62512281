"""PPCA: the authors' figures, the short form against loops, the dead level, NaN, and maps of other sides."""

from __future__ import annotations

import importlib.util
import json
from math import sqrt
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from edge.models import create_model
from edge.models.ppcr import FINEST, PPCA, Places, independent, with_ppca

GOLDEN = Path(__file__).resolve().parents[2] / "golden"
spec = importlib.util.spec_from_file_location("upstream_rule", GOLDEN / "upstream_rule.py")
rule = importlib.util.module_from_spec(spec)
spec.loader.exec_module(rule)

TOLERANCE = 1e-9  # float64


def by_loops(x: np.ndarray, weight: np.ndarray, levels: tuple[int, ...], eps: float) -> np.ndarray:
    """The description, value by value: x (B, C, H, W), weight (H W, K)."""
    y = np.empty_like(x)
    channels, height, width = x.shape[1:]
    for b, row, column in np.ndindex(len(x), height, width):
        pixel, p = x[b, :, row, column], []
        for s in levels:
            for j in range(s):
                first, last = channels * j // s, channels * (j + 1) // s - 1
                p.append(sum(pixel[first : last + 1]) / (last + 1 - first))
        mean = sum(p) / len(p)
        deviation = sqrt(sum((value - mean) ** 2 for value in p) / len(p) + eps)
        a = sum(w * (value - mean) / deviation for w, value in zip(weight[row * width + column], p, strict=True))
        y[b, :, row, column] = pixel / (1 + np.exp(-a))
    return y


def filled(*args, **options) -> PPCA:
    """In float64, with a table that makes gates from nearly 0 to nearly 1."""
    module = PPCA(*args, **options).double()
    generator = torch.Generator().manual_seed(1)
    nn.init.normal_(module.weight, generator=generator)
    return module


def maps(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.from_numpy(np.random.RandomState(seed).standard_normal(shape))


def test_golden():
    golden = json.loads((GOLDEN / "ppca_64x7.json").read_text())
    module = PPCA(64, 7).double()
    assert {name: list(value.shape) for name, value in module.state_dict().items()} == golden["tensors"]
    state = {name: torch.from_numpy(rule.fill(name, tuple(shape))) for name, shape in golden["tensors"].items()}
    without = PPCA(64, 7, bias=False).double()
    for one in (module, without):  # the authors' bias loads, and loads into nothing
        one.load_state_dict(state)
        (case,) = golden["cases"]
        with torch.inference_mode():
            got = one(torch.from_numpy(rule.image(case["seed"], case["shape"]))).sum(1)[0]
        expected = torch.tensor(case["sum_over_channels"], dtype=torch.float64)
        assert (got - expected.reshape(got.shape)).abs().max() <= TOLERANCE
    assert list(without.state_dict()) == ["weight"]


WIDTHS = [
    (64, 7, (1, 2, 4, 8)),
    (20, 5, (1, 2, 4, 8)),  # 8 groups of 2 and 3
    (37, 3, (1, 2, 4, 8, 16)),
    (8, 2, (1, 2, 4, 8)),
    (18, 3, (2, 3)),
    (24, 4, (8, 1, 3)),
    (9, 2, (1, 9)),
]


@pytest.mark.parametrize("eps", [0.0, 1e-5, 0.1])
@pytest.mark.parametrize(("channels", "side", "levels"), WIDTHS)
def test_any_width_against_loops(channels, side, levels, eps):
    """eps 0 runs the published steps, any other the short form: both must be the description."""
    module = filled(channels, side, levels, eps)
    x = 3 * maps(2, channels, side, side) + 1
    with torch.inference_mode():
        got = module(x).numpy()
    expected = by_loops(x.numpy(), module.weight.detach().numpy(), levels, eps)
    assert np.abs(got - expected).max() <= TOLERANCE
    assert np.ptp(got / x.numpy()) > 0.5  # the table matters


@pytest.mark.parametrize("channels", [16, 20, 64])
def test_fifteen_values_have_seven_degrees_of_freedom(channels):
    module = PPCA(channels, 3)
    kernel, basis = independent(module.groups, channels)
    assert kernel.shape == (7, channels) and basis.shape == (15, 7)
    assert (basis.T @ basis - torch.eye(7)).abs().max() < 1e-12
    assert kernel.sum(1).abs().max() < 1e-12  # a constant pixel has none of them


def test_kernel_is_exact_in_eight_bits():
    """Differences between halves: +c, -c and 0, which symmetric int8 holds as 127, -127 and 0."""
    kernel, _ = independent(PPCA(48, 3).groups, 48)
    steps = kernel / kernel.abs().amax(1, keepdim=True) * 127
    assert (steps - steps.round()).abs().max() < 1e-9
    assert set(steps.round().unique().tolist()) == {-127.0, 0.0, 127.0}


@pytest.mark.parametrize("eps", [0.0, 1e-5])
@pytest.mark.parametrize(("channels", "levels"), [(64, (1, 2, 4, 8)), (24, (1, 2, 3)), (16, (2, 1, 4))])
def test_dead_level_can_be_dropped(channels, levels, eps):
    """And for levels without 1 it is the same as to scale what they normalise: by sqrt(15 / 14) with (2, 4, 8)."""
    whole = filled(channels, 4, levels, eps)
    place = [len(one) for one in whole.groups].index(channels)
    others = [k for k in range(len(whole.groups)) if k != place]
    short = PPCA(channels, 4, levels, eps, drop_dead_level=True).double()
    short.weight.data = whole.weight.data[:, others]
    x = maps(2, channels, 4, 4)
    with torch.inference_mode():
        expected = whole(x)
        assert (short(x) - expected).abs().max() <= TOLERANCE
        if not eps:
            count = len(whole.groups)
            rest = PPCA(channels, 4, tuple(s for s in levels if s != 1)).double()
            rest.weight.data = whole.weight.data[:, others] * sqrt(count / (count - 1))
            assert (rest(x) - expected).abs().max() <= TOLERANCE


@pytest.mark.parametrize(("channels", "levels"), [(20, (1, 2, 4, 8)), (64, (2, 4, 8)), (64, (1, 2, 3))])
def test_level_that_lives_is_not_dropped(channels, levels):
    with pytest.raises(ValueError, match="level 1 is dead only"):
        PPCA(channels, 4, levels, drop_dead_level=True)


@pytest.mark.parametrize("levels", [(1, 2, 16), (0, 1)])
def test_levels_that_the_channels_do_not_have(levels):
    with pytest.raises(ValueError, match="a level is between 1 and"):
        PPCA(8, 4, levels)


@pytest.mark.parametrize("eps", [0.0, 1e-5])
def test_gate_is_half_at_first(eps):
    x = maps(2, 16, 5, 5)
    with torch.inference_mode():
        assert torch.equal(PPCA(16, 5, eps=eps).double()(x), x / 2)
        assert torch.equal(PPCA(16, 5, eps=eps, gate_scale=2).double()(x), x)


@pytest.mark.parametrize("value", [0.0, 0.3, -7.0])
def test_constant_pixel_is_nan_as_published_only(value):
    x = maps(1, 16, 3, 3)
    x[:, :, 1, 1] = value
    x.requires_grad_()
    published, safe = filled(16, 3), filled(16, 3, eps=1e-5)
    assert published(x)[0, :, 1, 1].isnan().all()
    assert published(x)[0, :, 0].isfinite().all()
    y = safe(x)
    assert (y[0, :, 1, 1] - value / 2).abs().max() < 1e-6  # nothing to tell its channels apart by: half open
    y.square().sum().backward()
    assert x.grad.isfinite().all() and safe.weight.grad.isfinite().all()


def test_scale_and_offset_of_a_pixel_do_not_matter():
    module, x = filled(32, 4), maps(1, 32, 4, 4)
    with torch.inference_mode():
        gate, other = module(x) / x, module(5 * x + 3) / (5 * x + 3)
    assert (gate - other).abs().max() < 1e-9


# Other maps


def test_table_of_a_smooth_field_survives_another_side():
    """A table that is linear over the image gives, inside, the same gates on any grid."""
    module = PPCA(16, 32, eps=1e-5).double()
    ramp = torch.linspace(-1, 1, 32, dtype=torch.float64) * 31 / 32  # centres of 32 places in [-1, 1]
    module.weight.data = (ramp[:, None] + 2 * ramp)[..., None].expand(32, 32, 15).reshape(-1, 15).clone()
    for side in (8, 16, 48):
        like = torch.zeros(1, 16, side, side)
        places = (torch.arange(side, dtype=torch.float64) + 0.5) * 2 / side - 1
        expected = places[:, None] + 2 * places
        inside = slice(side // 8, -(side // 8))
        got = module.table(module.weight, like)[0, 3]
        assert (got - expected)[inside, inside].abs().max() < 0.01


@pytest.mark.parametrize("size", [(2, 2), (4, 6), (8, 8)])
def test_small_maps_train_every_entry(size):
    """Plain bilinear sampling would leave most of the grid at zero in a stage of small images."""
    module = filled(8, 8, eps=1e-5)
    module(maps(4, 8, *size)).square().sum().backward()
    assert (module.weight.grad.abs().sum(1) > 0).all()


# In networks


def test_starts_as_the_plain_network():
    torch.manual_seed(0)
    plain = create_model("hierattn_xs", 3).eval()
    torch.manual_seed(0)
    net = create_model("hierattn_xs_ppcr", 3).eval()
    gates = {name: module for name, module in net.named_modules() if isinstance(module, PPCA)}
    assert [(g.channels, g.side) for g in gates.values()] == [(24, 64)] * 3 + [(48, 32), (64, 16), (80, 8)]
    state = net.state_dict()
    assert {k: v.shape for k, v in plain.state_dict().items()} == {
        k: v.shape for k, v in state.items() if k.removesuffix(".weight") not in gates
    }
    net.load_state_dict(plain.state_dict(), strict=False)
    x = torch.rand(2, 3, 96, 64)
    with torch.inference_mode():
        assert torch.equal(net(x), plain(x))
        for gate in gates.values():
            nn.init.normal_(gate.weight)
        assert not torch.equal(net(x), plain(x))


def test_gate_comes_after_the_norm_and_before_the_sum():
    net = create_model("hierattn_xs_ppcr").eval()
    block = net.layer2[1]
    assert block.residual and isinstance(block.project[-2], nn.BatchNorm2d)
    nn.init.normal_(block.project[-1].weight)
    x = torch.rand(1, 24, 16, 16)
    with torch.inference_mode():
        conv, norm, gate = block.project
        branch = norm(conv(block.attention(block.depthwise(block.expand(x)))))
        assert torch.equal(block(x), x + gate(branch))


class Plain(nn.Module):
    """A residual block that ends in a norm of its own, as most families have it."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.bn = nn.Conv2d(8, 8, 3, padding=1), nn.BatchNorm2d(8)

    def forward(self, x):
        return x + self.bn(self.conv(x))


def test_any_family_with_a_block():
    down = nn.Conv2d(3, 8, FINEST, FINEST)
    net = with_ppca(nn.Sequential(down, Plain(), nn.MaxPool2d(2), Plain()), Places("Plain", "bn", side=32))
    gates = [module for module in net.modules() if isinstance(module, PPCA)]
    assert [gate.side for gate in gates] == [8, 4]
    assert net.training
    assert not any(block.bn.num_batches_tracked for block in (net[1], net[3]))  # looking was no training
    for gate in gates:
        nn.init.normal_(gate.weight)
    net(torch.rand(2, 3, 64, 64)).sum().backward()
    assert all(gate.weight.grad.abs().any() for gate in gates)


def test_largest_map_goes_without():
    net = with_ppca(nn.Sequential(nn.Conv2d(3, 8, 2, 2), Plain()), Places("Plain", "bn", side=32))
    assert not [module for module in net.modules() if isinstance(module, PPCA)]


def test_training_reaches_every_parameter(rng):
    torch.manual_seed(0)
    net = create_model("hierattn_xs_ppcr", 3).train()
    net(torch.from_numpy(rng.random((4, 3, 64, 64), dtype="float32"))).square().sum().backward()
    still = [name for name, p in net.named_parameters() if p.grad is None or not p.grad.abs().any()]
    assert not [name for name in still if not name.endswith("qkv.bias")]


def test_mobilenetv2_takes_it_where_its_own_weights_stay(rng):
    """142,688: 14 weights for each of the 10,192 places of 16 blocks at 224; the block at 112x112 goes without."""
    torch.manual_seed(0)
    plain, gated = create_model("mobilenetv2", 8).eval(), create_model("mobilenetv2_ppcr", 8).eval()
    count = [sum(p.numel() for p in net.parameters()) for net in (plain, gated)]
    assert count[1] - count[0] == 14 * 10_192
    state = plain.state_dict()
    left = gated.load_state_dict(state, strict=False)
    assert not left.unexpected_keys and all(key.endswith(".gate.weight") for key in left.missing_keys)
    image = torch.from_numpy(rng.random((1, 3, 64, 64), dtype="float32"))
    with torch.inference_mode():
        torch.testing.assert_close(gated(image), plain(image))


@pytest.mark.parametrize("options", [{"levels": ()}, {"eps": -1e-5}])
def test_options_that_give_no_gate_are_refused(options):
    with pytest.raises(ValueError, match="at least one level and eps from 0 on"):
        PPCA(16, 4, **options)
