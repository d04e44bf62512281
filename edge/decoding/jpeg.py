"""JPEG files (ITU-T T.81): what the header says, and the picture at the scale that its size asks for."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from math import ceil
from typing import BinaryIO

from edge.errors import InputError

from .exif import orientation
from .limits import MAX_PIXELS, check_memory, check_size, scale_of
from .stored import Stored, of_image

MAX_SEGMENTS = 65_536
MAX_SCANS = 500  # encoders write about ten; each is decoded over the whole picture
CHUNK_BYTES = 2**16
MARKER = re.compile(rb"\xff[^\0\xff\x01\xd0-\xd7]", re.DOTALL)  # one that has a length, or ends the picture
SOS, EOI, APP2 = 0xDA, 0xD9, 0xE2
PROFILE = b"ICC_PROFILE\0"  # before a number, a count and a piece (ICC.1:2022, annex B.4)
ALONE = frozenset({0x01, *range(0xD0, 0xD8)})  # markers without a length
PROGRESSIVE = 0xC2
FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
# What libjpeg-turbo does not decode, or only in some builds; T.81, table B.1. Phones and browsers open none of these.
KINDS = {
    0xC3: "a lossless JPEG", 0xC5: "a hierarchical JPEG", 0xC6: "a hierarchical JPEG", 0xC7: "a hierarchical JPEG",
    0xC9: "an arithmetic-coded JPEG", 0xCA: "an arithmetic-coded JPEG", 0xCB: "a lossless JPEG",
    0xCD: "a hierarchical JPEG", 0xCE: "a hierarchical JPEG", 0xCF: "a hierarchical JPEG",
}  # fmt: skip
JPEG_LS = 0xF7
AS_BASELINE = "Save it as baseline JPEG (not progressive), or smaller"


Sampling = tuple[tuple[int, int], ...]  # of each component, across and down
Frame = tuple[int, int, int, int, Sampling]


@dataclass(frozen=True)
class Header:
    """The frame header and the first scan header."""

    frame: int  # the marker: 0xC0 is baseline, 0xC2 progressive
    bits: int  # per sample
    width: int
    height: int
    sampling: Sampling
    in_first_scan: int  # components
    profile: bytes | None  # of its colours

    @property
    def buffered(self) -> bool:
        """Whether a decoder has to keep the coefficients of the whole picture until its last scan."""
        return self.frame == PROGRESSIVE or self.in_first_scan < len(self.sampling)

    @property
    def coefficient_bytes(self) -> int:
        """Of all blocks, two bytes a coefficient."""
        across = max(h for h, _ in self.sampling)
        down = max(v for _, v in self.sampling)
        units = ceil(self.width / (8 * across)) * ceil(self.height / (8 * down))
        return 128 * units * sum(h * v for h, v in self.sampling)


def opened(file: BinaryIO, name: str) -> Stored:
    """The picture of a JPEG file, the first of several; it is decoded when it is used.

    Above `FULL_PIXELS` its width and height are divided by 2 or 4 in the inverse transform, as libjpeg does with
    `scale_num / scale_denom` and Android with `inSampleSize`. InputError for a kind that is not decoded, or one that
    does not fit into memory.
    """
    from PIL import JpegImagePlugin

    header = read_header(file, name)
    check_size(header.width, header.height, MAX_PIXELS, name)
    scale = scale_of(header.width, header.height)
    if header.buffered:
        check_buffered(file, header, scale, name)
    file.seek(0)
    image = JpegImagePlugin.JpegImageFile(file)  # a multi-picture file's first one
    if image.size != (header.width, header.height):
        raise ValueError("its header has two sizes")
    if scale > 1:
        image.draft(None, (header.width // scale, header.height // scale))
        if image.size != (ceil(header.width / scale), ceil(header.height / scale)):
            raise ValueError(f"it cannot be decoded at 1/{scale}")
    stored = of_image(image, orientation(image), (header.width, header.height))
    return with_profile(stored, header)


def with_profile(stored: Stored, header: Header) -> Stored:
    """Pillow does not see a profile behind the frame header, and takes none that is there twice; browsers do."""
    return replace(stored, info={**stored.info, "icc_profile": header.profile})


def check_buffered(file: BinaryIO, header: Header, scale: int, name: str) -> None:
    """InputError for a picture in several scans that takes too much memory or time; `file` is behind the first."""
    kind = "progressive JPEG" if header.frame == PROGRESSIVE else "JPEG in several scans"
    pixels = ceil(header.width / scale) * ceil(header.height / scale)
    check_memory(
        header.coefficient_bytes + 4 * pixels, f"a {kind} of {header.width} x {header.height} pixels", name, AS_BASELINE
    )
    if more_scans(file, MAX_SCANS):
        raise InputError(f"{name} is a {kind} with more than the {MAX_SCANS} scans that are read. {AS_BASELINE}")


def more_scans(file: BinaryIO, most: int) -> bool:
    """Whether more scans than that follow up to the end of the picture; `file` is in the first one's header.

    What comes behind the picture does not count: a film may hold any bytes.
    """
    scans = 1
    while scans <= most:
        marker = marker_after_data(file)
        if marker is None or marker == EOI:
            return False
        scans += marker == SOS
        length = file.read(2)
        file.seek(max(0, int.from_bytes(length, "big") - 2), 1)
    return True


def marker_after_data(file: BinaryIO) -> int | None:
    """The marker that ends a scan's data, in which a zero or a restart follows 0xFF; None at the end of the file."""
    while len(chunk := file.read(CHUNK_BYTES)) > 1:
        if match := MARKER.search(chunk):
            file.seek(match.end() - len(chunk), 1)
            return chunk[match.end() - 1]
        if chunk.endswith(b"\xff"):
            file.seek(-1, 1)
    return None


