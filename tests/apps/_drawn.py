"""A model of drawn weights and a drawn lesion, for the apps' tests."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

import dermedge
from edge import artifact
from edge.files import sha256, size
from edge.labels import PAD_UFES_20
from edge.manifest import Mask, Output, SelfTest
from edge.runtimes.litert import LiteRT
from tests.edge._manifests import entry, manifest

SIDE = 32
FILE = "painted-fp32.tflite"
PHOTOGRAPHS = {"name": "drawn", "images": 1, "patients": 1}
DECISION = {  # dark, bright and green pictures are sent back
    "version": "gate-2", "side": SIDE, "abstain_threshold": 0.2, "coverage": 0.9,
    "quality": {
        "light": 60, "clipped": 300, "contrast": 0, "fine": 0, "coarse": 0, "busy": 9999, "warm": 0, "green": 20,
        "spot": 0,
    },
    "measured": {
        "quality_from": PHOTOGRAPHS, "abstain_from": PHOTOGRAPHS, "alarm_share_per_check": 0.01, "false_alarms": [],
    },
}  # fmt: skip


class Painted(nn.Module):
    """Classes by the mean colour; the lesion is where it is dark."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(3, len(PAD_UFES_20))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return 3 * self.head(x.mean((2, 3))), -5 * x.mean(1, keepdim=True)


def lesion(path: Path, side: int) -> None:
    """A drawn spot on drawn skin, with the grain of a camera, so that the quality gate lets it pass."""
    y, x = np.mgrid[:side, :side] / side - 0.5
    inside = 1 / (1 + np.exp(40 * (np.hypot(x, 0.8 * y) - 0.22)))
    grain = np.random.default_rng(5).normal(0, 3, (side, side, 1))
    skin, spot = np.array([214, 168, 146]), np.array([96, 58, 44])
    picture = skin + inside[..., None] * (spot - skin) + grain
    Image.fromarray(picture.clip(0, 255).astype(np.uint8)).save(path)


def painted(folder: Path) -> None:
    """Fills a folder with the model, which has a mask and sends a blurred or dark picture back, and its manifest."""
    from convert._tflite.file import float_model

    torch.manual_seed(0)
    mean, std = (0.5,) * 3, (0.25,) * 3
    checkpoint = dermedge.wrap(Painted().eval(), list(PAD_UFES_20), side=SIDE, mean=mean, std=std, name="painted")
    path = folder / FILE
    path.write_bytes(float_model(checkpoint).content)
    lesion(folder / "self_test_0.png", SIDE)
    pixels = np.asarray(Image.open(folder / "self_test_0.png"))
    told = LiteRT(path).run(pixels[None])
    assert told.masks is not None
    probabilities = tuple(map(float, told.probabilities[0]))
    test = SelfTest(
        "self_test_0.png", sha256(folder / "self_test_0.png"), hashlib.sha256(pixels.tobytes()).hexdigest(),
        probabilities, {path.name: probabilities},
    )  # fmt: skip
    files = (entry(path.name, sha256=sha256(path), bytes=size(path)),)
    artifact.write(folder, manifest(
        side=SIDE, labels=tuple(PAD_UFES_20), files=files, self_test=(test,), mask=Mask("drawn", SIDE, 0.5),
        decision=DECISION, output=Output("softmax", 1.0, 0.2),
    ))  # fmt: skip
