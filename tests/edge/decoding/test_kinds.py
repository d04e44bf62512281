"""Every kind of file that is no photograph for us says what it is and what to do; every brand of HEIC is read."""

from __future__ import annotations

import io
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from edge.capture import read_photo
from edge.decoding.kinds import HEAD_BYTES, tell_format
from edge.errors import InputError
from tests.edge.decoding._files import heic, slope
from tests.fuzzing import fuzzed


def jpeg(**options: object) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(slope(32, 32)).save(buffer, "JPEG", **options)
    return buffer.getvalue()


def tiff(*tags: int, order: str = "<") -> bytes:
    entries = b"".join(struct.pack(f"{order}HHII", tag, 4, 1, 0) for tag in tags)
    return (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}IH", 8, len(tags)) + entries


def iso(major: bytes, *compatible: bytes) -> bytes:
    return struct.pack(">I", 16 + 4 * len(compatible)) + b"ftyp" + major + bytes(4) + b"".join(compatible) + bytes(64)


OTHERS = {
    "a JPEG XL file": [b"\xff\x0a" + bytes(20), b"\0\0\0\x0cJXL \r\n\x87\n" + bytes(20)],
    "a JPEG 2000 file": [b"\0\0\0\x0cjP  \r\n\x87\n" + bytes(20), b"\xff\x4f\xff\x51" + bytes(20)],
    r"a camera raw file \(DNG\)": [tiff(254, 271, 50706), tiff(254, 50706, order=">")],
    r"a camera raw file \(NEF": [tiff(254, 271, 330)],
    r"a camera raw file \(CR2\)": [b"II*\0\x10\0\0\0CR\2\0" + bytes(20)],
    r"a camera raw file \(CR3\)": [iso(b"crx ", b"isom")],
    r"a camera raw file \(RAF\)": [b"FUJIFILMCCD-RAW 0201"],
    "a TIFF file": [tiff(254, 256), b"MM\0*\xff\xff\xff\xff"],
    "a DICOM file": [bytes(128) + b"DICM"],
    "a video": [iso(b"isom", b"mp42"), iso(b"qt  "), b"\0\0\0\x08wide" + bytes(8)],
    r"a Mac's side file \(AppleDouble\)": [b"\0\5\x16\7\0\2\0\0Mac OS X        "],
    r"the Finder's \.DS_Store": [b"\0\0\0\1Bud1" + bytes(20)],
    r"a Thumbs\.db": [b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(20)],
    "a TFLite model": [b"\x1c\0\0\0TFL3" + bytes(20)],
    "a ZIP archive": [b"PK\3\4" + bytes(20)],
    "a web page": [b"<!DOCTYPE html>"],
    "a Git LFS pointer": [b"version https://git-lfs.github.com/spec/v1\noid sha256:0"],
    "nothing but zeros": [bytes(64)],
    r"text, no photograph \(it begins with '\{\"error\": 403\}'\)": [b'\xef\xbb\xbf{"error": 403}\r\n'],
    r"text, no photograph \(it begins with '<\?xml version=\"1.0\"\?>'\)": [
        b'<?xml version="1.0"?>\n' + 400 * "é".encode()
    ],
    "a photograph that some program copied as text": [
        b"\xff\xd8\xff\xe0\0\x10JFIF".decode("latin-1").encode(),
        b"\xff\xd8\xff\xe0\0\x10JFIF".decode("utf-8", "replace").encode(),
        b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR".decode("utf-8", "replace").encode(),
        b"\x89PNG\n\x1a\n\0\0\0\nIHDR",
        b"\x89PNG\r\r\n\x1a\r\n\0\0\0\rIHDR",
    ],
    r"something else \(it starts with 71 6f 69 66": [b"qoif" + bytes(20)],
    "an AVIF film": [iso(b"avis", b"avif", b"msf1")],
}


@pytest.mark.parametrize("words", OTHERS)
def test_what_it_is_and_what_to_do(words):
    for contents in OTHERS[words]:
        with pytest.raises(InputError, match=rf"^IMG_1\.jpg is {words}.*expected JPEG, PNG, WebP, HEIC or AVIF\. \w+"):
            read_photo(contents, name="IMG_1.jpg")


