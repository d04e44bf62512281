"""Smooth noise to paint and to photograph with."""

from __future__ import annotations

import cv2
import numpy as np

Rng = np.random.Generator


class Noise:
    """Tiles of smooth noise, computed once; a random piece of one is a new field for next to nothing."""

    TILE = 1536

    def __init__(self, seed: int) -> None:
        rng = np.random.default_rng((seed, 0x4E4F4953))
        self.tiles = {scale: self.tile(rng, scale) for scale in (1.2, 2.5, 6, 14, 36, 110)}
        # Sensor noise, partly common to the channels.
        common = rng.standard_normal((self.TILE, self.TILE, 1), np.float32)
        own = rng.standard_normal((self.TILE, self.TILE, 3), np.float32)
        grains = cv2.GaussianBlur(0.8 * common + 0.6 * own, (0, 0), 0.8)
        self.sensor = np.asarray(grains / grains.std(), np.float32)

    def tile(self, rng: Rng, scale: float) -> np.ndarray:
        """Gaussian noise of unit variance whose blobs are about `scale` pixels wide."""
        step = max(1, int(scale / 3))
        small = rng.standard_normal((self.TILE // step + 1,) * 2, np.float32)
        blurred = cv2.GaussianBlur(small, (0, 0), scale / step, borderType=cv2.BORDER_REFLECT)
        large = cv2.resize(blurred, (self.TILE, self.TILE), interpolation=cv2.INTER_CUBIC)
        return (large - large.mean()) / large.std()

    def field(self, rng: Rng, side: int, scale: float) -> np.ndarray:
        """float32 (side, side) of about the given scale: a piece of the nearest tile, flipped at random."""
        nearest = min(self.tiles, key=lambda known: abs(np.log(known / scale)))
        top, left = rng.integers(0, self.TILE - side + 1, 2)
        piece = self.tiles[nearest][top : top + side, left : left + side]
        return piece[:: rng.choice((-1, 1)), :: rng.choice((-1, 1))]
