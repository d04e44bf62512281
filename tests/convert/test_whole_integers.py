"""`int8-full`: made where it is asked for, with the camera's bytes in front; of attention it is refused by name."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import dermedge
from convert._convert import chosen_recipes
from convert._tflite.format import TFLiteFormat
from edge.labels import PAD_UFES_20
from edge.runtimes.litert import LiteRT

SIDE = 32

pytestmark = pytest.mark.filterwarnings("ignore:Function _TORCH_OPS_REGISTRY:DeprecationWarning")


def wrapped(network: nn.Module) -> dermedge.Checkpoint:
    torch.manual_seed(0)
    return dermedge.wrap(network, PAD_UFES_20, side=SIDE, mean=(0.5,) * 3, std=(0.2,) * 3, name="small")


def convolutions() -> nn.Module:
    torch.manual_seed(0)
    layers = [nn.Conv2d(3, 16, 3, 2, 1), nn.ReLU6(), nn.Conv2d(16, 16, 3, 1, 1, groups=16), nn.ReLU6()]
    head = nn.Linear(32, len(PAD_UFES_20))
    with torch.no_grad():
        head.weight *= 8
    return nn.Sequential(*layers, nn.Conv2d(16, 32, 1), nn.ReLU6(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), head)


@pytest.mark.slow(reason="measures and converts a network")
def test_it_is_made_where_it_is_asked_for(sample: Path, tmp_path: Path) -> None:
    assert "int8-full" not in chosen_recipes(TFLiteFormat(), None)
    build = dermedge.convert(
        wrapped(convolutions()), formats=["tflite"], recipes=["fp32", "int8-full"], photos=sample, out=tmp_path
    )
    entry = next(entry for entry in build.manifest.files if entry.recipe == "int8-full")
    assert (entry.dtype, entry.layout) == ("uint8", "NHWC") and entry.audit and entry.audit.share_8bit == 1.0
    images = np.random.default_rng(0).integers(0, 256, (4, SIDE, SIDE, 3), dtype=np.uint8)
    answers = [
        LiteRT(tmp_path / f"small-{recipe}.tflite").run(images).probabilities for recipe in ("fp32", "int8-full")
    ]
    assert 0 < np.abs(answers[0] - answers[1]).max() < 0.05
    named = [line for line in entry.audit.warnings if "whole-integers" in line]
    assert len(named) == 1 and "1 SOFTMAX" in named[0]


class Attending(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem, self.head = nn.Conv2d(3, 8, 8, stride=8), nn.Linear(8, len(PAD_UFES_20))

    def forward(self, x):
        tokens = self.stem(x).flatten(2).transpose(1, 2)
        return self.head((torch.softmax(tokens @ tokens.transpose(1, 2), -1) @ tokens).mean(1))


@pytest.mark.slow(reason="measures and converts a network")
def test_attention_has_no_file_in_whole_integers_and_is_named(sample: Path, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("convert._tflite.format.measure", None)  # it would raise: nothing is measured for it
    build = dermedge.convert(
        wrapped(Attending()), formats=["tflite"], recipes=["fp32", "int8-full"], photos=sample, out=tmp_path
    )
    assert set(build.rejected) == {"small-int8-full.tflite"}
    (reason,) = build.reasons
    assert "multiplies two computed values, as attention does" in reason or "a softmax inside the network" in reason
