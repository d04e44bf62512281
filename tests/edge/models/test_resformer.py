"""ResFormer: the counted sizes, attention that stays in its window, and a light one that fits a phone."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from edge.errors import InputError
from edge.models import create_model
from edge.models.cost import cost
from edge.models.layers import StochasticDepth
from edge.models.resformer import ChannelAttention, Config, ResFormer, SwinBlock, from_windows, in_windows, strangers
from edge.models.resformer_lite import Dilated

# Facts about the released code, computed from its layers: 1 mask, 3 labels, side 224.
COUNTED = {"resformer": (56.3, 38.1), "resformer_three_branch": (44.2, 30.9), "resformer_parallel": (33.7, 24.8)}
SMALL = Config(blocks=(1, 1, 1, 1), window=4)  # window S/16 at 64


@pytest.mark.parametrize("name", COUNTED)
def test_full_networks_have_the_counted_size(name):
    net = create_model(name, 3)
    assert sum(p.numel() for p in net.parameters()) / 1e6 == pytest.approx(COUNTED[name][0], abs=0.05)


@pytest.mark.slow(reason="networks of full size")
@pytest.mark.parametrize("name", COUNTED)
def test_full_networks_cost_what_was_counted(name):
    _, macs = cost(create_model(name, 3), 224)
    assert macs / 1e9 == pytest.approx(COUNTED[name][1], abs=0.1)


def test_the_light_network_fits_a_phone():
    parameters, macs = cost(create_model("resformer_lite", 6), 224)
    assert parameters <= 3e6
    assert macs <= 1e9


@pytest.mark.parametrize("side", [32, 64, 160])
def test_the_light_network_takes_any_multiple_of_32(side):
    net = create_model("resformer_lite", 5).eval()
    with torch.inference_mode():
        logits, mask = net(torch.rand(2, 3, side, side))
    assert logits.shape == (2, 5)
    assert mask.shape == (2, 1, side, side)


@pytest.mark.parametrize("parallel", [False, True])
@pytest.mark.parametrize("enhancement", ["four branches", "three branches", None])
def test_every_wiring_gives_class_and_mask_and_learns_everywhere(parallel, enhancement):
    torch.manual_seed(0)
    changes = {"parallel": parallel, "enhancement": enhancement}
    net = ResFormer(Config(**{**vars(SMALL), **changes}), 3)
    for module in net.modules():
        if isinstance(module, StochasticDepth):
            module.probability = 0.0
    logits, mask = net(torch.rand(2, 3, 64, 64))
    assert (logits.shape, mask.shape) == ((2, 3), (2, 1, 64, 64))
    (logits.square().sum() + mask.square().sum()).backward()
    idle = [name for name, p in net.named_parameters() if p.grad is None or not p.grad.abs().sum()]
    # the class reads the map before the enhancement, so both outputs are needed to reach all weights
    assert idle == []


def test_the_full_network_says_which_sides_it_takes():
    with pytest.raises(InputError, match="multiple of 64 pixels"):
        ResFormer(SMALL, 3).eval()(torch.rand(1, 3, 96, 96))


def test_windows_are_squares_of_the_map_and_come_back():
    x = torch.arange(2 * 8 * 8 * 3.0).reshape(2, 8, 8, 3)
    windows = in_windows(x, 4)
    assert torch.equal(windows[1], x[0, :4, 4:].reshape(16, 3))
    assert torch.equal(windows[6], x[1, 4:, :4].reshape(16, 3))
    assert torch.equal(from_windows(windows, 8, 4), x)


def test_strangers_are_pixels_of_opposite_borders():
    """Rolled by 2 on a map of 8, row 6 is the old row 0 and row 5 the old row 7: they must not see each other."""
    mask = strangers(8, 4, 2)
    assert mask.shape == (4, 1, 16, 16)
    assert not mask[0].any()  # the first window holds neighbours alone
    below = mask[2, 0]  # rolled rows 4 to 7, columns 0 to 3
    rows = np.arange(16) // 4 + 4
    apart = (rows[:, None] >= 6) != (rows[None] >= 6)
    assert np.array_equal(below != 0, apart)


@pytest.mark.parametrize(("shifted", "reach"), [(False, (0, 4)), (True, (2, 6))])
def test_attention_stays_in_its_window(shifted, reach):
    """What a pixel in row 3, column 3 of a map of 8 changes: its own window of 4, or the shifted one around it."""
    torch.manual_seed(0)
    block = SwinBlock(8, 2, 4, shifted=shifted, drop=0.0).double().eval()
    block.channels = nn.Identity()  # channel attention reads the whole map
    x = torch.rand(1, 8, 8, 8, dtype=torch.double)
    other = x.clone()
    other[0, :, 3, 3] += torch.rand(8, dtype=torch.double)
    with torch.inference_mode():
        changed = (block(x) != block(other)).any(dim=1)[0].numpy()
    wanted = np.zeros((8, 8), bool)
    wanted[slice(*reach), slice(*reach)] = True
    assert np.array_equal(changed, wanted)


def test_a_shifted_window_does_not_join_opposite_borders():
    torch.manual_seed(0)
    block = SwinBlock(8, 2, 4, shifted=True, drop=0.0).double().eval()
    block.channels = nn.Identity()
    x = torch.rand(1, 8, 8, 8, dtype=torch.double)
    other = x.clone()
    other[0, :, 0, 0] += torch.rand(8, dtype=torch.double)
    with torch.inference_mode():
        changed = (block(x) != block(other)).any(dim=1)[0].numpy()
    assert changed[:2, :2].all()
    assert changed.sum() == 4


def test_channel_attention_weighs_whole_channels():
    """Moving pixels about inside every channel alike moves the answer alike; the gate reads means over pixels."""
    torch.manual_seed(0)
    attention = ChannelAttention().eval()
    x = torch.rand(1, 5, 4, 4)
    order = torch.randperm(16)
    moved = x.flatten(2)[..., order].reshape(x.shape)
    with torch.inference_mode():
        a, b = attention(x).flatten(2)[..., order], attention(moved).flatten(2)
        gates = attention(x) / x
    torch.testing.assert_close(a, b)
    torch.testing.assert_close(gates.flatten(2), gates.mean(dim=(2, 3))[..., None].expand(1, 5, 16))


def test_dilated_kernels_get_the_gradient_that_float32_gives_also_in_mixed_precision():
    """In bfloat16 PyTorch 2.13's is garbage for such maps, and training ends with NaN after hundreds of good steps."""
    torch.manual_seed(0)
    branch = Dilated(32, 3)
    x = torch.randn(8, 32, 32, 32).contiguous(memory_format=torch.channels_last)
    found = []
    for mixed in (False, True):
        for _ in range(5):
            branch.zero_grad()
            with torch.autocast("cpu", torch.bfloat16, enabled=mixed):
                branch(x).square().sum().backward()
            found.append(branch.weight.grad.clone())
    assert all(torch.equal(one, found[0]) for one in found)


@pytest.mark.parametrize(
    ("side", "rates"), [(56, (6, 12, 18)), (28, (3, 6, 9)), (14, (2, 3, 5)), (7, (1, 2, 3)), (2, (1, 2, 3))]
)
def test_dilation_grows_with_the_map(side, rates):
    branches = [Dilated(4, number) for number in (1, 2, 3)]
    assert tuple(branch.rate(side) for branch in branches) == rates
    seen = branches[1](torch.rand(1, 4, side, side))
    assert seen.shape == (1, 4, side, side)
