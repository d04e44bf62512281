"""What a lens or a hand does before light falls on the sensor: kernels that keep its sum, in linear light."""

from __future__ import annotations

import numpy as np

from edge.colour.light import to_linear, to_srgb
from edge.questions.robustness.levels import level

FINE = 8  # samples along a pixel, for the partly covered ones at the rim of a disc


def defocus(rgb: np.ndarray, severity: int, rng: np.random.Generator) -> np.ndarray:
    return blurred(rgb, disc(level("defocus", severity) / 1000 * len(rgb)))


def motion(rgb: np.ndarray, severity: int, rng: np.random.Generator) -> np.ndarray:
    return blurred(rgb, line(level("motion", severity) / 1000 * len(rgb), rng.uniform(0, np.pi)))


def disc(radius: float) -> np.ndarray:
    """A disc as a kernel that sums to 1; `radius` in pixels. Each weight is the part of that pixel inside."""
    reach = int(np.ceil(radius - 0.5)) if radius > 0.5 else 0
    fine = (np.arange(FINE * (2 * reach + 1)) + 0.5) / FINE - (reach + 0.5)
    inside = fine[:, None] ** 2 + fine**2 <= max(radius, 0.5) ** 2
    kernel = inside.reshape(2 * reach + 1, FINE, 2 * reach + 1, FINE).mean(axis=(1, 3))
    return kernel / kernel.sum()


def line(length: float, angle: float) -> np.ndarray:
    """A straight path of `length` pixels as a kernel that sums to 1: points along it, shared among four pixels each."""
    reach = int(np.ceil(length / 2)) + 1
    along = np.linspace(-length / 2, length / 2, max(2, int(FINE * length)))
    kernel = np.zeros((2 * reach + 1, 2 * reach + 1))
    y, x = reach + along * np.sin(angle), reach + along * np.cos(angle)
    top, left = np.floor(y).astype(int), np.floor(x).astype(int)
    for down in (0, 1):
        for right in (0, 1):
            share = np.abs(1 - down - (y - top)) * np.abs(1 - right - (x - left))
            np.add.at(kernel, (top + down, left + right), share)
    return kernel / kernel.sum()


def blurred(rgb: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """Beyond the border the picture is mirrored, so that no dark frame comes in."""
    import cv2

    if kernel.size == 1:
        return rgb.copy()
    return to_srgb(cv2.filter2D(to_linear(rgb), -1, kernel, borderType=cv2.BORDER_REFLECT))
