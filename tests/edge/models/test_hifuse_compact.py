"""The HiFuse for phones: its budget, its windows by hand, one set of weights for every side."""

from __future__ import annotations

from dataclasses import replace
from math import inf

import pytest
import torch
from torch import nn

from edge.models import create_model
from edge.models.cost import cost
from edge.models.hifuse_compact import REACH, VARIANTS, Config, HiFuseCompact, WindowAttention, window_side

SMALL = Config((8, 8, 8, 8), (1, 1, 1, 1), head=4, wider=2)


@pytest.fixture(scope="module")
def net() -> nn.Module:
    torch.manual_seed(0)
    return create_model("hifuse_tiny_compact").double().eval()


def test_budget():
    """Issue 6: at most 3 M parameters and 0.6 GMAC at 224."""
    parameters, products = cost(create_model("hifuse_tiny_compact", 8), 224)
    assert parameters <= 3_000_000 and products <= 600_000_000


@pytest.mark.parametrize(
    ("side", "sides"),
    [(32, [8, 4, 2, 1]), (96, [8, 6, 6, 3]), (128, [8, 8, 8, 4]), (224, [7, 7, 7, 7]), (256, [8, 8, 8, 8])],
)
def test_windows_divide_every_map(side, sides):
    """At 224 the published windows of 7; small maps are one window."""
    assert [window_side(side // step, 7) for step in (4, 8, 16, 32)] == sides


@pytest.mark.parametrize("shifted", [False, True])
@pytest.mark.parametrize("size", [(14, 12), (7, 21), (10, 3), (11, 1)])
@pytest.mark.parametrize("layer_norm", [False, True])
def test_attention_by_hand(size, shifted, layer_norm):
    """Two places see each other if they share a window and the roll put no edge between them."""
    torch.manual_seed(0)
    attention = WindowAttention(8, replace(SMALL, layer_norm=layer_norm), shifted=shifted).double().eval()
    attention.table.data.normal_()
    nn.init.normal_(attention.norm.bias)
    x = torch.randn(2, 8, *size, dtype=torch.float64)
    windows = [window_side(side, 7) for side in size]
    shifts = [window // 2 if shifted and window < side else 0 for side, window in zip(size, windows, strict=True)]
    places = [(row, column) for row in range(size[0]) for column in range(size[1])]
    rolled = [[(p - s) % side for p, s, side in zip(place, shifts, size, strict=True)] for place in places]
    with torch.inference_mode():
        normed = attention.norm(x.movedim(1, 3)).movedim(3, 1) if layer_norm else attention.norm(x)
        # queries, keys and values, each (N, heads, places, 4)
        q, k, v = attention.qkv(normed).reshape(2, 3, 2, 4, -1).permute(1, 0, 2, 4, 3)
        scores = torch.full((2, 2, len(places), len(places)), -inf, dtype=torch.float64)
        for a in range(len(places)):
            for b in range(len(places)):
                far = [rolled[a][axis] - rolled[b][axis] for axis in (0, 1)]
                together = all(rolled[a][axis] // windows[axis] == rolled[b][axis] // windows[axis] for axis in (0, 1))
                if together and far == [places[a][axis] - places[b][axis] for axis in (0, 1)]:
                    down, right = (min(max(d, -REACH), REACH) + REACH for d in far)
                    bias = attention.table[down * (2 * REACH + 1) + right]
                    scores[:, :, a, b] = (q[:, :, a] * k[:, :, b]).sum(-1) / 2 + bias
        y = (scores.softmax(-1) @ v).transpose(2, 3).reshape(x.shape)
        assert (attention(x) - attention.out(y)).abs().max() <= 1e-9


def test_some_windows_are_shifted(net):
    """At 128 pixels every map but the last has more than one window, and every second block moves them."""
    shifted = [[block.attention.shifted for block in stage[1:]] for stage in net.context]
    assert shifted == [[bool(k % 2) for k in range(depth)] for depth in VARIANTS["hifuse_tiny_compact"].depths]
    assert any(any(stage) for stage in shifted[:3])


@pytest.mark.parametrize("size", [(32, 32), (96, 64), (160, 160)])
def test_any_multiple_of_32(net, size):
    torch.manual_seed(1)
    batch = torch.rand(2, 3, *size, dtype=torch.float64)
    with torch.inference_mode():
        logits = net(batch)
        assert (logits[1] - net(batch[1:])[0]).abs().max() <= 1e-9
    assert logits.shape == (2, 6) and logits.isfinite().all()


def test_every_branch_is_heard(net):
    """A change of the local maps, of the global maps, or of what was fused before changes the answer."""
    x = torch.rand(1, 3, 64, 64, dtype=torch.float64)
    parts = [*net.local, *net.context, *net.fusions[:3]]
    with torch.inference_mode():
        plain = net(x)
        for part in parts:
            hook = part.register_forward_hook(lambda module, inputs, output: 2 * output)
            assert (net(x) - plain).abs().max() > 1e-6
            hook.remove()


def test_training_reaches_every_parameter():
    torch.manual_seed(0)
    net = HiFuseCompact(SMALL, 3).train()
    net(torch.rand(4, 3, 64, 64)).square().sum().backward()
    still = [name for name, p in net.named_parameters() if p.grad is None or not p.grad.abs().any()]
    assert not still
