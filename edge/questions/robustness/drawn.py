"""What lies over the skin: hairs, and the ring that a surgeon draws around a lesion."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from edge.colour.light import to_linear, to_srgb
from edge.preprocess import area
from edge.questions.robustness.levels import HAIR_WIDTH, PEN_WIDTH, level

FINE = 4  # lines are drawn so many times larger and averaged: thin ones keep their width
HAIR = np.array([[30, 20, 16], [58, 40, 30], [92, 66, 46]], np.uint8)  # sRGB: black, dark brown, brown
INK = np.array([0.30, 0.16, 0.50], np.float32)  # of linear R, G, B that violet ink lets through (gentian violet)


def hair(rgb: np.ndarray, severity: int, rng: np.random.Generator) -> np.ndarray:
    """Bent hairs of one person's colour, each a quadratic Bézier curve 0.3 to 0.9 of the side long."""
    lines = []
    for _ in range(int(level("hair", severity))):
        start, angle = rng.uniform(0, 1, 2), rng.uniform(0, 2 * np.pi)
        along = rng.uniform(0.3, 0.9) * np.array([np.cos(angle), np.sin(angle)])
        middle = start + along / 2 + rng.normal(0, 0.08, 2)
        t = np.linspace(0, 1, 24)[:, None]
        points = (1 - t) ** 2 * start + 2 * t * (1 - t) * middle + t**2 * (start + along)
        lines.append((points, rng.uniform(*HAIR_WIDTH) / 1000))
    colour = to_linear(HAIR[rng.integers(len(HAIR))])
    return laid_over(rgb, covered(lines, len(rgb)), lambda skin: colour)


def pen(rgb: np.ndarray, severity: int, rng: np.random.Generator) -> np.ndarray:
    """An arc about the centre. Ink takes light away, the skin below stays visible."""
    begin, bend = rng.uniform(0, 2 * np.pi), rng.uniform(0, 2 * np.pi)
    angle = begin + np.radians(np.linspace(0, level("pen", severity), 120))
    radius = rng.uniform(0.34, 0.42) * (1 + 0.05 * np.cos(2 * angle + bend))  # nobody draws a circle
    points = 0.5 + radius[:, None] * np.stack([np.cos(angle), np.sin(angle)], 1)
    return laid_over(rgb, covered([(points, PEN_WIDTH / 1000)], len(rgb)), lambda skin: skin * INK)


def covered(lines: Sequence[tuple[np.ndarray, float]], side: int) -> np.ndarray:
    """float32 (side, side): the part of each pixel under lines, each through points (x, y) and so wide, in sides."""
    import cv2

    large = np.zeros((side * FINE, side * FINE), np.uint8)
    for points, width in lines:
        # OpenCV takes sub-pixel places (here 1/16) but whole widths.
        places = np.rint((points * side * FINE - 0.5) * 16).astype(np.int32)
        cv2.polylines(large, [places], False, 255, max(1, round(width * side * FINE)), cv2.LINE_8, shift=4)
    return area(large[:, :, None], side)[:, :, 0].astype(np.float32) / 255


def laid_over(rgb: np.ndarray, cover: np.ndarray, seen: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """The picture with `seen(skin)`, linear light, where it is covered; every other pixel keeps its bytes."""
    under = cover > 0
    skin, share = to_linear(rgb[under]), cover[under][:, None]
    result = rgb.copy()
    result[under] = to_srgb((1 - share) * skin + share * seen(skin))
    return result
