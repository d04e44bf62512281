"""Which colour space a photograph states, in the order of precedence of its format (docs/preprocess.md, Colour)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Protocol

from edge.decoding.boxes import Meta
from edge.errors import InputError

from . import av1, exif, heif, hevc, numbers, png
from .convert import KINDS, usable
from .icc import profile_of, transfer_code
from .spaces import HDR_TRANSFERS, REFUSED_TRANSFERS, SRGB, SRGB_CURVE, Space, of_codes, too_much

BOXED = ("HEIF", "AVIF")
AV1_RECORD_BYTES = 4  # of an `av1C` box, before the units that it may hold


class Described(Protocol):
    """An image, or what is known of it before it is decoded."""

    @property
    def mode(self) -> str: ...  # Pillow's

    @property
    def info(self) -> dict[Any, Any]: ...


Statement = Space | bytes | None  # a colour space, an ICC profile, or nothing


def stated_profile(image: Described, contents: bytes | None, form: str | None, name: str) -> bytes | None:
    """The ICC profile that an image's colours are converted with; None where it states none, or sRGB.

    `contents` is its file and `form` Pillow's name of the format ("JPEG", "PNG", "WEBP", "HEIF", "AVIF"); without a
    file, what Pillow and pillow-heif kept in `image.info` counts. What cannot be read, or is of another kind of colour
    than the image, counts as not stated, and the next statement does. Raises InputError, which begins with `name`, for
    high dynamic range and for codes that no photograph has.
    """
    kind = KINDS.get(image.mode, "RGB")
    for statement in statements(image, contents, form, name):
        if isinstance(statement, bytes):
            if usable(statement, kind):
                refuse_hdr(statement, name)
                return statement
        elif statement is not None and kind != "CMYK":  # other ways than a profile are for RGB and grey
            return None if statement == SRGB else profile_of(statement)
    return None


def refuse_unknown_codes(contents: bytes, form: str, name: str) -> None:
    """InputError if a file that its decoder does not open has codes of ITU-T H.273 that are not converted."""
    if form in BOXED:
        for _ in of_boxes(contents, {}, name):
            pass


def statements(image: Described, contents: bytes | None, form: str | None, name: str) -> Iterator[Statement]:
    """First what counts most."""
    profile = image.info.get("icc_profile")
    if contents is not None and form == "PNG":
        yield from of_png(contents, name)
    elif contents is not None and form in BOXED:
        yield from of_boxes(contents, image.info, name)
    else:
        yield profile
        yield from kept_in(image.info, name)
    block = image.info.get("exif")
    yield exif.space_in(block, name) if isinstance(block, bytes) else None


def of_png(contents: bytes, name: str) -> Iterator[Statement]:
    chunks = png.chunks_of(contents)
    yield png.by_codes(chunks, name)
    png.refuse_hdr_by_name(chunks, name)
    yield png.profile_in(chunks)
    yield png.by_name(chunks)
    yield png.by_numbers(chunks)


def of_boxes(contents: bytes, info: Mapping[Any, Any], name: str) -> Iterator[Statement]:
    """A profile, then `nclx`, then the bitstream: ISO/IEC 23000-22 (MIAF), 7.3.6.4, and 23008-12, 6.5.5."""
    meta = heif.meta_of(contents)
    if meta is None:  # libheif may understand more
        yield info.get("icc_profile")
        yield from kept_in(info, name)
        return
    yield heif.profile_in(meta)
    codes, source = heif.codes_in(meta), "its nclx box"
    if codes is None:
        codes, source = in_bitstream(meta, contents), "its bitstream"
    if codes is not None:
        yield of_codes(*codes, camera=SRGB_CURVE, where=f"{name}: {source}")


def in_bitstream(meta: Meta, contents: bytes) -> tuple[int, int] | None:
    """What the coded picture, or the first tile of a grid, states about itself."""
    for record in heif.of_primary(meta, b"hvcC"):
        return hevc.codes_in(record)
    for record in heif.of_primary(meta, b"av1C"):
        return av1.codes_in(record[AV1_RECORD_BYTES:]) or av1.codes_in(heif.first_picture(meta, contents))
    return None


def kept_in(info: Mapping[Any, Any], name: str) -> Iterator[Statement]:
    """What an opened image still tells when its file is gone."""
    codes = info.get("nclx_profile")
    if isinstance(codes, dict):
        primaries, transfer = codes.get("color_primaries"), codes.get("transfer_characteristics")
        if isinstance(primaries, int) and isinstance(transfer, int):
            yield of_codes(primaries, transfer, camera=SRGB_CURVE, where=f"{name}: its nclx box")
    if info.get("srgb") in range(png.INTENTS):
        yield SRGB
    gamma, at = info.get("gamma"), info.get("chromaticity")
    yield numbers.of_numbers(
        gamma if isinstance(gamma, float) else None, tuple(map(float, at)) if isinstance(at, tuple) else None
    )


def refuse_hdr(profile: bytes, name: str) -> None:
    code = transfer_code(profile)
    if code in HDR_TRANSFERS:
        raise InputError(
            too_much(f"{name}: its colour profile", f"transfer characteristics {code} ({REFUSED_TRANSFERS[code]})")
        )
