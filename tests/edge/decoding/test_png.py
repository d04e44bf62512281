"""PNG files as other programs write them, laid out by hand from the standard (third edition)."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from benchmarks import _colorimetry as colorimetry
from benchmarks._colour_files import chunk, gama
from benchmarks._profiles import DISPLAY_P3, SRGB, profile
from edge.capture import read_photo, rgb_of
from edge.errors import InputError

HEIGHT, WIDTH = 12, 16
LEVELS = np.arange(HEIGHT * WIDTH, dtype=np.uint8).reshape(HEIGHT, WIDTH)
COLOURS = np.dstack((LEVELS, 255 - LEVELS, LEVELS // 3))
GREY, RGB = 0, 2  # colour types


def png(depth: int, colour: int, rows: np.ndarray, *chunks: bytes) -> bytes:
    """`rows`: uint8, the bytes of each row."""
    header = struct.pack(">IIBBBBB", WIDTH, HEIGHT, depth, colour, 0, 0, 0)
    body = zlib.compress(np.pad(rows.reshape(HEIGHT, -1), ((0, 0), (1, 0))).tobytes())
    parts = (chunk(b"IHDR", header), *chunks, chunk(b"IDAT", body), chunk(b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def packed(levels: np.ndarray, depth: int) -> np.ndarray:
    bits = np.unpackbits(levels[:, :, None], axis=2)[:, :, 8 - depth :]
    return np.packbits(bits.reshape(HEIGHT, -1), axis=1)


def grey(levels: np.ndarray, transparent: np.ndarray) -> np.ndarray:
    return np.dstack([np.where(transparent, 255, levels)] * 3)


@pytest.mark.parametrize("depth", [1, 2, 4, 8, 16])
def test_the_transparent_level_is_white(depth):
    """tRNS of a grey file, at every depth (11.3.1.1)."""
    if depth == 16:
        deep = LEVELS.astype(np.uint16) << 8 | 0x34
        deep[0, 0] = 0x0735  # the high byte of the key, but another level
        contents = png(16, GREY, deep.astype(">u2").view(np.uint8), chunk(b"tRNS", b"\x07\x34"))
        expected = grey(deep >> 8, deep == 0x0734)
    else:
        levels = LEVELS & np.uint8(2**depth - 1)
        key = 2**depth // 3
        rows = levels if depth == 8 else packed(levels, depth)
        contents = png(depth, GREY, rows, chunk(b"tRNS", struct.pack(">H", key)))
        expected = grey(levels * np.uint8(255 // (2**depth - 1)), levels == key)
    assert (expected == 255).all(2).sum() > 0
    np.testing.assert_array_equal(read_photo(contents), expected)
    np.testing.assert_array_equal(rgb_of(Image.open(io.BytesIO(contents))), expected)


def test_the_transparent_colour_is_white():
    key = struct.pack(">HHH", *COLOURS[3, 4])
    transparent = (COLOURS[3, 4] == COLOURS).all(2)
    expected = np.where(transparent[:, :, None], 255, COLOURS)
    assert transparent.sum() == 1 and abs(expected[3, 4] - COLOURS[3, 4]).min() > 0
    np.testing.assert_array_equal(read_photo(png(8, RGB, COLOURS, chunk(b"tRNS", key))), expected)
    contents = png(8, RGB, COLOURS, gama(100_000), chunk(b"tRNS", key))
    light = colorimetry.shown(COLOURS, colorimetry.CHROMATICITIES[1], colorimetry.power(1))
    light[transparent] = 255  # the colour in the file is meant, not the converted one
    assert abs(read_photo(contents) - light).max() < 0.7


def test_a_transparent_colour_of_sixteen_bits_is_refused():
    """Pillow keeps the high bytes of such files, in which other colours would be transparent too."""
    deep = (COLOURS.astype(">u2") * 257).view(np.uint8)
    with pytest.raises(
        InputError, match=r"16 bits a sample with a transparent colour \(tRNS\), which is not read; save"
    ):
        read_photo(png(16, RGB, deep, chunk(b"tRNS", bytes(6))))


TEXT = {
    "long and packed": chunk(b"zTXt", b"Raw profile type xmp\0\0" + zlib.compress(bytes(2**21))),
    "XMP, packed": chunk(b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + zlib.compress(bytes(2**21))),
    "called as Pillow calls its own": b"".join(
        chunk(b"tEXt", key + b"\0word") for key in (b"transparency", b"gamma", b"chromaticity", b"srgb", b"icc_profile")
    ),
    "EXIF in a text": chunk(b"tEXt", b"exif\0Exif\0\0MM\0*\0\0\0\x08\0\1\1\x12\0\3\0\0\0\1\0\6\0\0\0\0\0\0"),
    "damaged": chunk(b"tEXt", b"Comment\0word").replace(b"word", b"ward"),
    "damaged EXIF": chunk(b"eXIf", b"MM\0*\0\0\0\x08").replace(b"MM", b"MN"),
    "damaged gamma": gama(100_000).replace(b"gAMA\0", b"gAMA\1"),
    "large profile of sRGB": chunk(
        b"iCCP",
        b"x\0\0" + zlib.compress(profile(SRGB) + bytes(2**21)),
    ),
}


@pytest.mark.parametrize("name", TEXT)
def test_what_stands_beside_the_pixels_does_not_matter(name):
    np.testing.assert_array_equal(read_photo(png(8, RGB, COLOURS, TEXT[name])), COLOURS)
    palette = chunk(b"PLTE", bytes(range(256)) * 3)
    seen = read_photo(png(8, 3, LEVELS, palette, TEXT[name]))
    np.testing.assert_array_equal(seen, np.arange(768).reshape(256, 3)[LEVELS] % 256)


def test_a_large_profile_counts():
    tag = profile(DISPLAY_P3)
    large = chunk(b"iCCP", b"x\0\0" + zlib.compress(tag + bytes(2**21)))
    seen = read_photo(png(8, RGB, COLOURS, large))
    np.testing.assert_array_equal(seen, read_photo(png(8, RGB, COLOURS, chunk(b"iCCP", b"x\0\0" + zlib.compress(tag)))))
    assert abs(seen.astype(int) - COLOURS).max() > 20
