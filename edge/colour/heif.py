"""What the boxes of a HEIC or AVIF file state about the colour of its primary picture (ISO/IEC 23008-12, 14496-12)."""

from __future__ import annotations

import struct

from edge.decoding.boxes import Meta, read_meta

MAX_DEPTH = 4  # a grid of cropped tiles is two deep
PROFILES = (b"prof", b"rICC")


def meta_of(contents: bytes) -> Meta | None:
    """The file's `meta` box; None where it cannot be read."""
    try:
        return read_meta(contents)
    except ValueError:
        return None


def of_primary(meta: Meta, kind: bytes) -> list[bytes]:
    """Contents of the primary picture's properties of that kind; of a derived one without, its first source's.

    A grid whose tiles alone have a colour is coloured as its tiles are.
    """
    for item in chain_of(meta):
        numbers = [number for number in meta.of_item.get(item, []) if 0 < number <= len(meta.properties)]
        boxes = [meta.properties[number - 1] for number in numbers]
        contents = [box[8:] for box in boxes if box[4:8] == kind]
        if contents:
            return contents
    return []


def chain_of(meta: Meta) -> list[int]:
    """The primary item, what it is made of first, and so on down to a coded picture."""
    items: list[int] = []
    item = meta.primary
    while item is not None and len(items) < MAX_DEPTH:
        items.append(item)
        item = next(iter(meta.tiles_of(item)), None)
    return items


def first_picture(meta: Meta, contents: bytes) -> bytes:
    """The coded bytes at the end of that chain; empty where they lie outside of the file."""
    try:
        return meta.data(contents, chain_of(meta)[-1])
    except (ValueError, IndexError):
        return b""


def profile_in(meta: Meta) -> bytes | None:
    """The ICC profile of the primary picture."""
    return next((content[4:] for content in of_primary(meta, b"colr") if content[:4] in PROFILES), None)


def codes_in(meta: Meta) -> tuple[int, int] | None:
    """Colour primaries and transfer characteristics of its `nclx` box; matrix and range are the decoder's."""
    for content in of_primary(meta, b"colr"):
        if content[:4] == b"nclx" and len(content) >= 8:
            primaries, transfer = struct.unpack_from(">HH", content, 4)
            return primaries, transfer
    return None
