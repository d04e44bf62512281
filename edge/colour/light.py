"""sRGB bytes to linear light and back (IEC 61966-2-1). Optics and sensors add up light, not bytes."""

from __future__ import annotations

from functools import cache

import numpy as np

STEPS = 2**16 - 1  # of the table back; a step is at most a twentieth of a byte, where the curve is steepest


def decoded(encoded: np.ndarray) -> np.ndarray:
    """Linear light 0..1 of sRGB values 0..1."""
    return np.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)


def encoded(linear: np.ndarray) -> np.ndarray:
    """sRGB values 0..1 of linear light 0..1."""
    return np.where(linear <= 0.0031308, linear * 12.92, 1.055 * linear ** (1 / 2.4) - 0.055)


@cache
def tables() -> tuple[np.ndarray, np.ndarray]:
    """float32 (256,) of linear light, and bytes (STEPS + 1,) of it."""
    linear = decoded(np.arange(256) / 255).astype(np.float32)
    back = np.rint(255 * encoded(np.arange(STEPS + 1) / STEPS)).astype(np.uint8)
    return linear, back


def to_linear(rgb: np.ndarray) -> np.ndarray:
    """float32 0..1 of bytes."""
    return tables()[0][rgb]


def to_srgb(linear: np.ndarray) -> np.ndarray:
    """Bytes of linear light; what is below black or above white is cut, as a camera does."""
    return tables()[1][(np.clip(linear, 0, 1) * STEPS + 0.5).astype(np.int32)]
