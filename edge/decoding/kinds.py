"""What a file is, by its first bytes: one of the formats that are decoded, or what it is instead and what to do."""

from __future__ import annotations

import codecs
from dataclasses import dataclass
from typing import Literal

from edge.errors import InputError

ALLOWED = "JPEG, PNG, WebP, HEIC or AVIF"
HEAD_BYTES = 4096  # enough for every signature, a long list of brands and the first tags of a TIFF file

# ISO/IEC 23008-12 and 23000-22: brands of files whose pictures are HEVC …
HEVC_BRANDS = frozenset(
    {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"MiHB", b"MiHA", b"MiHE"}
)
# … and of files that may hold any coding: the primary picture decides.
HEIF_BRANDS = frozenset({b"mif1", b"mif2", b"mif3", b"msf1", b"miaf", b"tmap", b"1pic", b"MiPr"})
SEQUENCE_BRANDS = frozenset(
    {b"msf1", b"hevc", b"hevx", b"hevm", b"hevs"}
)  # of files that hold pictures one after another
AVIF_BRANDS = frozenset({b"avif", b"avis", b"avio", b"MA1A", b"MA1B"})
DNG_VERSION, MAKE, SUB_PICTURES = 50706, 271, 330  # tags of a TIFF file's first directory
MAX_TAGS = 200
TEXT_BYTES = 256  # that are looked at
TEXT_SHOWN = 32  # letters


@dataclass(frozen=True)
class Other:
    """A kind of file that is not decoded."""

    words: str
    advice: str = "Save it as JPEG, or leave it out"


RAW = "Let the camera's program or the phone save it as JPEG"
LEAVE = "Leave it out"
VIDEO = Other("a video", "Save a frame of it as JPEG, or leave it out")
DOWNLOAD = "Download the photograph itself"
MANGLED = Other("a photograph that some program copied as text, which destroyed it", "Copy it again, as binary")
MODEL = "Give it as `file`, and a photograph here"

