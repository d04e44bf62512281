"""What the chunks of a PNG file state about its colour (PNG third edition, 4.3 and 11.3.2)."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping

from edge.decoding.png import chunks, whole
from edge.errors import InputError

from .convert import MAX_PROFILE_BYTES
from .numbers import UNITS, of_numbers
from .spaces import BT_1886, SRGB, Space, of_codes, too_much

KINDS = frozenset({b"cICP", b"iCCP", b"sRGB", b"gAMA", b"cHRM"})
INTENTS = 4  # 0 to 3; another number makes the sRGB chunk worthless, as in libpng
PQ_NAME = b"ITUR_2100_PQ_FULL"  # W3C note "Using the ITU BT.2100 PQ EOTF with the PNG Format"


def chunks_of(contents: bytes) -> dict[bytes, bytes]:
    """The colour chunks before the pixels by their kind, the first of each."""
    first: dict[bytes, bytes] = {}
    for kind, begin, end in chunks(contents):
        if kind == b"IDAT":
            break
        if kind in KINDS and whole(contents, begin, end):
            first.setdefault(kind, contents[begin:end])
    return first


def profile_in(chunks: Mapping[bytes, bytes]) -> bytes | None:
    """The profile of an iCCP chunk, whatever it is; None where there is none, or where it is damaged or too large."""
    _, _, packed = chunks.get(b"iCCP", b"").partition(b"\0")
    if packed[:1] != b"\0":  # deflate, the only method
        return None
    try:
        inflated = zlib.decompressobj().decompress(packed[1:], MAX_PROFILE_BYTES + 1)
    except zlib.error:
        return None
    return inflated if len(inflated) <= MAX_PROFILE_BYTES else None


def by_codes(chunks: Mapping[bytes, bytes], name: str) -> Space | None:
    """cICP. InputError for codes that sRGB cannot hold, samples that are not RGB, and narrow range."""
    codes = chunks.get(b"cICP", b"")
    if len(codes) != 4:
        return None
    primaries, transfer, matrix, full = codes
    where = f"{name}: its cICP chunk"
    if matrix != 0:
        raise InputError(f"{where} states matrix coefficients {matrix}; a PNG file is RGB (0). Save it again in sRGB")
    if full != 1:
        raise InputError(f"{where} states samples of narrow range; expected full range (1). Save it again in sRGB")
    return of_codes(primaries, transfer, camera=BT_1886, where=where)


def refuse_hdr_by_name(chunks: Mapping[bytes, bytes], name: str) -> None:
    """Before cICP, PQ was stated by what the profile is called; the profile itself is a stand-in."""
    if chunks.get(b"iCCP", b"").startswith(PQ_NAME + b"\0"):
        raise InputError(too_much(f"{name}: its iCCP chunk", "PQ of BT.2100, high dynamic range"))


def by_name(chunks: Mapping[bytes, bytes]) -> Space | None:
    """The sRGB chunk."""
    intent = chunks.get(b"sRGB", b"")
    return SRGB if len(intent) == 1 and intent[0] < INTENTS else None


def by_numbers(chunks: Mapping[bytes, bytes]) -> Space | None:
    """gAMA and cHRM, together or alone."""
    gamma, at = chunks.get(b"gAMA", b""), chunks.get(b"cHRM", b"")
    return of_numbers(
        int.from_bytes(gamma, "big") / UNITS if len(gamma) == 4 else None,
        tuple(value / UNITS for value in struct.unpack(">8i", at)) if len(at) == 32 else None,
    )
