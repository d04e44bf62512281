"""Writes cases.json: inputs and the bytes that docs/preprocess.md asks for, made by reference.py alone.

    python tests/golden/preprocess/make.py            # writes
    python tests/golden/preprocess/make.py --check    # compares with what is there, exit code 1 if it differs

Apps are tested on this very file.
"""

from __future__ import annotations

import base64
import hashlib
import json
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))
from tests.golden.preprocess import reference
from tests.golden.writing import write_or_check

FILE = Path(__file__).with_name("cases.json")
WHOLE = 3000  # bytes; longer results are given by their SHA-256 alone
ABOUT = (
    "Every case is one picture. `noise` is bytes of x[n+1] = (1664525 x[n] + 1013904223) mod 2^32, each x[n+1] >> 24, "
    "starting from x[0] = seed; `bytes` of them, of kind rgb 3 * width * height. `data` is base64; `fill` is one value "
    "for all bytes. `planes` are Y, U, V, each with a seed, bytes and strides of its own; `layout` nv21, nv12 and i420 "
    "are one buffer without gaps. `crop` is [left, top, right, bottom]; where crop, rotation or mirrored are missing "
    "they are the whole frame, 0 and false. `upright` is the RGB picture after crop, rotation (clockwise) and "
    "mirroring; `inputs` are its model inputs, by side. Results are rows of RGB: SHA-256 of the bytes and, of short "
    "ones, the bytes as base64."
)


def noise(seed: int, count: int) -> bytes:
    made, x = bytearray(), seed
    for _ in range(count):
        x = (1664525 * x + 1013904223) % 2**32
        made.append(x >> 24)
    return bytes(made)


def flat(picture: reference.Picture) -> bytes:
    return bytes(value for row in picture for pixel in row for value in pixel)


def result(picture: reference.Picture) -> dict[str, Any]:
    content = flat(picture)
    found: dict[str, Any] = {"width": len(picture[0]), "height": len(picture)}
    found["sha256"] = hashlib.sha256(content).hexdigest()
    if len(content) <= WHOLE:
        found["rgb"] = base64.b64encode(content).decode()
    return found


def expected(picture: reference.Picture, sides: Iterable[int]) -> dict[str, Any]:
    return {
        "upright": result(picture),
        "inputs": [result(reference.model_input(picture, side)) for side in sides],
    }


def rgb_case(name: str, width: int, height: int, sides: Iterable[int], seed: int = 1) -> dict[str, Any]:
    data = noise(seed, 3 * width * height)
    picture = [[list(data[3 * (y * width + x) : 3 * (y * width + x) + 3]) for x in range(width)] for y in range(height)]
    return {"name": name, "kind": "rgb", "width": width, "height": height, "noise": seed} | expected(picture, sides)


def fill_case(name: str, width: int, height: int, value: int, sides: Iterable[int]) -> dict[str, Any]:
    """One value throughout: its mean is known, and so large that 31 or 32 bits do not hold the sums."""
    case = {"name": name, "kind": "rgb", "width": width, "height": height, "fill": value}
    whole = hashlib.sha256(bytes([value]) * (3 * width * height)).hexdigest()
    return case | {
        "upright": {"width": width, "height": height, "sha256": whole},
        "inputs": [result([[[value] * 3] * side] * side) for side in sides],
    }


def yuv_case(
    name: str, width: int, height: int, sides: Iterable[int], *, layout: str = "planes", pad: int = 0, pixel: int = 1,
    matrix: str = "bt601", full: bool = True, seed: int = 7, data: bytes | None = None, **turn: Any,
) -> dict[str, Any]:  # fmt: skip
    """`layout`: planes with row padding and a pixel stride of chroma, or one buffer: nv21, nv12, i420."""
    wide, high = (width + 1) // 2, (height + 1) // 2
    luma, chroma = width * height, wide * high
    case: dict[str, Any] = {"name": name, "kind": "yuv", "layout": layout, "width": width, "height": height}
    case |= {"matrix": matrix, "full_range": full} | turn
    if layout == "planes":
        row = (wide - 1) * pixel + 1 + pad
        sizes = [(width + pad) * (height - 1) + width, *[row * (high - 1) + (wide - 1) * pixel + 1] * 2]
        strides = (width + pad, 1, row, pixel, row, pixel)
        planes = [noise(seed + n, size) for n, size in enumerate(sizes)]
        case["planes"] = [
            {"noise": seed + n, "bytes": size, "row_stride": strides[2 * n], "pixel_stride": strides[2 * n + 1]}
            for n, size in enumerate(sizes)
        ]
    else:
        whole = data if data is not None else noise(seed, luma + 2 * chroma)
        case |= {"data": base64.b64encode(whole).decode()} if data is not None else {"noise": seed}
        case["bytes"] = len(whole)
        y, rest = whole[:luma], whole[luma:]
        if layout == "i420":
            planes, strides = [y, rest[:chroma], rest[chroma:]], (width, 1, wide, 1, wide, 1)
        else:
            first, second = rest, rest[1:]
            planes = [y, first, second] if layout == "nv12" else [y, second, first]
            strides = (width, 1, 2 * wide, 2, 2 * wide, 2)
    rgb = reference.yuv_frame(*planes, width=width, height=height, strides=strides, matrix=matrix, full_range=full)
    return case | expected(reference.upright(rgb, **turn), sides)


