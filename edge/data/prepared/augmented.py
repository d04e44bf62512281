"""Augmented copies of a photograph, which random oversampling fills small classes with."""

from __future__ import annotations

import hashlib

import cv2
import numpy as np

VERSION = "copies-1"  # of what a copy looks like
LEAST_ZOOM = 0.8  # share of the side that is kept
LIGHT = 0.2  # at most so much brighter or darker, and so much more or less contrast, as a share


def copy_of(square: np.ndarray, name: str, copy: int, seed: int) -> np.ndarray:
    """Another view of a square, uint8 RGB (S, S, 3): turned, mirrored, zoomed in, lit otherwise. Copy 0 is the square.

    Drawn from `name`, `copy` and `seed` alone, so that the same copy has the same pixels in whatever order it is made.
    """
    if copy == 0:
        return square
    key = hashlib.sha256(f"{VERSION} {seed} {copy} {name}".encode("utf-8", "surrogateescape")).digest()
    rng, side = np.random.default_rng(int.from_bytes(key[:8], "big")), len(square)
    view = np.rot90(square, int(rng.integers(4)))
    if rng.integers(2):
        view = view[:, ::-1]
    length = round(side * rng.uniform(LEAST_ZOOM, 1))
    top, left = rng.integers(side - length + 1, size=2)
    part = np.ascontiguousarray(view[top : top + length, left : left + length])
    view = cv2.resize(part, (side, side), interpolation=cv2.INTER_LINEAR)
    brightness, contrast = rng.uniform(1 - LIGHT, 1 + LIGHT, size=2)
    middle = view.mean(axis=(0, 1), keepdims=True)
    lit = ((view - middle) * contrast + middle) * brightness
    return np.rint(lit.clip(0, 255)).astype(np.uint8)
