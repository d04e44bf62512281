"""Colour profiles of RGB spaces, written as ICC.1:2010 asks for them: three colorants and a curve."""

from __future__ import annotations

import struct
from collections.abc import Sequence

import numpy as np

# X, Y, Z of red, green, blue, adapted to D50: IEC 61966-2-1; SMPTE EG 432-1 with D65; Adobe RGB (1998).
SRGB = ((0.43607, 0.22249, 0.01392), (0.38515, 0.71687, 0.09708), (0.14307, 0.06061, 0.71410))
DISPLAY_P3 = ((0.51512, 0.24120, -0.00105), (0.29198, 0.69225, 0.04189), (0.15710, 0.06657, 0.78407))
ADOBE_RGB = ((0.60974, 0.31111, 0.01947), (0.20528, 0.62567, 0.06087), (0.14919, 0.06322, 0.74457))
ADOBE_GAMMA = 2.19921875
WHITE = (0.9642, 1.0, 0.8249)
CURVE = (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)  # sRGB's, as a parametric curve of type 3
Colorants = Sequence[Sequence[float]]


def profile(colorants: Colorants, *, gamma: float | None = None) -> bytes:
    """A profile of RGB with sRGB's curve, or with a power of `gamma`."""
    curve = b"para" + bytes(4) + struct.pack(">HH", 3 if gamma is None else 0, 0)
    curve += fixed(CURVE if gamma is None else (gamma,))
    tags = {}
    for channel, colorant in zip("rgb", colorants, strict=True):
        tags[channel + "XYZ"], tags[channel + "TRC"] = xyz(colorant), curve
    return written(b"RGB ", tags)


def grey_profile(gamma: float) -> bytes:
    return written(b"GRAY", {"kTRC": b"para" + bytes(4) + struct.pack(">HH", 0, 0) + fixed((gamma,))})


def written(kind: bytes, own: dict[str, bytes]) -> bytes:
    text = b"mluc" + bytes(4) + struct.pack(">II4sII", 1, 12, b"enUS", 4, 28) + "P3".encode("utf-16-be")
    tags = {"desc": text, "cprt": text, "wtpt": xyz(WHITE)} | own
    table, data, start = struct.pack(">I", len(tags)), b"", 132 + 12 * len(tags)
    for tag, content in tags.items():
        table += tag.encode() + struct.pack(">II", start + len(data), len(content))
        data += content + bytes(-len(content) % 4)
    size = start + len(data)
    header = struct.pack(">I4sI4s4s4s", size, b"none", 0x04300000, b"mntr", kind, b"XYZ ")
    header += struct.pack(">6H4s4sI4s4sQI", 2026, 1, 1, 0, 0, 0, b"acsp", b"APPL", 0, b"none", b"none", 0, 0)
    header += fixed(WHITE)
    return header + bytes(128 - len(header)) + table + data


def to_srgb(rgb: np.ndarray, colorants: Colorants, *, gamma: float | None = None) -> np.ndarray:
    """Bytes of that space as sRGB, float64 0..255, not rounded: the colorimetry, without any colour engine."""
    stored = rgb / 255
    curve = np.where(stored <= 0.04045, stored / 12.92, ((stored + 0.055) / 1.055) ** 2.4)
    linear = (curve if gamma is None else stored**gamma) @ np.array(colorants) @ np.linalg.inv(np.array(SRGB))
    linear = linear.clip(0, 1)
    return 255 * np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)


def xyz(values: Sequence[float]) -> bytes:
    return b"XYZ " + bytes(4) + fixed(values)


def fixed(values: Sequence[float]) -> bytes:
    return b"".join(struct.pack(">i", round(value * 65536)) for value in values)
