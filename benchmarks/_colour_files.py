"""Files of a computer-drawn card of 64 flat colours that state their colour in any way that their format knows."""

from __future__ import annotations

import io
import struct
import zlib
from functools import lru_cache

import numpy as np
from PIL import Image


def card() -> np.ndarray:
    """uint8 (64, 64, 3): 8 x 8 flat patches; two rows of greys, two of pure colours and skin, four of noise."""
    rng = np.random.default_rng(16)
    greys = np.linspace(0, 255, 16).round()[:, None].repeat(3, 1)
    pure = [
        (255, 0, 0),
        (0, 255, 0),
        (0, 0, 255),
        (255, 255, 0),
        (0, 255, 255),
        (255, 0, 255),
        (128, 0, 0),
        (0, 128, 0),
    ]
    skin = [
        (224, 172, 150),
        (198, 134, 110),
        (141, 85, 70),
        (92, 56, 54),
        (250, 40, 30),
        (60, 30, 24),
        (30, 12, 10),
        (9, 5, 4),
    ]
    colours = np.concatenate((greys, pure, skin, rng.integers(0, 256, (32, 3)))).astype(np.uint8)
    return colours.reshape(8, 8, 3).repeat(8, 0).repeat(8, 1)


@lru_cache
def plain(form: str) -> bytes:
    """The card as `encoded` writes it without options; encoders of HEIC take their time."""
    return encoded(form)


def encoded(form: str, picture: Image.Image | None = None, **options: object) -> bytes:
    """The card, or another picture, in a file; where the format loses something, as little as it can."""
    if form in ("HEIF", "AVIF"):
        options = {"quality": 100, "subsampling": "4:4:4", "chroma": 444} | options
    if form == "HEIF":
        import pillow_heif

        pillow_heif.register_heif_opener()
    if form == "JPEG":
        options = {"quality": 100, "subsampling": 0} | options
    if form == "WEBP":
        options = {"lossless": True, "exact": True} | options
    buffer = io.BytesIO()
    (picture or Image.fromarray(card())).save(buffer, form, **options)
    return buffer.getvalue()


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(*chunks: bytes, base: bytes | None = None) -> bytes:
    """A PNG with these chunks right after IHDR."""
    base = plain("PNG") if base is None else base
    return base[:33] + b"".join(chunks) + base[33:]


def cicp(primaries: int, transfer: int, matrix: int = 0, full: int = 1) -> bytes:
    return chunk(b"cICP", bytes((primaries, transfer, matrix, full)))


def gama(value: int) -> bytes:
    return chunk(b"gAMA", struct.pack(">I", value))


def chrm(chromaticities: tuple[float, ...]) -> bytes:
    return chunk(b"cHRM", struct.pack(">8I", *(round(100_000 * value) for value in chromaticities)))


def srgb_chunk(intent: int = 0) -> bytes:
    return chunk(b"sRGB", bytes((intent,)))


def iccp(profile: bytes, name: bytes = b"icc") -> bytes:
    return chunk(b"iCCP", name + b"\0\0" + zlib.compress(profile))


def exif(space: int | None = None, index: str | None = None, **tags: object) -> bytes:
    """An EXIF block with ColorSpace and InteroperabilityIndex; further tags of IFD 0 by number as `t318=(…)`."""
    block = Image.Exif()
    inner = block.get_ifd(0x8769)
    if space is not None:
        inner[0xA001] = space
    if index is not None:
        inner[0xA005] = {1: index, 2: b"0100"}
    for name, value in tags.items():
        number = int(name[1:])
        (inner if number == 0xA500 else block)[number] = value
    return block.tobytes()


def nclx(primaries: int, transfer: int, matrix: int = 6, full: int = 1) -> bytes:
    """A `colr` box (ISO/IEC 14496-12, 12.1.5)."""
    return struct.pack(">I8sHHHB", 19, b"colrnclx", primaries, transfer, matrix, full << 7)


