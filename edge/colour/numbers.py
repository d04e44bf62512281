"""A colour space that a file states by a gamma and chromaticities, as PNG and EXIF do."""

from __future__ import annotations

import numpy as np

from .icc import colorants
from .spaces import BT_709, SRGB, SRGB_CURVE, Chromaticities, Curve, Space

UNITS = 100_000  # of gAMA and cHRM
GAMMA_OF_SRGB = 1 / 2.2
SAME_GAMMA = 0.05  # libpng's and Chromium's bound for "the same as the display's"
ROUNDING = 1e-4  # EXIF writers use few digits: 0.7347 + 0.2654
GAMMAS = (16, 625_000_000)  # what libpng accepts in gAMA


def of_numbers(gamma: float | None, numbers: tuple[float, ...] | None) -> Space | None:
    """gAMA as sample = light^gamma; cHRM as x, y of white, red, green, blue. Impossible numbers count as none.

    gAMA alone within 5 % of 1 / 2.2 stands for sRGB, whose writers add it for old readers; cHRM alone has sRGB's curve.
    """
    if gamma is not None and not GAMMAS[0] <= round(gamma * UNITS) <= GAMMAS[1]:
        gamma = None
    at = None if numbers is None else chromaticities(numbers)
    if gamma is None:
        return None if at is None else Space(at, SRGB_CURVE)
    if at is None and abs(gamma / GAMMA_OF_SRGB - 1) < SAME_GAMMA:
        return SRGB
    return Space(at or BT_709, Curve(1 / gamma))


def chromaticities(numbers: tuple[float, ...]) -> Chromaticities | None:
    """None unless eight numbers are the x, y of a white inside a triangle of colours."""
    if len(numbers) != 8 or not all(0 <= number <= 1 for number in numbers):
        return None
    pairs = list(zip(numbers[::2], numbers[1::2], strict=True))
    if any(x + y > 1 + ROUNDING for x, y in pairs) or pairs[0][1] == 0:
        return None
    at = Chromaticities(*pairs)
    try:
        matrix = colorants(at)
    except np.linalg.LinAlgError:
        return None
    # s15Fixed16 ends at 32768; a white outside the triangle asks for negative light, whose Y is below 0.
    return at if np.isfinite(matrix).all() and abs(matrix).max() < 100 and matrix[1].min() >= 0 else None
