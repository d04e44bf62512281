"""An 8-bit recipe whose gate no choice of layers can pass: said with both figures, and nothing is measured for it."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

import dermedge
from convert._coreml import int8 as coreml_int8
from edge.labels import PAD_UFES_20

pytestmark = pytest.mark.filterwarnings("ignore:Function _TORCH_OPS_REGISTRY:DeprecationWarning")


def depthwise() -> nn.Module:
    """Most products are of depthwise convolutions, which have no 8-bit kernel in XNNPACK."""
    torch.manual_seed(0)
    layers = [nn.Conv2d(3, 16, 1), nn.Conv2d(16, 16, 7, 1, 3, groups=16), nn.ReLU()]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, len(PAD_UFES_20)))


def transposed() -> nn.Module:
    """Most products are of a transposed convolution, whose activations Apple's passes leave in fp16."""
    torch.manual_seed(0)
    layers = [nn.Conv2d(3, 8, 1, 2), nn.ConvTranspose2d(8, 8, 2, 2), nn.ReLU()]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, len(PAD_UFES_20)))


@pytest.mark.parametrize(
    ("form", "network", "recipes"),
    [
        ("tflite", depthwise, ["int8-dynamic", "int8", "int8-io"]),
        pytest.param("coreml", transposed, ["int8"], marks=pytest.mark.slow(reason="a conversion by coremltools")),
    ],
)
def test_it_is_said_and_nothing_is_measured(form, network, recipes, sample: Path, tmp_path: Path, monkeypatch) -> None:
    def never(*given, **more):
        raise AssertionError("measured for nothing")

    monkeypatch.setattr("convert._tflite.format.measure", never)
    monkeypatch.setattr(coreml_int8.Imitation, "go_on", never)
    monkeypatch.setattr("convert._coreml.format.RANGE_IMAGES", 1)
    held = dermedge.wrap(network(), PAD_UFES_20, side=32, mean=(0.5,) * 3, std=(0.2,) * 3, name="small")
    build = dermedge.convert(held, formats=[form], recipes=["fp32", *recipes], photos=sample, out=tmp_path)
    suffix = {"tflite": "tflite", "coreml": "mlpackage"}[form]
    assert set(build.rejected) == {f"small-{recipe}.{suffix}" for recipe in recipes}
    assert [entry.recipe for entry in build.manifest.files] == ["fp32"]
    (reason,) = build.reasons
    assert "% of its MACs can be on 8-bit activations" in reason and "at least 80%" in reason
