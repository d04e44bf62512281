"""What stored samples of a colour space show in sRGB, by the standards' numbers in float64 and no colour engine.

ITU-T H.273 (2021), tables 2 and 3; IEC 61966-2-1; Adobe RGB (1998), 4.3.1. Written apart from dermedge's own tables.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

D65 = (0.3127, 0.3290)
C = (0.310, 0.316)
# H.273, table 2: code -> x, y of white, red, green, blue.
CHROMATICITIES: Mapping[int, tuple[float, ...]] = {
    1: (*D65, 0.640, 0.330, 0.300, 0.600, 0.150, 0.060),
    4: (*C, 0.67, 0.33, 0.21, 0.71, 0.14, 0.08),
    5: (*D65, 0.64, 0.33, 0.29, 0.60, 0.15, 0.06),
    6: (*D65, 0.630, 0.340, 0.310, 0.595, 0.155, 0.070),
    7: (*D65, 0.630, 0.340, 0.310, 0.595, 0.155, 0.070),
    8: (*C, 0.681, 0.319, 0.243, 0.692, 0.145, 0.049),
    9: (*D65, 0.708, 0.292, 0.170, 0.797, 0.131, 0.046),
    11: (0.314, 0.351, 0.680, 0.320, 0.265, 0.690, 0.150, 0.060),
    12: (*D65, 0.680, 0.320, 0.265, 0.690, 0.150, 0.060),
    22: (*D65, 0.630, 0.340, 0.295, 0.605, 0.155, 0.077),
}
ADOBE = (*D65, 0.64, 0.33, 0.21, 0.71, 0.15, 0.06)
ADOBE_POWER = 563 / 256
BRADFORD = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])

Curve = Callable[[np.ndarray], np.ndarray]  # stored value 0..1 -> light 0..1


def srgb(v: np.ndarray) -> np.ndarray:
    return np.where(v <= 0.04045, v / 12.92, ((v + 0.055) / 1.055) ** 2.4)


def rec709(v: np.ndarray) -> np.ndarray:
    a, b = 1.099296826809442, 0.018053968510807
    return np.where(v < 4.5 * b, v / 4.5, ((v + a - 1) / a) ** (1 / 0.45))


def smpte240(v: np.ndarray) -> np.ndarray:
    return np.where(v < 4 * 0.0228, v / 4, ((v + 0.1115) / 1.1115) ** (1 / 0.45))


def power(exponent: float) -> Curve:
    return lambda v: v**exponent


# H.273, table 3: code -> curve. Those that sRGB cannot hold (9, 10, 16, 18) have none.
CURVES: Mapping[int, Curve] = {
    17: lambda v: 52.37 / 48 * v**2.6,
    1: rec709, 4: power(2.2), 5: power(2.8), 6: rec709, 7: smpte240, 8: power(1), 13: srgb, 14: rec709, 15: rec709,
}  # fmt: skip


def to_xyz(chromaticities: tuple[float, ...]) -> np.ndarray:
    """3 x 3: linear RGB -> X, Y, Z relative to the space's own white (SMPTE RP 177)."""
    white, *colours = [np.array((x, y, 1 - x - y)) for x, y in np.reshape(chromaticities, (4, 2))]
    primaries = np.array(colours).T
    return primaries * np.linalg.solve(primaries, white / white[1])


def shown(stored: np.ndarray, chromaticities: tuple[float, ...], curve: Curve) -> np.ndarray:
    """Stored levels (…, 3) of that space as sRGB, float64 0..255, not rounded: white to white by Bradford, clipped."""
    white, goal = (np.array((x, y, 1 - x - y)) / y for x, y in (chromaticities[:2], D65))
    adapted = np.linalg.inv(BRADFORD) @ np.diag(BRADFORD @ goal / (BRADFORD @ white)) @ BRADFORD
    matrix = np.linalg.inv(to_xyz(CHROMATICITIES[1])) @ adapted @ to_xyz(chromaticities)
    light = (curve(np.asarray(stored, float) / 255) @ matrix.T).clip(0, 1)
    return 255 * to_srgb_sample(light)


def stored_in(rgb: np.ndarray, chromaticities: tuple[float, ...], power: float | None = None) -> np.ndarray:
    """sRGB bytes (H, W, 3) as bytes of another space of white D65, with sRGB's curve or a power."""
    matrix = np.linalg.inv(to_xyz(chromaticities)) @ to_xyz(CHROMATICITIES[1])
    light = (srgb(np.arange(256) / 255).astype(np.float32)[rgb] @ matrix.T.astype(np.float32)).clip(0, 1)
    if power is not None:
        return np.rint(255 * light ** (1 / power)).astype(np.uint8)
    return np.rint(255 * to_srgb_sample(light)).astype(np.uint8)


def to_srgb_sample(light: np.ndarray) -> np.ndarray:
    return np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
