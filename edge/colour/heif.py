"""What the boxes of a HEIC or AVIF file state about the colour of its primary picture (ISO/IEC 23008-12, 14496-12)."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field

MAX_BOXES = 20_000  # in one box; a picture of 50 megapixels in tiles of 512 has 200 items
MAX_DEPTH = 4  # a grid of cropped tiles is two deep
PROFILES = (b"prof", b"rICC")


@dataclass
class Meta:
    """The parts of a `meta` box that lead to the properties of its items."""

    primary: int | None = None
    properties: list[tuple[bytes, bytes]] = field(default_factory=list)  # kind and content, in the order of `ipco`
    associations: dict[int, list[int]] = field(default_factory=dict)  # item -> numbers in `properties`, from 1
    sources: dict[int, int] = field(default_factory=dict)  # derived item -> the first that it is made of (`dimg`)

    def of_primary(self, kind: bytes) -> list[bytes]:
        """Contents of the properties of that kind; of a derived picture without one, those of its first source.

        A grid whose tiles alone have a colour is coloured as its tiles are.
        """
        item, seen = self.primary, 0
        while item is not None and seen < MAX_DEPTH:
            numbers = [number for number in self.associations.get(item, []) if 0 < number <= len(self.properties)]
            contents = [self.properties[number - 1][1] for number in numbers if self.properties[number - 1][0] == kind]
            if contents:
                return contents
            item, seen = self.sources.get(item), seen + 1
        return []


def boxes(content: memoryview) -> Iterator[tuple[bytes, memoryview]]:
    """Kind and content of the boxes one after the other; ends where one does not fit."""
    at = 0
    for _ in range(MAX_BOXES):
        if at + 8 > len(content):
            return
        size, kind = struct.unpack_from(">I4s", content, at)
        start = at + 8
        if size == 1 and start + 8 <= len(content):
            size, start = struct.unpack_from(">Q", content, start)[0], start + 8
        end = at + size if size else len(content)
        if end < start or end > len(content):
            return
        yield kind, content[start:end]
        at = end


def meta_of(contents: bytes) -> Meta:
    """The `meta` box of a file, as far as it can be read: hostile numbers end it early."""
    meta = Meta()
    body = next((content for kind, content in boxes(memoryview(contents)) if kind == b"meta"), memoryview(b""))
    for kind, content in boxes(body[4:]):  # a version and flags come before
        try:
            if kind == b"pitm":
                meta.primary = int.from_bytes(content[4 : 6 if content[0] == 0 else 8], "big")
            elif kind == b"iprp":
                read_properties(content, meta)
            elif kind == b"iref":
                read_sources(content, meta)
        except (struct.error, IndexError):
            continue
    return meta


def read_properties(content: memoryview, meta: Meta) -> None:
    for kind, inner in boxes(content):
        if kind == b"ipco":
            meta.properties = [(kind, bytes(part)) for kind, part in boxes(inner)]
        elif kind == b"ipma":
            wide_item, wide_number = inner[0] >= 1, bool(inner[3] & 1)
            count, at = struct.unpack_from(">I", inner, 4)[0], 8
            for _ in range(min(count, MAX_BOXES)):
                item, many = struct.unpack_from(">IB" if wide_item else ">HB", inner, at)
                at += 5 if wide_item else 3
                form, step = (">H", 2) if wide_number else (">B", 1)
                marked = [struct.unpack_from(form, inner, at + step * n)[0] for n in range(many)]
                at += step * many
                # The upper bit says "essential".
                meta.associations.setdefault(item, []).extend(n & (0x7FFF if wide_number else 0x7F) for n in marked)


def read_sources(content: memoryview, meta: Meta) -> None:
    item = ">I" if content[0] else ">H"
    size = struct.calcsize(item)
    for kind, inner in boxes(content[4:]):
        if kind == b"dimg":
            derived = struct.unpack_from(item, inner)[0]
            meta.sources.setdefault(derived, struct.unpack_from(item, inner, size + 2)[0])  # behind their number


def profile_in(meta: Meta) -> bytes | None:
    """The ICC profile of the primary picture."""
    return next((content[4:] for content in meta.of_primary(b"colr") if content[:4] in PROFILES), None)


def codes_in(meta: Meta) -> tuple[int, int] | None:
    """Colour primaries and transfer characteristics of its `nclx` box; matrix and range are the decoder's."""
    for content in meta.of_primary(b"colr"):
        if content[:4] == b"nclx" and len(content) >= 8:
            primaries, transfer = struct.unpack_from(">HH", content, 4)
            return primaries, transfer
    return None
