"""PNG files (third edition): the chunks that the decoder is given, and the colour that stands for transparent."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import replace

from edge.errors import InputError

from .stored import Stored

SIGNATURE = b"\x89PNG\r\n\x1a\n"
# What pixels come from. Text, times and animations are not asked for, and Pillow stops at long or odd text; colours
# are read by `edge.colour.png`.
OF_PIXELS = frozenset({b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"})
DEPTH_AT, TYPE_AT = 24, 25  # in the file: IHDR is the first chunk
GREY, RGB = 0, 2  # colour types


def chunks(contents: bytes) -> Iterator[tuple[bytes, int, int]]:
    """(kind, begin of the body, its end) of each whole chunk up to IEND."""
    at = len(SIGNATURE)
    while at + 12 <= len(contents):
        length, kind = struct.unpack_from(">I4s", contents, at)
        if at + 12 + length > len(contents):
            return
        yield kind, at + 8, at + 8 + length
        if kind == b"IEND":
            return
        at += 12 + length


def whole(contents: bytes, begin: int, end: int) -> bool:
    """Whether a chunk's checksum is right. Damaged chunks beside the pixels count as not there, as in browsers."""
    return zlib.crc32(memoryview(contents)[begin - 4 : end]) == int.from_bytes(contents[end : end + 4], "big")


def needed(contents: bytes) -> bytes:
    """The file with the chunks of pixels and EXIF alone; whatever is cut off at its end stays."""
    parts: list[bytes | memoryview] = [SIGNATURE]
    view, last, kind = memoryview(contents), len(SIGNATURE), b""
    for kind, begin, end in chunks(contents):
        if kind in OF_PIXELS or (kind == b"eXIf" and whole(contents, begin, end)):
            parts.append(view[begin - 8 : end + 4])
        last = end + 4
    if kind != b"IEND":
        parts.append(view[last:])
    return contents if sum(map(len, parts)) == len(contents) else b"".join(parts)


def with_key(stored: Stored, contents: bytes, name: str) -> Stored:
    """The colour that tRNS makes transparent, in the levels of the decoded pixels.

    Pillow keeps it as it is in the file, but widens 2 and 4 bits to 8. InputError for RGB of 16 bits, of which Pillow
    keeps the high bytes, so that the colour cannot be told from others.
    """
    key = stored.info.get("transparency")
    if key is None or len(contents) <= TYPE_AT:
        return stored
    depth, colour = contents[DEPTH_AT], contents[TYPE_AT]
    if colour == RGB and depth == 16:
        raise InputError(
            f"{name} is a PNG file of 16 bits a sample with a transparent colour (tRNS), which is not read; save it "
            "with an alpha channel, or as JPEG"
        )
    if colour == GREY and depth in (2, 4) and isinstance(key, int):
        most = 2**depth - 1
        return replace(stored, info={**stored.info, "transparency": (key & most) * 255 // most})
    return stored
