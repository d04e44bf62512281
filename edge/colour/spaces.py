"""RGB colour spaces as standards and files state them: chromaticities and the curve from sample to light."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from edge.errors import InputError


class Curve(NamedTuple):
    """Light = (a v + b)^g where v >= d, else c v; v and light are 0..1 (ICC.1:2022, 10.18, function type 3)."""

    g: float
    a: float = 1.0
    b: float = 0.0
    c: float = 0.0
    d: float = 0.0


class Chromaticities(NamedTuple):
    """CIE 1931 x, y of the white and of the three primaries."""

    white: tuple[float, float]
    red: tuple[float, float]
    green: tuple[float, float]
    blue: tuple[float, float]


@dataclass(frozen=True)
class Space:
    at: Chromaticities
    curve: Curve


D65 = (0.3127, 0.3290)
ILLUMINANT_C = (0.310, 0.316)
DCI = (0.314, 0.351)

SRGB_CURVE = Curve(2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)  # IEC 61966-2-1
BT_1886 = Curve(2.4)  # the display that pictures with BT.709's curve are made on
SMPTE_240M = Curve(1 / 0.45, 1 / 1.1115, 0.1115 / 1.1115, 1 / 4, 4 * 0.0228)
SMPTE_428 = Curve(2.6, (52.37 / 48) ** (1 / 2.6))
BT_709 = Chromaticities(D65, (0.64, 0.33), (0.30, 0.60), (0.15, 0.06))
BT_601_525 = Chromaticities(D65, (0.630, 0.340), (0.310, 0.595), (0.155, 0.070))

SRGB = Space(BT_709, SRGB_CURVE)
# Adobe RGB (1998), 4.3.1: the power is 2 + 51/256.
ADOBE_RGB = Space(Chromaticities(D65, (0.64, 0.33), (0.21, 0.71), (0.15, 0.06)), Curve(563 / 256))

# ITU-T H.273 (2021), table 2. 10 (X, Y, Z as primaries) is for cinema, 0, 3 and the others are reserved.
PRIMARIES: Mapping[int, Chromaticities] = {
    1: BT_709,
    4: Chromaticities(ILLUMINANT_C, (0.67, 0.33), (0.21, 0.71), (0.14, 0.08)),
    5: Chromaticities(D65, (0.64, 0.33), (0.29, 0.60), (0.15, 0.06)),
    6: BT_601_525,
    7: BT_601_525,
    8: Chromaticities(ILLUMINANT_C, (0.681, 0.319), (0.243, 0.692), (0.145, 0.049)),
    9: Chromaticities(D65, (0.708, 0.292), (0.170, 0.797), (0.131, 0.046)),
    11: Chromaticities(DCI, (0.680, 0.320), (0.265, 0.690), (0.150, 0.060)),
    12: Chromaticities(D65, (0.680, 0.320), (0.265, 0.690), (0.150, 0.060)),
    22: Chromaticities(D65, (0.630, 0.340), (0.295, 0.605), (0.155, 0.077)),
}
# Table 3, without those of cameras for television (below) and those that sRGB cannot hold (REFUSED_TRANSFERS).
TRANSFERS: Mapping[int, Curve] = {
    4: Curve(2.2), 5: Curve(2.8), 7: SMPTE_240M, 8: Curve(1.0), 13: SRGB_CURVE, 17: SMPTE_428,
}  # fmt: skip
# BT.709, BT.601 and BT.2020 describe a camera; what the picture looks like is decided by the display that it was made
# on. Each container has its own: see docs/preprocess.md, Colour.
CAMERA_TRANSFERS = frozenset({1, 6, 14, 15})
REFUSED_TRANSFERS: Mapping[int, str] = {
    9: "logarithmic, 100 : 1",
    10: "logarithmic, 316 : 1",
    11: "extended gamut, IEC 61966-2-4",
    12: "extended gamut, BT.1361",
    16: "PQ of BT.2100, high dynamic range",
    18: "HLG of BT.2100, high dynamic range",
}
HDR_TRANSFERS = frozenset({16, 18})
UNSPECIFIED = 2


def of_codes(primaries: int, transfer: int, *, camera: Curve, where: str) -> Space | None:
    """The colour space of two codes of ITU-T H.273; None where both are unspecified.

    One that is unspecified is sRGB's. `camera` is the curve of BT.709, BT.601 and BT.2020 in this kind of file, `where`
    begins the message: "photo.png: its cICP chunk". Raises InputError for what sRGB cannot hold and for reserved codes.
    """
    if (primaries, transfer) == (UNSPECIFIED, UNSPECIFIED):
        return None
    if transfer in REFUSED_TRANSFERS:
        raise InputError(too_much(where, f"transfer characteristics {transfer} ({REFUSED_TRANSFERS[transfer]})"))
    curves = {UNSPECIFIED: SRGB_CURVE, **TRANSFERS, **dict.fromkeys(CAMERA_TRANSFERS, camera)}
    places = {UNSPECIFIED: BT_709, **PRIMARIES}
    for code, known, field in ((primaries, places, "colour primaries"), (transfer, curves, "transfer characteristics")):
        if code not in known:
            raise InputError(
                f"{where} states {field} {code}, which no photograph has (ITU-T H.273); expected one of "
                f"{', '.join(map(str, sorted(known)))}. Save it again in sRGB"
            )
    return Space(places[primaries], curves[transfer])


def too_much(where: str, what: str) -> str:
    return (
        f"{where} states {what}, which sRGB cannot hold; expected a photograph of standard range. Save it again as "
        "JPEG in sRGB, or switch HDR off in the camera"
    )