def read_header(file: BinaryIO, name: str) -> Header:
    """The header up to the first scan; ValueError where it is damaged, InputError for a kind that is not decoded."""
    frame: Frame | None = None
    pieces: list[bytes] = []
    file.seek(2)
    for _ in range(MAX_SEGMENTS):
        marker = next_marker(file)
        if marker in ALONE:
            continue
        length = int.from_bytes(take(file, 2), "big") - 2
        if length < 0:
            raise ValueError("a segment has a length below 2")
        if marker == JPEG_LS:
            raise InputError(f"{name} is a JPEG-LS file; expected a baseline or progressive JPEG. Save it as one")
        if marker in FRAMES:
            if marker in KINDS:
                raise InputError(f"{name} is {KINDS[marker]}; expected a baseline or progressive one. Save it as such")
            body = take(file, length)
            if length < 6 or length < 6 + 3 * body[5]:
                raise ValueError("its frame header is cut off")
            sampling = tuple((body[7 + 3 * i] >> 4, body[7 + 3 * i] & 15) for i in range(body[5]))
            width, height = (int.from_bytes(body[at : at + 2], "big") for at in (3, 1))
            check_frame(body[0], sampling, name)
            frame = marker, body[0], width, height, sampling
        elif marker == SOS:
            if frame is None or length < 1:
                raise ValueError("a scan comes before the frame header")
            components = take(file, length)[0]  # all of its header, whose bytes may look like markers
            return Header(*frame, in_first_scan=components, profile=put_together(pieces))
        elif marker == EOI:
            raise ValueError("it ends before its first scan")
        elif marker == APP2:
            body = take(file, length)
            if body.startswith(PROFILE):
                pieces.append(body[len(PROFILE) :])
        else:
            file.seek(length, 1)
    raise ValueError("it has too many segments")


def put_together(pieces: list[bytes]) -> bytes | None:
    """The profile of numbered pieces in any order; None where one is missing.

    Of pieces with the same number the first counts, as in Chromium. Some writers count from 0.
    """
    pieces = [piece for piece in pieces if len(piece) > 2 and piece[1] == pieces[0][1]]
    by_number = {piece[0]: piece[2:] for piece in reversed(pieces)}
    first = min(by_number, default=0)
    if not pieces or first > 1 or sorted(by_number) != list(range(first, first + pieces[0][1])):
        return None
    return b"".join(by_number[number] for number in sorted(by_number))


def check_frame(bits: int, sampling: Sampling, name: str) -> None:
    if bits != 8:
        raise InputError(
            f"{name} is a JPEG of {bits} bits a sample; expected 8, as of phones and browsers. Save it with 8 bits"
        )
    if len(sampling) not in (1, 3, 4):
        raise InputError(f"{name} is a JPEG of {len(sampling)} components; expected 1, 3 or 4. Save it as RGB JPEG")
    if not all(1 <= h <= 4 and 1 <= v <= 4 for h, v in sampling):
        raise ValueError("its sampling factors are not 1 to 4")


def next_marker(file: BinaryIO) -> int:
    """The marker that follows. What libjpeg passes over is passed over: fill bytes, and a little that is no marker."""
    for _ in range(MAX_SEGMENTS):
        if take(file, 1) != b"\xff":
            continue
        while (code := take(file, 1)[0]) == 0xFF:
            pass
        if code:
            return code
    raise ValueError("a marker is missing between its segments")


def take(file: BinaryIO, count: int) -> bytes:
    content = file.read(count)
    if len(content) < count:
        raise ValueError("its header is cut off")
    return content
