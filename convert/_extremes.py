"""Pictures that span what cameras give, for what a conversion has to know before there are photographs."""

from __future__ import annotations

import numpy as np

PATCHES = 8  # along each side of a picture


def drawn(side: int) -> np.ndarray:
    """Black, white, noise of every pixel and coarse patches of colour: uint8 (4, side, side, 3), always the same."""
    random = np.random.default_rng(0)
    patches = random.integers(0, 256, (PATCHES, PATCHES, 3), np.uint8)
    rows = np.arange(side) * PATCHES // side
    noise = random.integers(0, 256, (side, side, 3), np.uint8)
    return np.stack([np.zeros_like(noise), np.full_like(noise, 255), noise, patches[rows][:, rows]])
