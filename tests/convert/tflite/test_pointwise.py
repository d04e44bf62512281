"""1 x 1 convolutions in 8 bits: a range for each pixel in every kernel, and scales that go into what reads them."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from convert._tflite.channel_scales import with_scales_behind
from convert._tflite.file import lower
from convert._tflite.pointwise import ENOUGH_CHANNELS
from convert._tflite.quantise import quantise, recipe_file
from edge.tflite.flatbuffer import operators_of, unpack
from tests._phones import needs_android
from tests.convert.tflite._answers import answers

SIDE = 16
IMAGES = np.random.default_rng(0).integers(0, 256, (3, SIDE, SIDE, 3), np.uint8)


class Places(nn.Module):
    """A 1 x 1 convolution of a map whose places differ a thousandfold, all of them heard alike in the answer."""

    def __init__(self, channels: int, after: nn.Module) -> None:
        super().__init__()
        self.stem, self.mix, self.after = nn.Conv2d(3, channels, 1), nn.Conv2d(channels, 64, 1, bias=False), after
        self.head = nn.Linear(64, 5, bias=False)
        with torch.no_grad():
            self.mix.weight.mul_(2.0 ** torch.randint(-3, 4, (64, 1, 1, 1)))
        size = 10 ** torch.linspace(-3, 0, SIDE * SIDE).reshape(1, 1, SIDE, SIDE)
        self.register_buffer("size", size)
        self.register_buffer("back", 1 / size)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.after(self.mix(self.stem(x.permute(0, 3, 1, 2) / 64) * self.size) * self.back)
        return torch.softmax(self.head(x.mean((2, 3))), -1)


def float32_of(channels: int, after: nn.Module | None = None, *, seed: int = 0) -> bytes:
    torch.manual_seed(seed)
    return lower(Places(channels, after or nn.Identity()).eval(), torch.zeros(1, SIDE, SIDE, 3)).content


def counted(content: bytes) -> Counter[str]:
    return Counter(name for name, _ in operators_of(unpack(content)))


@pytest.mark.parametrize("mode", ["xnnpack", "reference", pytest.param("android", marks=needs_android)])
def test_each_pixel_has_a_range_of_its_own(mode: str, tmp_path: Path) -> None:
    float32 = float32_of(64)
    wanted = answers(float32, tmp_path, IMAGES)
    written = recipe_file("int8-dynamic", float32, float32, None)
    assert np.abs(answers(written, tmp_path, IMAGES, mode) - wanted).max() < 0.01
    if mode != "xnnpack":  # the fault that this is for: plain kernels take one range for the picture
        convolution = quantise(float32, "int8-dynamic")
        assert np.abs(answers(convolution, tmp_path, IMAGES, mode) - wanted).max() > 0.03


@pytest.mark.parametrize(
    ("channels", "stride", "written"), [(ENOUGH_CHANNELS, 1, True), (ENOUGH_CHANNELS - 8, 1, False), (64, 2, False)]
)
def test_which_convolutions_are_written_so(channels: int, stride: int, written: bool) -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.stem, self.mix = nn.Conv2d(3, channels, 3), nn.Conv2d(channels, 64, 1, stride)
            self.head = nn.Linear(64, 5)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x = torch.sigmoid(self.mix(self.stem(x.permute(0, 3, 1, 2) / 255)))
            return torch.softmax(self.head(x.mean((2, 3))), -1)

    torch.manual_seed(0)
    float32 = lower(Net().eval(), torch.zeros(1, SIDE, SIDE, 3)).content
    before = counted(quantise(float32, "int8-dynamic"))
    after = counted(with_scales_behind(quantise(float32, "int8-dynamic")))
    assert before["CONV_2D"] - after["CONV_2D"] == int(written)
    assert after["FULLY_CONNECTED"] - before["FULLY_CONNECTED"] == int(written)


class Expanded(nn.Module):
    """A small 1 x 1 convolution into a depthwise one, as in inverted residuals."""

    def __init__(self, activation: nn.Module, stride: int) -> None:
        super().__init__()
        self.stem, self.up, self.activation = nn.Conv2d(3, 16, 3), nn.Conv2d(16, 64, 1), activation
        self.depth = nn.Conv2d(64, 64, 3, stride, 1, groups=64)
        self.head = nn.Linear(64, 5)
        with torch.no_grad():
            self.up.weight.mul_(2.0 ** torch.randint(-3, 4, (64, 1, 1, 1)))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.depth(self.activation(self.up(self.stem(x.permute(0, 3, 1, 2) / 64))))
        return torch.softmax(self.head(x.mean((2, 3))), -1)


@pytest.mark.parametrize(("activation", "folded"), [(nn.ReLU(), 1), (nn.Identity(), 1), (nn.ReLU6(), 0)])
@pytest.mark.parametrize("stride", [1, 2])
def test_scales_go_into_a_depthwise_convolution(
    activation: nn.Module, folded: int, stride: int, tmp_path: Path
) -> None:
    torch.manual_seed(1)
    float32 = lower(Expanded(activation, stride).eval(), torch.zeros(1, SIDE, SIDE, 3)).content
    plain = quantise(float32, "int8-dynamic")
    written = with_scales_behind(plain)
    np.testing.assert_allclose(answers(written, tmp_path, IMAGES), answers(plain, tmp_path, IMAGES), atol=1e-5)
    more = counted(written)["MUL"] - counted(plain)["MUL"]
    assert more == counted(written)["FULLY_CONNECTED"] - folded  # one for each product, but not for the folded one


class Depthwise(nn.Module):
    """A depthwise convolution behind a 1 x 1 one whose channels differ widely, with more to it than one filter each."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind, filters = kind, 64 if kind == "channels are padded" else 32
        self.stem, self.mix = nn.Conv2d(3, 64, 3, padding=1), nn.Conv2d(64, 32, 1)
        self.depthwise, self.head = nn.Conv2d(filters, 64, 3, padding=1, groups=filters), nn.Linear(64, 5)
        with torch.no_grad():
            self.mix.weight.mul_(2.0 ** torch.randint(-4, 4, (32, 1, 1, 1)))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.mix(self.stem(x.permute(0, 3, 1, 2) / 64 - 2).relu())
        padded = torch.nn.functional.pad(x, (0, 0, 0, 0, 16, 16))
        y = self.depthwise(padded if self.kind == "channels are padded" else x)
        y = y + padded if self.kind == "another reads the product" else y
        return torch.softmax(self.head(y.mean((2, 3))), -1)


@pytest.mark.parametrize("kind", ["channels are padded", "two filters for each channel", "another reads the product"])
def test_scales_reach_the_filters_of_their_channels(kind: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    float32 = lower(Depthwise(kind).eval(), torch.zeros(1, SIDE, SIDE, 3)).content
    written = with_scales_behind(quantise(float32, "int8-dynamic"))
    assert np.abs(answers(written, tmp_path, IMAGES) - answers(float32, tmp_path, IMAGES)).max() < 0.005