# (place, bytes, what it is); none of these is ever opened.
SIGNATURES: tuple[tuple[int, bytes, Other], ...] = (
    (0, b"GIF8", Other("a GIF file")),
    (0, b"BM", Other("a BMP file")),
    (0, b"\0\0\1\0", Other("an ICO file")),
    (0, b"%PDF", Other("a PDF file")),
    (0, b"8BPS", Other("a Photoshop file")),
    (0, b"BPG\xfb", Other("a BPG file")),
    (0, b"\xff\x0a", Other("a JPEG XL file")),
    (0, b"\0\0\0\x0cJXL \r\n\x87\n", Other("a JPEG XL file")),
    (0, b"\0\0\0\x0cjP  \r\n\x87\n", Other("a JPEG 2000 file")),
    (0, b"\xff\x4f\xff\x51", Other("a JPEG 2000 file")),
    (0, b"II\xbc\1", Other("a JPEG XR file")),
    (0, b"FUJIFILMCCD-RAW", Other("a camera raw file (RAF)", RAW)),
    (0, b"IIRO", Other("a camera raw file (ORF)", RAW)),
    (0, b"IIRS", Other("a camera raw file (ORF)", RAW)),
    (0, b"IIU\0", Other("a camera raw file (RW2)", RAW)),
    (0, b"FOVb", Other("a camera raw file (X3F)", RAW)),
    (128, b"DICM", Other("a DICOM file", "Export its picture as PNG or JPEG")),
    (0, b"\0\5\x16\7", Other("a Mac's side file (AppleDouble), not the photograph that it lies beside", LEAVE)),
    (0, b"\0\5\x16\0", Other("a Mac's AppleSingle file", "Copy the photograph again, without its resource fork")),
    (0, b"\0\0\0\1Bud1", Other("the Finder's .DS_Store, no photograph", LEAVE)),
    (0, b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", Other("a Thumbs.db or an old Office file, no photograph", LEAVE)),
    (0, b"L\0\0\0\1\x14\2\0", Other("a Windows shortcut, no photograph", "Give the file that it leads to")),
    (4, b"TFL3", Other("a TFLite model, no photograph", MODEL)),
    (0, b"\x93NUMPY", Other("a NumPy array, no photograph")),
    (0, b"PK\3\4", Other("a ZIP archive", "Unpack it, and give the photographs in it")),
    (0, b"\x1f\x8b", Other("a gzip archive", "Unpack it, and give the photographs in it")),
    (0, b"7z\xbc\xaf\x27\x1c", Other("a 7z archive", "Unpack it, and give the photographs in it")),
    (0, b"Rar!", Other("a RAR archive", "Unpack it, and give the photographs in it")),
    (0, b"\x1aE\xdf\xa3", VIDEO),
    (4, b"moov", VIDEO),
    (4, b"mdat", VIDEO),
    (4, b"wide", VIDEO),
    (8, b"AVI ", VIDEO),
    (0, b"version https://git-lfs", Other("a Git LFS pointer, not the file itself", "Run `git lfs pull`")),
    (0, b"\x89PNG\n", MANGLED),  # line ends changed
    (0, b"\x89PNG\r\r", MANGLED),
    (0, b"\xc3\xbf\xc3\x98\xc3\xbf", MANGLED),  # Latin-1 as UTF-8
    (0, b"\xef\xbf\xbd" * 3, MANGLED),  # what UTF-8 decoders put in place of bytes that they cannot read
    (0, b"\xef\xbf\xbdPNG", MANGLED),
    (0, b"<!DOCTYPE", Other("a web page, no photograph", DOWNLOAD)),
    (0, b"<!doctype", Other("a web page, no photograph", DOWNLOAD)),
    (0, b"<html", Other("a web page, no photograph", DOWNLOAD)),
    (0, b"<svg", Other("an SVG drawing, no photograph", LEAVE)),
)


def tell_format(head: bytes, name: str) -> str:
    """Pillow's name of the format that starts with `head`; InputError for all that are not decoded.

    `head`: the first `HEAD_BYTES` of the file, or all of it.
    """
    if head.startswith(b"\xff\xd8\xff"):
        return "JPEG"
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return "PNG"
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "WEBP"
    other = other_kind(head)
    if head[4:8] == b"ftyp":
        brands = brands_of(head)
        if brands[0] == b"avis":
            other = Other("an AVIF film", VIDEO.advice)
        elif brands[0] in AVIF_BRANDS or (AVIF_BRANDS & {*brands} and not HEVC_BRANDS & {*brands}):
            return "AVIF"
        elif (HEVC_BRANDS | HEIF_BRANDS) & {*brands}:
            return "HEIF"
        else:
            other = Other("a camera raw file (CR3)", RAW) if brands[0] == b"crx " else VIDEO
    if other is None and (text := text_in(head)):
        other = Other(f"text, no photograph (it begins with {text!r})", DOWNLOAD)
    if other is None:
        start = head[:16].hex(" ")
        other = Other(f"something else (it starts with {start})" if any(head) else "nothing but zeros, no photograph")
    raise InputError(f"{name} is {other.words}; expected {ALLOWED}. {other.advice}")


def text_in(head: bytes) -> str:
    """The first line of what may be a server's error message or a side file; empty where it is no text."""
    try:
        begin = codecs.getincrementaldecoder("utf-8-sig")().decode(head[:TEXT_BYTES])  # may end within a letter
    except UnicodeDecodeError:
        return ""
    if not all(letter.isprintable() or letter in "\t\r\n" for letter in begin):
        return ""
    return begin.strip().partition("\n")[0].strip()[:TEXT_SHOWN]


def brands_of(head: bytes) -> list[bytes]:
    """The major brand of an ISO file, then those that it is compatible with."""
    end = min(int.from_bytes(head[:4], "big"), len(head))
    return [head[8:12], *(head[at : at + 4] for at in range(16, end - 3, 4))]


def other_kind(head: bytes) -> Other | None:
    """What a file is that is not decoded; None where that is not known."""
    if head[:4] in (b"II*\0", b"MM\0*"):
        return tiff_kind(head)
    if head[:4] in (b"II+\0", b"MM\0+"):
        return Other("a TIFF file")
    return next((other for at, start, other in SIGNATURES if head[at : at + len(start)] == start), None)


def tiff_kind(head: bytes) -> Other:
    """TIFF, or a camera raw file that looks like it."""
    if head[8:10] == b"CR":
        return Other("a camera raw file (CR2)", RAW)
    order: Literal["little", "big"] = "little" if head.startswith(b"II") else "big"
    first = int.from_bytes(head[4:8], order)
    count = min(int.from_bytes(head[first : first + 2], order), MAX_TAGS)
    tags = {int.from_bytes(head[at : at + 2], order) for at in range(first + 2, first + 2 + 12 * count, 12)}
    if DNG_VERSION in tags:
        return Other("a camera raw file (DNG)", RAW)
    if {MAKE, SUB_PICTURES} <= tags:
        return Other("a camera raw file (NEF, ARW or alike)", RAW)
    return Other("a TIFF file")
