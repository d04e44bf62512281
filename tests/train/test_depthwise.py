"""Fast gradients of depthwise convolutions against float64, and that nothing else goes that way."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from edge.checkpoint import Preprocess
from edge.models import create_model
from train import _depthwise
from train._batches import Squares
from train._depthwise import FastDepthwise
from train._options import Machine
from train._recipe import Recipe
from train._trainer import Trainer
from train._training_data import TrainingData

CASES = [  # kernel, stride, padding, height, width
    (3, 2, 1, 12, 9),
    (5, 1, 2, 11, 8),
    (5, 2, 0, 13, 11),
    (7, (2, 1), (3, 1), 10, 12),
    ((3, 5), 1, (1, 2), 8, 9),
    (6, 2, 2, 12, 12),
    ((1, 5), 2, (0, 2), 8, 8),  # no tile fits
]


def gradients(case: tuple, dtype: torch.dtype, *, fast: bool) -> list[torch.Tensor]:
    """Answer and gradients of input, weight and bias, float64; values are those of bfloat16 in any type."""
    kernel, stride, padding, height, width = case
    sides = (kernel, kernel) if isinstance(kernel, int) else kernel
    torch.manual_seed(0)
    values = [torch.randn(2, 6, height, width), torch.randn(6, 1, *sides), torch.randn(6)]
    x, weight, bias = (value.bfloat16().to(dtype).requires_grad_() for value in values)
    if fast:
        with FastDepthwise():
            y = F.conv2d(x, weight, bias, stride, padding, groups=6)
        assert "Depthwise" in type(y.grad_fn).__name__
    else:
        y = F.conv2d(x, weight, bias, stride, padding, groups=6)
    y.backward(torch.randn(y.shape).bfloat16().to(dtype))
    return [value.double() for value in (y.detach(), x.grad, weight.grad, bias.grad) if value is not None]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_equals_float64_as_well_as_the_operator(case):
    exact, plain, fast = (
        gradients(case, dtype, fast=fast)
        for dtype, fast in ((torch.float64, False), (torch.bfloat16, False), (torch.bfloat16, True))
    )
    for wanted, theirs, ours in zip(exact, plain, fast, strict=True):
        unit = wanted.norm()
        assert (ours - wanted).norm() / unit <= max(1.2 * float((theirs - wanted).norm() / unit), 2**-9)


def test_a_network_has_the_gradients_of_autocast():
    """EfficientNet-Lite0 has kernels of 3 and 5 at strides 1 and 2."""
    torch.manual_seed(0)
    net = create_model("efficientnet_lite0", 6).train()
    images = torch.rand(2, 3, 64, 64)
    flat = []
    for fast in (None, False, True):  # None: float32
        net.zero_grad()
        torch.manual_seed(1)
        with torch.autocast("cpu", torch.bfloat16, enabled=fast is not None):
            if fast:
                with FastDepthwise():
                    value = net(images).square().mean()
            else:
                value = net(images).square().mean()
        value.backward()
        flat.append(torch.cat([p.grad.flatten() for p in net.parameters() if p.grad is not None]))
    exact, plain, fast_ones = flat
    assert (fast_ones - exact).norm() <= 1.2 * (plain - exact).norm()


def test_training_in_bfloat16_goes_this_way(monkeypatch, tmp_path):
    kernels = []
    whole = _depthwise.weight_gradient

    def noted(gradient, x, weight, *rest):
        kernels.append(weight.shape[-1])
        return whole(gradient, x, weight, *rest)

    monkeypatch.setattr(_depthwise, "weight_gradient", noted)
    squares = Squares(np.zeros((2, 40, 40, 3), np.uint8), np.arange(2), np.zeros(2, int))
    data = TrainingData(2, lambda side: squares, lambda side: (squares.images[:0], squares.targets[:0]))
    recipe = Recipe(model="efficientnet_lite0", stages=((32, 1),), batch=2, descriptors=0, guide=0)
    machine = Machine(precision="bf16-mixed")
    Trainer(recipe, Preprocess("v", 32, (0, 0, 0), (1, 1, 1)), data, folder=tmp_path, machine=machine).epoch()
    assert set(kernels) == {3, 5}


def test_leaves_everything_else_alone(monkeypatch):
    monkeypatch.setattr(_depthwise.Depthwise, "apply", lambda *_: pytest.fail("not a slow depthwise convolution"))
    x = torch.randn(1, 4, 8, 8).bfloat16()
    with FastDepthwise():
        F.conv2d(x, torch.randn(4, 1, 3, 3).bfloat16(), groups=4)  # fast already
        F.conv2d(x, torch.randn(4, 1, 5, 5).bfloat16(), padding=4, dilation=2, groups=4)
        F.conv2d(x, torch.randn(8, 1, 5, 5).bfloat16(), groups=4)  # two filters a channel
        F.conv2d(x, torch.randn(4, 2, 5, 5).bfloat16(), groups=2)
        F.conv2d(x, torch.randn(4, 1, 5, 5).bfloat16(), padding="same", groups=4)
        F.conv2d(x.float(), torch.randn(4, 1, 5, 5), groups=4)
        with torch.no_grad():
            F.conv2d(x, torch.randn(4, 1, 5, 5).bfloat16(), groups=4)
