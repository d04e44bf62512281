"""Tables in half precision: half the room, the same answers, and nothing else touched."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from convert._tflite.audit import audit
from convert._tflite.file import lower
from convert._tflite.half_constants import SMALLEST, with_half_constants
from convert._tflite.quantise import quantise
from edge.manifest import Audit
from edge.models.deployed import Deployed
from edge.runtimes.litert import LiteRT

SIDE, WIDTH = 32, 16


class WithTable(nn.Module):
    """A product and a sum with a number for every place and channel: 16 x 16 x 16 = 4,096 of each."""

    def __init__(self, largest: float = 2.0, side: int = SIDE // 2) -> None:
        super().__init__()
        self.conv, self.head = nn.Conv2d(3, WIDTH, 3, SIDE // side, 1), nn.Linear(WIDTH, 5)
        self.factor = nn.Parameter(torch.rand(1, WIDTH, side, side) * largest)
        self.position = nn.Parameter(torch.randn(1, WIDTH, side, side))

    def forward(self, x):
        x = torch.relu(self.conv(x) * self.factor) + self.position
        return self.head(torch.relu(x).mean((2, 3)))


def lowered(net: nn.Module) -> bytes:
    torch.manual_seed(0)
    module = Deployed(net, mean=(0.5,) * 3, std=(0.25,) * 3, temperature=1.0, layout="NHWC").eval()
    return lower(module, torch.zeros(1, SIDE, SIDE, 3)).content


def opened(content: bytes, path: Path) -> tuple[np.ndarray, Audit]:
    path.write_bytes(content)
    images = np.random.default_rng(0).integers(0, 256, (3, SIDE, SIDE, 3), dtype=np.uint8)
    return LiteRT(path).run(images).probabilities, audit(path)


def test_large_tables_take_half_the_room(tmp_path: Path) -> None:
    content = lowered(WithTable())
    small = with_half_constants(content)
    saved = 2 * 2 * WIDTH * (SIDE // 2) ** 2
    assert saved - 1000 < len(content) - len(small) <= saved
    (expected, before), (got, after) = (opened(one, tmp_path / "x.tflite") for one in (content, small))
    np.testing.assert_allclose(got, expected, atol=1e-4)
    assert not np.array_equal(got, expected)  # they are rounded
    assert after.operators == {**before.operators, "DEQUANTIZE": 2}
    assert after.xnnpack_partitions == 1 and not after.warnings


@pytest.mark.parametrize("recipe", ["fp16", "int8-weights", "int8-dynamic"])
def test_every_smaller_recipe_has_them(recipe: str, tmp_path: Path) -> None:
    content = lowered(WithTable())
    answers, found = opened(quantise(content, recipe), tmp_path / "x.tflite")
    expected, _ = opened(content, tmp_path / "x.tflite")
    np.testing.assert_allclose(answers, expected, atol=0.02)
    assert found.operators["DEQUANTIZE"] >= 2
    assert len(quantise(content, recipe)) < 0.75 * len(content)
    assert quantise(content, "fp32") == content


def test_small_tables_stay() -> None:
    net = WithTable(side=8)
    assert net.factor.numel() < SMALLEST
    content = lowered(net)
    assert with_half_constants(content) == content


def test_what_half_precision_cannot_hold_stays(tmp_path: Path) -> None:
    content = lowered(WithTable(largest=1e6))
    small = with_half_constants(content)
    answers, found = opened(small, tmp_path / "x.tflite")
    assert found.operators["DEQUANTIZE"] == 1 and np.isfinite(answers).all()


def test_weights_of_layers_are_the_quantisers() -> None:
    net = nn.Sequential(nn.Conv2d(3, 64, 4, 4), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 64))
    content = lowered(net)
    assert net[0].weight.numel() > SMALLEST
    assert with_half_constants(content) == content
