"""The boxes of a HEIF file (ISO/IEC 14496-12 and 23008-12): which pictures it holds, in which tiles, and where.

Only what is needed to decode a large picture tile by tile is read; nothing is decoded here. Numbers in the file are not
trusted: a box stays within its parent, counts are bounded, and whatever does not fit raises ValueError.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field

MAX_BOXES = 20_000  # at one level; a 200-megapixel picture in tiles of 512 has about 800 of a kind
MAX_TILES = 4096
MAX_ITEM_BYTES = 64 * 2**20

Span = tuple[int, int]  # begin and end in the file


@dataclass(frozen=True)
class Item:
    """A picture or another thing in the file."""

    kind: bytes  # hvc1: HEVC; av01: AV1; grid: put together from others; Exif; …
    properties: tuple[bytes, ...] = ()  # whole boxes, in the order in which they apply


@dataclass
class Meta:
    """What the `meta` box says of the file's items."""

    primary: int | None = None
    kinds: dict[int, bytes] = field(default_factory=dict)
    references: list[tuple[bytes, int, tuple[int, ...]]] = field(default_factory=list)  # kind, from, to
    properties: list[bytes] = field(default_factory=list)
    of_item: dict[int, list[int]] = field(default_factory=dict)  # item -> numbers of its properties, from 1
    places: dict[int, tuple[int, list[Span]]] = field(default_factory=dict)  # item -> where from, its parts
    idat: Span = (0, 0)

    def item(self, number: int) -> Item:
        """ValueError if there is no such item, or if a property is missing."""
        if number not in self.kinds:
            raise ValueError(f"item {number} is missing")
        indices = self.of_item.get(number, [])
        if any(index > len(self.properties) for index in indices):
            raise ValueError(f"a property of item {number} is missing")
        return Item(self.kinds[number], tuple(self.properties[index - 1] for index in indices if index))

    def tiles_of(self, number: int) -> tuple[int, ...]:
        """The items that a grid is put together from, row by row."""
        return next((to for kind, source, to in self.references if kind == b"dimg" and source == number), ())

    def data(self, contents: bytes, number: int) -> bytes:
        """The bytes of an item; ValueError if they lie outside of the file."""
        method, spans = self.places.get(number, (0, []))
        if method not in (0, 1):
            raise ValueError(f"item {number} lies in another item")
        first, last = (0, len(contents)) if method == 0 else self.idat
        parts = []
        for begin, length in spans:
            end = last if length == 0 and len(spans) == 1 else first + begin + length
            if not first <= first + begin <= end <= last:
                raise ValueError(f"item {number} lies outside of the file")
            parts.append((first + begin, end))
        if not 0 < sum(end - begin for begin, end in parts) <= MAX_ITEM_BYTES:
            raise ValueError(f"item {number} is empty or too large")
        return b"".join(contents[begin:end] for begin, end in parts)