@pytest.mark.parametrize(
    ("marker", "bits", "words"),
    [
        (0xC1, 12, "a JPEG of 12 bits a sample; expected 8"),
        (0xC3, 8, "a lossless JPEG"),
        (0xC5, 8, "a hierarchical JPEG"),
        (0xC9, 8, "an arithmetic-coded JPEG"),
        (0xCA, 8, "an arithmetic-coded JPEG"),
        (0xF7, 8, "a JPEG-LS file"),
    ],
)
def test_kinds_of_jpeg_that_are_not_decoded(marker, bits, words):
    contents = bytearray(jpeg())
    frame = contents.index(b"\xff\xc0")
    contents[frame + 1], contents[frame + 4] = marker, bits
    with pytest.raises(InputError, match=f"^IMG_1.jpg is {words}.*Save it"):
        read_photo(bytes(contents), name="IMG_1.jpg")


def test_what_comes_behind_a_jpeg_does_not_matter():
    """Ultra HDR and motion photographs: a multi-picture index, then a gain map or a film behind the picture."""
    plain = jpeg()
    index = b"\xff\xe2\0\x10MPF\0II*\0\x08\0\0\0"  # cut short
    padded = plain[:2] + b"\xff" + plain[2:]  # a fill byte before a marker
    for contents in (plain + jpeg(), plain + iso(b"isom"), plain[:2] + index + plain[2:] + jpeg(), padded):
        np.testing.assert_array_equal(read_photo(contents), read_photo(plain))


@pytest.mark.parametrize(
    "brands",
    [
        (b"miaf", b"MiHE"), (b"MiHE", b"miaf"), (b"tmap", b"mif1", b"heic"), (b"tmap", b"miaf"), (b"mif1", b"miaf"),
        (b"mif2", b"MiHE"), (b"msf1", b"heic", b"hevc"), (b"hevc", b"mif1"), (b"heix",), (b"heic",),
    ],
)  # fmt: skip
def test_any_brand_of_heic_is_read(brands):
    contents = heic(slope(64, 64))
    end = struct.unpack_from(">I", contents)[0]
    head = b"ftyp" + brands[0] + bytes(4) + b"".join(brands)
    filled = head + brands[-1] * ((end - 4 - len(head)) // 4)  # as long as before, so that all offsets stay right
    np.testing.assert_array_equal(read_photo(contents[:4] + filled[: end - 4] + contents[end:]), read_photo(contents))


def test_heif_of_another_coding():
    contents = heic(slope(64, 64))
    for kind, words in (
        (b"vvc1", "coded with VVC"),
        (b"j2k1", "coded with JPEG 2000"),
        (b"tmap", "made by a tone map"),
    ):
        with pytest.raises(InputError, match=f"whose primary picture is {words}.*Save it as JPEG"):
            read_photo(contents.replace(b"hvc1", kind))


def test_sequence_without_a_still_picture():
    with pytest.raises(InputError, match="a HEIF image sequence without a still picture"):
        read_photo(iso(b"msf1", b"hevc"))


def test_ten_bits_keep_the_eight_high_ones():
    """Against libheif's own 10 bits, which it gives in the high bits of 16."""
    pillow_heif = pytest.importorskip("pillow_heif")
    levels = np.arange(1024, dtype=np.uint16).reshape(32, 32) << 6
    contents = heic(np.dstack([levels] * 3), quality=-1, chroma=444)
    deep = np.asarray(pillow_heif.open_heif(io.BytesIO(contents), convert_hdr_to_8bit=False))
    assert len(np.unique(deep)) > 512
    np.testing.assert_array_equal(read_photo(contents), deep >> 8)


@fuzzed(200)
@given(st.sampled_from([b"", b"II*\0", b"MM\0*", b"\0\0\0\x20ftyp", b"\0\0\xff\xffftypmif1"]), st.binary(max_size=120))
def test_any_head_is_told(start, rest):
    try:
        assert tell_format((start + rest)[:HEAD_BYTES], "x") in {"JPEG", "PNG", "WEBP", "HEIF", "AVIF"}
    except InputError:
        return