def bgra_case(name: str, width: int, height: int, sides: Iterable[int], *, pad: int = 0, seed: int = 3, **turn: Any):
    row = 4 * width + pad
    size = row * (height - 1) + 4 * width
    rgb = reference.bgra_frame(noise(seed, size), width=width, height=height, row_stride=row)
    case = {"name": name, "kind": "bgra", "width": width, "height": height, "row_stride": row, "noise": seed,
            "bytes": size} | turn  # fmt: skip
    return case | expected(reference.upright(rgb, **turn), sides)


def cases() -> Iterator[dict[str, Any]]:
    for width, height in ((1, 1), (1, 5), (5, 1), (2, 2), (3, 4), (4, 3), (7, 7), (8, 5)):
        yield rgb_case(f"rgb {width} x {height}", width, height, (1, 2, 3, 7, 8))
    yield rgb_case("rgb: same size", 16, 16, (16,))
    yield rgb_case("rgb: odd margin above", 9, 16, (4, 9))
    yield rgb_case("rgb: odd margin at the left", 16, 9, (4, 9))
    yield rgb_case("rgb: enlarged", 10, 10, (11, 20, 33, 64))
    yield rgb_case("rgb: a whole factor", 64, 64, (8, 32))
    yield rgb_case("rgb: no whole factor", 61, 67, (13, 28))
    yield rgb_case("rgb: as from a phone, small", 160, 120, (56, 64))
    yield rgb_case("rgb 480 x 360 to 128, 224, 256", 480, 360, (128, 224, 256))
    yield fill_case("rgb: sums of more than 32 bits", 4001, 3200, 255, (1, 7, 224))
    for matrix in ("bt601", "bt709"):
        for full in (False, True):
            span = "full" if full else "limited"
            yield yuv_case(f"yuv: {matrix}, {span} range", 24, 16, (8,), matrix=matrix, full=full)
            ends = bytes(
                [0, 16, 128, 235, 255, 64] * 4 + [0, 255, 16, 240, 128, 1] + [255, 0, 240, 16, 128, 254]
            )  # the ends of every range
            yield yuv_case(
                f"yuv: ends of the range, {matrix}, {span}", 6, 4, (3,), layout="i420", matrix=matrix, full=full,
                data=ends,
            )  # fmt: skip
    for layout in ("nv21", "nv12", "i420"):
        yield yuv_case(f"{layout}", 12, 10, (5, 16), layout=layout, full=False)
        yield yuv_case(f"{layout}, odd size", 11, 7, (4,), layout=layout)
        yield yuv_case(f"{layout}, one pixel", 1, 1, (1, 2), layout=layout)
    yield yuv_case("yuv: strides, padded rows", 13, 9, (4,), pad=5, pixel=2)
    yield yuv_case("yuv: a pixel stride of 3", 10, 6, (4,), pad=1, pixel=3)
    yield yuv_case("yuv: last row cut short", 8, 8, (4,), pad=24, pixel=2)
    for rotation in (0, 90, 180, 270):
        for mirrored in (False, True):
            name = f"rotated {rotation}{', mirrored' if mirrored else ''}"
            yield yuv_case(f"yuv: {name}", 13, 8, (5,), pixel=2, pad=2, rotation=rotation, mirrored=mirrored)
            yield bgra_case(f"bgra: {name}", 9, 6, (4,), pad=12, rotation=rotation, mirrored=mirrored)
    yield yuv_case("yuv: crop at odd places", 17, 13, (4, 7), pixel=2, crop=[3, 1, 14, 12])
    yield yuv_case("yuv: crop, rotated, mirrored", 20, 16, (6,), crop=[1, 3, 18, 14], rotation=270, mirrored=True)
    yield yuv_case("yuv: crop of one pixel", 9, 9, (1, 3), crop=[8, 8, 9, 9])
    yield bgra_case("bgra: crop", 12, 10, (5,), pad=16, crop=[2, 1, 11, 9])
    yield yuv_case("nv21 320 x 240 to 128, 224", 320, 240, (128, 224), layout="nv21", full=False, rotation=90)
    for bits, n in ((31, 2051), (32, 2900)):  # 511 n^2 no longer fits
        yield fill_case(f"rgb: sums of just more than {bits} bits", n, n, 255, (1, 3))
    for matrix in ("bt601", "bt709"):
        for full in (False, True):  # so large that it holds every constant: each moved by one changes some byte
            span = "full" if full else "limited"
            yield yuv_case(
                f"i420: noise, {matrix}, {span}", 256, 256, (), layout="i420", matrix=matrix, full=full, seed=6
            )


def main() -> int:
    found = {"about": ABOUT, "version": "area-2", "cases": list(cases())}
    return write_or_check(json.dumps(found, indent=1) + "\n", FILE, __doc__)


if __name__ == "__main__":
    raise SystemExit(main())
