"""AVIF files: how the boxes crop, turn and mirror the primary picture (ISO/IEC 23008-12, 6.5; MIAF 7.3.6.7).

libavif leaves that to whoever calls it; Pillow turns the picture, but does not crop it, and does not look at the order.
"""

from __future__ import annotations

import re
import struct
from dataclasses import replace

from edge.errors import InputError

from .boxes import read_meta
from .heif import orientation_of
from .stored import Stored

TURNS = (b"irot", b"imir")
EXIF_ITEM = re.compile(rb"(infe[\2\3]\0\0.(?:..|....)\0\0)Exif", re.DOTALL)


def placed(stored: Stored, contents: bytes, name: str) -> Stored:
    """The picture cropped and turned as the file's boxes say, in their order; an EXIF orientation does not count.

    InputError for a crop that does not lie on whole pixels inside the picture, or that comes after a turn.
    """
    try:
        meta = read_meta(contents)
        properties = meta.item(meta.primary if meta.primary is not None else -1).properties
    except ValueError:
        return stored  # libavif may understand more
    kinds = [box[4:8] for box in properties]
    stored = replace(stored, orientation=orientation_of(properties))
    if b"clap" not in kinds:
        return stored
    if kinds.count(b"clap") > 1 or any(kind in TURNS for kind in kinds[: kinds.index(b"clap")]):
        raise InputError(f"{name} crops (clap) after it turns, or twice, which no encoder writes. Save it as JPEG")
    return cropped(stored, properties[kinds.index(b"clap")][8:], name)


def cropped(stored: Stored, clap: bytes, name: str) -> Stored:
    """ISO/IEC 14496-12, 12.1.4: width, height and the centre's distance from the picture's, as fractions."""
    width, height = stored.width, stored.height
    try:
        wide, wide_by, high, high_by, across, across_by, down, down_by = struct.unpack_from(">IIIIiIiI", clap)
        crop_width, crop_height = wide / wide_by, high / high_by
        left, top = (width - crop_width) / 2 + across / across_by, (height - crop_height) / 2 + down / down_by
        if not all(number.is_integer() for number in (crop_width, crop_height, left, top)):
            raise ValueError("a crop of parts of pixels")
        box = int(left), int(top), int(left + crop_width), int(top + crop_height)
        if not (0 <= box[0] < box[2] <= width and 0 <= box[1] < box[3] <= height):
            raise ValueError("a crop beyond the picture")
    except (ValueError, ZeroDivisionError, struct.error) as error:
        raise InputError(
            f"{name} states a crop (clap) that does not lie on whole pixels of its {width} x {height}. Save it as JPEG"
        ) from error
    size = box[2] - box[0], box[3] - box[1]
    return replace(
        stored, in_file=size, width=size[0], height=size[1],
        rows=lambda first, end: stored.rows(first + box[1], end + box[1]).crop((box[0], 0, box[2], end - first)),
    )  # fmt: skip


def without_exif(contents: bytes) -> bytes:
    """The file with its EXIF block called something else, since libavif opens none whose block is damaged."""
    return EXIF_ITEM.sub(rb"\1free", contents)
