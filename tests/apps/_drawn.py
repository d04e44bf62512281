"""A model of drawn weights and a drawn lesion, for the pages' tests."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image
from torch import Tensor, nn

from edge.labels import PAD_UFES_20

SIDE = 32
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
