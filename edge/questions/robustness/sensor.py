"""What a sensor and its exposure do to light: noise, too little or too much of it, light of another colour."""

from __future__ import annotations

import numpy as np

from edge.colour.light import to_linear, to_srgb
from edge.questions.robustness.levels import READ_NOISE, level

CELLS = 512  # electrons are counted on 1/CELLS x 1/CELLS of the square, whatever its pixels
D65 = 1e6 / 6504  # mired
# IEC 61966-2-1: CIE XYZ -> linear sRGB.
XYZ_TO_RGB = np.array([[3.2406, -1.5372, -0.4986], [-0.9689, 1.8758, 0.0415], [0.0557, -0.2040, 1.0570]])
LUMINANCE = np.array([0.2126, 0.7152, 0.0722])


def noise(rgb: np.ndarray, severity: int, rng: np.random.Generator) -> np.ndarray:
    # Pixels of a small file are larger on the skin: they collect more light, and the read noise of more cells.
    cells = (CELLS / len(rgb)) ** 2
    electrons = level("noise", severity) * cells
    return to_srgb(counted(to_linear(rgb), electrons, READ_NOISE[severity - 1] * cells**0.5, rng))


def counted(light: np.ndarray, electrons: float, read: float, rng: np.random.Generator) -> np.ndarray:
    """Light 0..1 as a linear sensor counts it (EMVA 1288): mean x = light * electrons, variance x + read^2."""
    return (rng.poisson(light * electrons) + rng.normal(0, read, light.shape)) / electrons


def underexposure(rgb: np.ndarray, severity: int, rng: np.random.Generator) -> np.ndarray:
    return exposed(rgb, level("underexposure", severity))


def overexposure(rgb: np.ndarray, severity: int, rng: np.random.Generator) -> np.ndarray:
    return exposed(rgb, level("overexposure", severity))


def exposed(rgb: np.ndarray, stops: float) -> np.ndarray:
    return to_srgb(to_linear(rgb) * np.float32(2.0**stops))


def white_balance(rgb: np.ndarray, severity: int, rng: np.random.Generator) -> np.ndarray:
    return to_srgb(to_linear(rgb) * gains(rng.choice((-1, 1)) * level("white-balance", severity)))


def gains(mired: float) -> np.ndarray:
    """float32 (3,): what daylight `mired` warmer than D65 does to linear R, G, B of a camera that believes in D65.

    The luminance of white is kept, as an automatic exposure would.
    """
    light = daylight(D65 + mired) / daylight(D65)
    return (light / (LUMINANCE @ light)).astype(np.float32)


def daylight(mired: float) -> np.ndarray:
    """Linear sRGB (3,) of CIE daylight, 40 to 250 mired (25,000 to 4000 K). CIE 15:2004, equations 3.3 to 3.5."""
    if not 40 <= mired <= 250:
        raise ValueError(f"CIE daylight has 40 to 250 mired, got {mired:g}")
    t = mired / 1000  # thousands of kelvin, inverted
    if mired >= 1e6 / 7000:
        x = -4.6070 * t**3 + 2.9678 * t**2 + 0.09911 * t + 0.244063
    else:
        x = -2.0064 * t**3 + 1.9018 * t**2 + 0.24748 * t + 0.237040
    y = -3.000 * x**2 + 2.870 * x - 0.275
    return XYZ_TO_RGB @ np.array([x / y, 1.0, (1 - x - y) / y])
