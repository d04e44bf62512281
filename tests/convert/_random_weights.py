"""A checkpoint that nobody trained, quick to make, with answers that depend on the picture."""

from __future__ import annotations

from pathlib import Path

import torch

from edge.checkpoint import Checkpoint, Preprocess, save
from edge.labels import PAD_UFES_20
from edge.models import create_model
from edge.preprocess import PREPROCESS_VERSION

SIDE = 64  # pixels; small, so that lowering is what takes the time


def save_random(path: Path) -> Path:
    """Write a hierattn_xs of SIDE; batch norm has seen colours. Returns the .safetensors."""
    torch.manual_seed(0)
    net = create_model("hierattn_xs")
    net.train()
    with torch.no_grad():
        for _ in range(20):
            net(torch.rand(8, 3, SIDE, SIDE) * torch.rand(8, 3, 1, 1))
    net.classifier.weight.data *= 8  # answers that are not all alike
    held = Checkpoint("hierattn_xs", PAD_UFES_20, Preprocess(PREPROCESS_VERSION, SIDE), net.state_dict(), 1.3)
    save(held, path)
    return path.with_suffix(".safetensors")