def restated(contents: bytes, primaries: int, transfer: int) -> bytes:
    """A HEIC or AVIF file whose `nclx` box says other primaries and another transfer; the pixels stay."""
    at = contents.index(b"colrnclx") + 8
    return contents[:at] + struct.pack(">HH", primaries, transfer) + contents[at + 4 :]


def tagged(icc: bytes, primaries: int, transfer: int) -> bytes:
    """A profile with a `cicp` tag (ICC.1:2022, 9.2.17) beside its own colorants."""
    count = struct.unpack(">I", icc[128:132])[0]
    shifted = b"".join(
        icc[at : at + 4]
        + struct.pack(
            ">II", struct.unpack(">I", icc[at + 4 : at + 8])[0] + 12, *struct.unpack(">I", icc[at + 8 : at + 12])
        )
        for at in range(132, 132 + 12 * count, 12)
    )
    entry = b"cicp" + struct.pack(">II", len(icc) + 12, 12)
    content = b"cicp" + bytes(4) + bytes((primaries, transfer, 0, 1))
    whole = icc[4:128] + struct.pack(">I", count + 1) + shifted + entry + icc[132 + 12 * count :] + content
    return struct.pack(">I", len(whole) + 4) + whole


def with_profile(contents: bytes, icc: bytes) -> bytes:
    """A HEIC or AVIF file of one picture, as Pillow and pillow-heif write it, with a profile after its `nclx` box."""
    box = struct.pack(">I8s", 12 + len(icc), b"colrprof") + icc
    out = bytearray(contents)
    properties = out.index(b"ipco") - 4
    end = properties + number_at(out, properties)
    count, at = 0, properties + 8
    while at < end:
        count, at = count + 1, at + number_at(out, at)
    out[end:end] = box
    associations = out.index(b"ipma", end) - 4
    many = associations + 18  # behind version, flags, the number of items and the first item's number
    out[many] += 1
    out[many + out[many] : many + out[many]] = bytes((count + 1,))
    for kind, longer in (("ipco", len(box)), ("ipma", 1), ("iprp", len(box) + 1), ("meta", len(box) + 1)):
        place = out.index(kind.encode()) - 4
        out[place : place + 4] = struct.pack(">I", number_at(out, place) + longer)
    return moved(bytes(out), len(box) + 1)


def moved(contents: bytes, bytes_on: int) -> bytes:
    """The places of all pictures further on in the file: `iloc` of version 0, with or without a base."""
    out = bytearray(contents)
    at = out.index(b"iloc") + 8
    has_base, items, at = out[at + 1] >> 4, struct.unpack_from(">H", out, at + 2)[0], at + 4
    for _ in range(items):
        place = at + 4 if has_base else at + 6  # the base, or the first part's place
        out[place : place + 4] = struct.pack(">I", number_at(out, place) + bytes_on)
        at += 18 if has_base else 14
    return bytes(out)


def number_at(contents: bytes | bytearray, place: int) -> int:
    return int(struct.unpack_from(">I", contents, place)[0])


def in_bitstream(form: str, primaries: int, transfer: int) -> bytes:
    """A HEIC or AVIF file without a `colr` box, whose HEVC or AV1 header states the colour."""
    if form == "HEIF":
        contents = encoded(form, color_primaries=primaries, transfer_characteristics=transfer)
    else:
        data = plain(form).index(b"mdat")  # the header is at its begin
        contents = plain(form)[:data] + with_bits(plain(form)[data:], (1, 13, 6), (primaries, transfer, 6))
    return contents.replace(b"colrnclx", b"skipnclx")


def with_bits(contents: bytes, old: tuple[int, ...], new: tuple[int, ...]) -> bytes:
    """Bytes that stand somewhere between the bits of the first 100 bytes, exchanged."""
    bits = "".join(f"{byte:08b}" for byte in contents[:100])
    pattern, replacement = ("".join(f"{byte:08b}" for byte in values) for values in (old, new))
    if bits.count(pattern) != 1:
        raise ValueError(f"{old} stand {bits.count(pattern)} times in the header")
    changed = bits.replace(pattern, replacement)
    return bytes(int(changed[at : at + 8], 2) for at in range(0, len(changed), 8)) + contents[100:]
