"""Every way in which JPEG, PNG, WebP, HEIC and AVIF state a colour space, and what is right for each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from ._colorimetry import ADOBE, ADOBE_POWER, CHROMATICITIES, CURVES, D65, Curve, power, srgb
from ._colour_files import (
    chrm,
    chunk,
    cicp,
    encoded,
    exif,
    gama,
    iccp,
    in_bitstream,
    plain,
    png,
    restated,
    srgb_chunk,
    tagged,
    with_profile,
)  # fmt: skip
from ._profiles import DISPLAY_P3, profile

Shown = tuple[tuple[float, ...], Curve]  # chromaticities and curve that the pixels are to be read with
PLAIN: Shown = (CHROMATICITIES[1], srgb)
P3: Shown = (CHROMATICITIES[12], srgb)
ADOBE_RGB: Shown = (ADOBE, power(ADOBE_POWER))


# What is stated -> how the file is made, and what its pixels mean or a word of the refusal.
Ways = dict[str, tuple[Callable[[], bytes], Shown | str]]


PROPHOTO = (0.3457, 0.3585, 0.7347, 0.2653, 0.1596, 0.8404, 0.0366, 0.0001)  # ISO 22028-2; x + y of red is 1


@dataclass(frozen=True)
class Case:
    """A file of the card that states its colour in one way."""

    form: str  # Pillow's name
    make: Callable[[], bytes]
    shows: Shown | str  # what the pixels mean, or a word of the refusal


def png_of_codes(primaries: int, transfer: int) -> bytes:
    return png(cicp(primaries, transfer))


def coded(primaries: int, transfer: int, camera: Curve) -> Shown:
    """What two codes of H.273 mean; `camera` for BT.709, BT.601 and BT.2020, as browsers show them."""
    curve = camera if transfer in (1, 6, 14, 15) else CURVES.get(transfer, srgb)
    return CHROMATICITIES.get(primaries, CHROMATICITIES[1]), curve


def png_cases() -> Ways:
    p3 = profile(DISPLAY_P3)
    rows: Ways = {}
    bt_1886 = power(2.4)
    for primaries in CHROMATICITIES:
        rows[f"cICP {primaries}, 13"] = partial(png_of_codes, primaries, 13), coded(primaries, 13, bt_1886)
    for transfer in (1, 2, 4, 5, 6, 7, 8, 14, 15, 17):
        rows[f"cICP 12, {transfer}"] = partial(png_of_codes, 12, transfer), coded(12, transfer, bt_1886)
    for transfer, word in ((9, "logarithmic"), (10, "logarithmic"), (11, "extended"), (12, "extended"), (16, "PQ"),
                           (18, "HLG"), (0, "transfer characteristics 0"), (3, "transfer characteristics 3"),
                           (255, "transfer characteristics 255")):  # fmt: skip
        rows[f"cICP 9, {transfer}"] = partial(png_of_codes, 9, transfer), word
    for primaries in (0, 3, 10, 13, 255):
        rows[f"cICP {primaries}, 13"] = partial(png_of_codes, primaries, 13), f"colour primaries {primaries}"
    return rows | {
        "cICP 2, 2": (lambda: png(cicp(2, 2)), PLAIN),
        "cICP 2, 8": (lambda: png(cicp(2, 8)), (CHROMATICITIES[1], power(1))),
        "cICP of a matrix": (lambda: png(cicp(12, 13, 1)), "matrix coefficients 1"),
        "cICP of narrow range": (lambda: png(cicp(12, 13, 0, 0)), "narrow range"),
        "cICP of three bytes": (lambda: png(chunk(b"cICP", bytes((12, 13, 0)))), PLAIN),
        "iCCP": (lambda: png(iccp(p3)), P3),
        "iCCP called PQ": (lambda: png(iccp(p3, b"ITUR_2100_PQ_FULL")), "PQ"),
        "iCCP with a cicp tag of PQ": (lambda: png(iccp(tagged(p3, 9, 16))), "PQ"),
        "iCCP with a cicp tag of P3": (lambda: png(iccp(tagged(p3, 12, 13))), P3),
        "sRGB": (lambda: png(srgb_chunk(1)), PLAIN),
        "gAMA 45455": (lambda: png(gama(45455)), PLAIN),
        "gAMA 43500": (lambda: png(gama(43500)), PLAIN),
        "gAMA 43000": (lambda: png(gama(43000)), (CHROMATICITIES[1], power(1 / 0.43))),
        "gAMA 55556": (lambda: png(gama(55556)), (CHROMATICITIES[1], power(1 / 0.55556))),
        "gAMA 100000": (lambda: png(gama(100000)), (CHROMATICITIES[1], power(1))),
        "gAMA 0": (lambda: png(gama(0)), PLAIN),
        "gAMA 45455 + cHRM of sRGB": (
            lambda: png(gama(45455), chrm(CHROMATICITIES[1])), (CHROMATICITIES[1], power(1 / 0.45455))
        ),
        "gAMA + cHRM of P3": (lambda: png(chrm(CHROMATICITIES[12]), gama(45455)), (CHROMATICITIES[12], power(2.2))),
        "gAMA + cHRM of Adobe RGB": (lambda: png(gama(45470), chrm(ADOBE)), ADOBE_RGB),
        "cHRM of P3": (lambda: png(chrm(CHROMATICITIES[12])), P3),
        "gAMA + cHRM of ProPhoto RGB": (lambda: png(gama(55556), chrm(PROPHOTO)), (PROPHOTO, power(1 / 0.55556))),
        "cHRM of sRGB": (lambda: png(chrm(CHROMATICITIES[1])), PLAIN),
        "cHRM on one line": (lambda: png(chrm((*D65, 0.1, 0.1, 0.2, 0.2, 0.3, 0.3))), PLAIN),
        "cHRM with a white of no light": (lambda: png(chrm((0.3, 0, *ADOBE[2:]))), PLAIN),
        "cHRM of four bytes": (lambda: png(chunk(b"cHRM", bytes(4))), PLAIN),
        # Precedence: cICP, iCCP, sRGB, gAMA with cHRM, EXIF; the order of the chunks does not matter.
        "iCCP P3 + cICP sRGB": (lambda: png(iccp(p3), cicp(1, 13)), PLAIN),
        "cICP P3 + sRGB": (lambda: png(srgb_chunk(), cicp(12, 13)), P3),
        "cICP PQ + iCCP": (lambda: png(iccp(p3), cicp(9, 16)), "PQ"),
        "cICP unspecified + iCCP P3": (lambda: png(cicp(2, 2), iccp(p3)), P3),
        "sRGB + iCCP P3": (lambda: png(srgb_chunk(), iccp(p3)), P3),
        "broken iCCP + gAMA": (lambda: png(iccp(b"no profile" * 20), gama(100000)), (CHROMATICITIES[1], power(1))),
        "gAMA 100000 + sRGB": (lambda: png(gama(100000), srgb_chunk()), PLAIN),
        "gAMA 100000 + sRGB without sense": (
            lambda: png(gama(100000), srgb_chunk(9)), (CHROMATICITIES[1], power(1))
        ),
        "gAMA 100000 + iCCP P3": (lambda: png(gama(100000), iccp(p3)), P3),
        "sRGB + EXIF R03": (lambda: png(srgb_chunk(), base=encoded("PNG", exif=exif(65535, "R03"))), PLAIN),
    }  # fmt: skip


def box_cases(form: str) -> Ways:
    """HEIC or AVIF."""
    rows: Ways = {}
    pairs = [(n, 13) for n in CHROMATICITIES] + [(12, n) for n in (1, 2, 4, 5, 6, 7, 8, 14, 15, 17)] + [(2, 2), (2, 13)]
    for primaries, transfer in pairs:
        shows = coded(primaries, transfer, srgb)
        rows[f"nclx {primaries}, {transfer}"] = (
            partial(restated, plain(form), primaries, transfer), shows
        )  # fmt: skip
    for transfer, word in ((9, "logarithmic"), (11, "extended"), (16, "PQ"), (18, "HLG"), (3, "characteristics 3")):
        rows[f"nclx 9, {transfer}"] = partial(restated, plain(form), 9, transfer), word
    for primaries in (0, 3, 10, 65535):
        rows[f"nclx {primaries}, 13"] = partial(restated, plain(form), primaries, 13), f"primaries {primaries}"
    p3 = profile(DISPLAY_P3)
    rows["bitstream 12, 13"] = lambda: in_bitstream(form, 12, 13), P3
    rows["bitstream 9, 1"] = lambda: in_bitstream(form, 9, 1), coded(9, 1, srgb)
    rows["bitstream 9, 16"] = lambda: in_bitstream(form, 9, 16), "PQ"
    rows["bitstream 2, 2"] = lambda: in_bitstream(form, 2, 2), PLAIN
    if form == "HEIF":
        rows["bitstream 2, 2 + EXIF R03"] = (
            lambda: encoded(form, exif=exif(65535, "R03"), color_primaries=2, transfer_characteristics=2), ADOBE_RGB
        )  # fmt: skip
    return rows | {
        "profile P3 + nclx sRGB": (lambda: with_profile(plain(form), p3), P3),
        "profile P3 + nclx PQ": (lambda: with_profile(restated(plain(form), 9, 16), p3), P3),
        "broken profile + nclx P3": (lambda: with_profile(restated(plain(form), 12, 13), b"no profile" * 20), P3),
        "nclx sRGB + EXIF R03": (lambda: encoded(form, exif=exif(65535, "R03")), PLAIN),
        "nclx P3 + EXIF sRGB": (lambda: restated(encoded(form, exif=exif(1)), 12, 13), P3),
    }


def exif_cases(form: str) -> Ways:
    """JPEG, WebP and PNG without another statement."""

    def block(*values: object, **tags: object) -> Callable[[], bytes]:
        return lambda: encoded(form, exif=exif(*values, **tags))  # type: ignore[arg-type]

    p3 = CHROMATICITIES[12]
    return {
        "EXIF ColorSpace 1": (block(1), PLAIN),
        "EXIF ColorSpace 2": (block(2), ADOBE_RGB),
        "EXIF ColorSpace 65535": (block(65535), PLAIN),
        "EXIF ColorSpace 65533": (block(65533), "65533"),
        "EXIF R03": (block(65535, "R03"), ADOBE_RGB),
        "EXIF R03 alone": (block(None, "R03"), ADOBE_RGB),
        "EXIF R98": (block(65535, "R98"), PLAIN),
        "EXIF THM": (block(65535, "THM"), PLAIN),
        "EXIF ColorSpace 1 against R03": (block(1, "R03"), PLAIN),
        "EXIF ColorSpace 2 against R98": (block(2, "R98"), ADOBE_RGB),
        "EXIF chromaticities and gamma": (block(65535, t318=p3[:2], t319=p3[2:], t42240=2.2), (p3, power(2.2))),
        "EXIF chromaticities": (block(65535, t318=p3[:2], t319=p3[2:]), P3),
        "EXIF ColorSpace 1 against chromaticities": (block(1, t318=p3[:2], t319=p3[2:]), PLAIN),
        "profile P3 against EXIF R03": (
            lambda: encoded(form, exif=exif(65535, "R03"), icc_profile=profile(DISPLAY_P3)), P3
        ),
        "broken profile + EXIF R03": (
            lambda: encoded(form, exif=exif(65535, "R03"), icc_profile=b"no profile" * 20), ADOBE_RGB
        ),
    }  # fmt: skip


def cases() -> dict[str, Case]:
    """Every way, by "format: what is stated"."""
    rows: dict[str, Case] = {}
    for form, ways in (
        ("PNG", png_cases()), ("JPEG", exif_cases("JPEG")), ("WEBP", exif_cases("WEBP")), ("PNG", exif_cases("PNG")),
        ("HEIF", box_cases("HEIF")), ("AVIF", box_cases("AVIF")),
    ):  # fmt: skip
        rows |= {f"{form}: {way}": Case(form, make, shows) for way, (make, shows) in ways.items()}
    return rows