def boxes(contents: bytes, begin: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """(kind, begin of the body, end) of each box between two places."""
    count = 0
    while begin < end:
        count += 1
        if count > MAX_BOXES:
            raise ValueError("too many boxes")
        if end - begin < 8:
            raise ValueError("a box is cut off")
        size, kind = struct.unpack_from(">I4s", contents, begin)
        body = begin + 8
        if size == 1:
            if end - begin < 16:
                raise ValueError("a box is cut off")
            size, body = struct.unpack_from(">Q", contents, body)[0], body + 8
        elif size == 0:
            size = end - begin
        if size < body - begin or size > end - begin:
            raise ValueError(f"the box {kind!r} is cut off")
        yield kind, body, begin + size
        begin += size


class Fields:
    """Reads big-endian numbers one after the other, within a span."""

    def __init__(self, contents: bytes, begin: int, end: int) -> None:
        self.contents, self.at, self.end = contents, begin, end

    def number(self, size: int) -> int:
        return int.from_bytes(self.take(size), "big")

    def take(self, size: int) -> bytes:
        if size > self.end - self.at:
            raise ValueError("a box is shorter than it says")
        self.at += size
        return self.contents[self.at - size : self.at]

    def version(self) -> tuple[int, int]:
        """(version, flags) at the begin of a full box."""
        return self.number(1), self.number(3)

    def count(self, size: int) -> int:
        count = self.number(size)
        if count > MAX_BOXES:
            raise ValueError(f"{count} entries are too many")
        return count


def read_meta(contents: bytes) -> Meta:
    """The file's `meta` box; ValueError if there is none, or where it contradicts itself."""
    span = next(((begin, end) for kind, begin, end in boxes(contents, 0, len(contents)) if kind == b"meta"), None)
    if span is None:
        raise ValueError("there is no meta box")
    begin, end = span
    meta = Meta()
    readers = {b"pitm": read_pitm, b"iinf": read_iinf, b"iref": read_iref, b"iloc": read_iloc, b"iprp": read_iprp}
    for kind, inner, last in boxes(contents, begin + 4, end):
        if kind == b"idat":
            meta.idat = (inner, last)
        elif kind in readers:
            readers[kind](meta, contents, inner, last)
    return meta


def read_pitm(meta: Meta, contents: bytes, begin: int, end: int) -> None:
    fields = Fields(contents, begin, end)
    version, _ = fields.version()
    meta.primary = fields.number(4 if version else 2)


def read_iinf(meta: Meta, contents: bytes, begin: int, end: int) -> None:
    fields = Fields(contents, begin, end)
    version, _ = fields.version()
    fields.count(4 if version else 2)
    for kind, inner, last in boxes(contents, fields.at, end):
        if kind != b"infe":
            continue
        entry = Fields(contents, inner, last)
        version, _ = entry.version()
        if version < 2:
            continue  # without a kind: not of a picture
        number = entry.number(4 if version > 2 else 2)
        entry.number(2)  # protection
        meta.kinds[number] = entry.take(4)


def read_iref(meta: Meta, contents: bytes, begin: int, end: int) -> None:
    fields = Fields(contents, begin, end)
    size = 4 if fields.version()[0] else 2
    for kind, inner, last in boxes(contents, fields.at, end):
        entry = Fields(contents, inner, last)
        source, count = entry.number(size), entry.count(2)
        meta.references.append((kind, source, tuple(entry.number(size) for _ in range(count))))


def read_iprp(meta: Meta, contents: bytes, begin: int, end: int) -> None:
    for kind, inner, last in boxes(contents, begin, end):
        if kind == b"ipco":
            meta.properties += [box(name, contents[first:stop]) for name, first, stop in boxes(contents, inner, last)]
        elif kind == b"ipma":
            fields = Fields(contents, inner, last)
            version, flags = fields.version()
            for _ in range(fields.count(4)):
                number = fields.number(4 if version else 2)
                size = 2 if flags & 1 else 1
                mask = 0x7FFF if flags & 1 else 0x7F  # the first bit: must be understood
                meta.of_item[number] = [fields.number(size) & mask for _ in range(fields.number(1))]


def read_iloc(meta: Meta, contents: bytes, begin: int, end: int) -> None:
    fields = Fields(contents, begin, end)
    version, _ = fields.version()
    if version > 2:
        raise ValueError(f"iloc of version {version}")
    sizes = fields.number(2)
    offset_size, length_size, base_size, index_size = (sizes >> shift & 15 for shift in (12, 8, 4, 0))
    for _ in range(fields.count(4 if version == 2 else 2)):
        number = fields.number(4 if version == 2 else 2)
        method = fields.number(2) & 15 if version else 0
        if fields.number(2):
            raise ValueError("an item lies in another file")
        base = fields.number(base_size)
        spans = []
        for _ in range(fields.count(2)):
            if version:
                fields.number(index_size)
            begin_of_part = base + fields.number(offset_size)
            spans.append((begin_of_part, fields.number(length_size)))
        meta.places[number] = method, spans


def property_of(item: Item, kind: bytes) -> bytes | None:
    """The body of an item's first property of a kind."""
    return next((box[8:] for box in item.properties if box[4:8] == kind), None)


def box(kind: bytes, *parts: bytes) -> bytes:
    body = b"".join(parts)
    return struct.pack(">I4s", 8 + len(body), kind) + body


def standalone(properties: tuple[bytes, ...], data: bytes) -> bytes:
    """A HEIC file of one HEVC picture with these properties: what a tile is, without the picture around it."""
    full = b"\0\0\0\0"  # version 0, no flags
    meta_parts = (
        box(b"hdlr", full, b"\0\0\0\0pict", bytes(13)),
        box(b"pitm", full, struct.pack(">H", 1)),
        box(b"iinf", full, struct.pack(">H", 1), box(b"infe", b"\2\0\0\0", struct.pack(">HH4s", 1, 0, b"hvc1"), b"\0")),
        box(
            b"iprp",
            box(b"ipco", *properties),
            box(b"ipma", full, struct.pack(">IHB", 1, 1, len(properties)), bytes(range(1, len(properties) + 1))),
        ),
    )
    head = box(b"ftyp", b"heic\0\0\0\0mif1heic")
    iloc_size = 8 + 4 + 2 + 2 + 2 + 2 + 2 + 8
    start = len(head) + 12 + sum(map(len, meta_parts)) + iloc_size + 8
    iloc = box(b"iloc", full, struct.pack(">HHHHHII", 0x4400, 1, 1, 0, 1, start, len(data)))
    return head + box(b"meta", full, *meta_parts, iloc) + box(b"mdat", data)
