"""Writes cases.json: EXIF blocks, whole and damaged, with what each says of orientation and colour.

    python tests/golden/exif/make.py            # writes
    python tests/golden/exif/make.py --check    # compares with what is there, exit code 1 if it differs

What a block says is stated beside its bytes, by EXIF 2.32 and docs/preprocess.md. Apps are tested on this very file.
"""

from __future__ import annotations

import json
import struct
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))
from tests.golden.writing import write_or_check

FILE = Path(__file__).with_name("cases.json")
ABOUT = (
    "`block`: a TIFF block in hexadecimal digits, as it stands in a file behind `Exif` and two zeros. "
    "`orientation`: 1 to 8. `other_space`: whether it states another colour space than sRGB. "
    "A directory ends with its last whole entry or with its count; of two entries with one tag the first counts; "
    "a directory that lies outside of the block is not there."
)
ORIENTATION, INNER, INTEROPERABILITY, COLOR_SPACE, INDEX = 0x0112, 0x8769, 0xA005, 0xA001, 0x0001
SHORT, LONG, ASCII = 3, 4, 2
BEGIN = 8  # of the first directory
BEYOND = 5000

Entry = tuple[int, int, int]  # tag, type, value


def directory(*entries: Entry, count: int | None = None, order: str = "<") -> bytes:
    """One directory, which is the last; `count`: what it says of its length."""
    content = struct.pack(order + "H", len(entries) if count is None else count)
    for tag, kind, value in entries:
        content += struct.pack(order + "HHI", tag, kind, 4 if kind == ASCII else 1)
        content += struct.pack(order + "HH", value, 0) if kind == SHORT else struct.pack(order + "I", value)
    return content + bytes(4)


def block(*directories: bytes, begin: int = BEGIN, order: str = "<") -> bytes:
    head = b"II*\0" if order == "<" else b"MM\0*"
    return head + struct.pack(order + "I", begin) + b"".join(directories)


def after(entries: int) -> int:
    """Where the directory behind a first one begins."""
    return BEGIN + 2 + 12 * entries + 4


def damaged() -> Iterator[tuple[str, bytes, int]]:
    turned: Entry = (ORIENTATION, SHORT, 6)
    pointer: Entry = (INNER, LONG, BEYOND)
    one = block(directory(turned))
    yield "whole", one, 6
    yield "whole, the other order", block(directory(turned, order=">"), order=">"), 6
    yield "twice", block(directory(turned, (ORIENTATION, SHORT, 3))), 6
    yield "twice, the first of no meaning", block(directory((ORIENTATION, SHORT, 0), turned)), 1
    yield "an inner directory beyond the block", block(directory(turned, pointer)), 6
    yield "the same, the other order", block(directory(turned, pointer, order=">"), order=">"), 6
    yield "an inner directory before the block", block(directory(turned, (INNER, LONG, 0xFFFFFFFF))), 6
    yield "an inner directory in the head", block(directory(turned, (INNER, LONG, 0))), 6
    yield "an inner directory that is the outer one", block(directory(turned, (INNER, LONG, BEGIN))), 6
    yield "an inner directory of a count alone", block(directory(turned, (INNER, LONG, after(2))), b"\5\0"), 6
    yield "a larger count than there are entries", block(directory(turned, count=3)), 6
    yield "the largest count", block(directory(turned, count=65535)), 6
    yield "nothing behind the last entry", block(directory(turned, count=3)[:-4]), 6
    yield "an entry that is cut off", block(directory(turned, pointer)[:-9]), 6
    yield "a count of none", block(directory(turned, count=0)), 1
    yield "cut off before its value", one[: BEGIN + 2 + 8], 1
    yield "cut off in the head", one[:7], 1
    yield "a directory beyond the block", block(directory(turned), begin=BEYOND), 1
    yield "a directory before the block", block(directory(turned), begin=0xFFFFFFF0), 1
    yield "an orientation of 9", block(directory((ORIENTATION, SHORT, 9))), 1
    yield "another number than 42", one[:2] + b"+\0" + one[4:], 1
    yield "another order than two", b"IM" + one[2:], 1
    yield "empty", b"", 1


def coloured() -> Iterator[tuple[str, bytes, bool]]:
    def inner(*entries: Entry, count: int | None = None) -> bytes:
        return block(directory((INNER, LONG, after(1))), directory(*entries, count=count))

    adobe: Entry = (COLOR_SPACE, SHORT, 2)
    yield "ColorSpace of sRGB", inner((COLOR_SPACE, SHORT, 1)), False
    yield "ColorSpace of Adobe RGB", inner(adobe), True
    yield "ColorSpace of Adobe RGB, a larger count", inner(adobe, count=40), True
    yield "ColorSpace of no meaning", inner((COLOR_SPACE, SHORT, 7)), False
    names = (INTEROPERABILITY, LONG, after(1) + 2 + 12 * 2 + 4)
    for word, other in ((b"R98\0", False), (b"R03\0", True), (b"THM\0", False)):
        index = directory((INDEX, ASCII, int.from_bytes(word, "little")))
        for space in (65535, 7):
            yield f"ColorSpace {space}, {word[:3].decode()}", inner((COLOR_SPACE, SHORT, space), names) + index, other
    lost: Entry = (INTEROPERABILITY, LONG, BEYOND)
    yield "Adobe RGB, an interoperability directory beyond the block", inner(adobe, lost), True
    yield (
        "uncalibrated, an interoperability directory beyond the block",
        inner((COLOR_SPACE, SHORT, 65535), lost),
        False,
    )


def main() -> int:
    cases: list[dict[str, Any]] = [
        {"name": name, "block": content.hex(), "orientation": orientation, "other_space": False}
        for name, content, orientation in damaged()
    ]
    for name, content, other in coloured():
        cases.append({"name": name, "block": content.hex(), "orientation": 1, "other_space": other})
    return write_or_check(json.dumps({"about": ABOUT, "cases": cases}, indent=1) + "\n", FILE, __doc__)


if __name__ == "__main__":
    raise SystemExit(main())
