"""Large photographs that are made in a moment: one row or one tile is encoded, and stands for all."""

from __future__ import annotations

import io
import struct

import numpy as np
from PIL import Image

from edge.decoding.boxes import box, read_meta

FULL_BOX = bytes(4)  # version 0, no flags


def slope(height: int, width: int) -> np.ndarray:
    """A picture that lossy formats keep nearly as it is."""
    y, x = np.mgrid[0:height, 0:width]
    return np.dstack([255 * x // width, 255 * y // height, 128 + 0 * x]).astype(np.uint8)


def jpeg_of_rows(width: int, height: int) -> bytes:
    """A baseline JPEG, 4:2:0, whose rows of blocks are all the same: each begins anew behind a restart marker."""
    buffer = io.BytesIO()
    Image.fromarray(slope(16, width)).save(buffer, "JPEG", quality=90, restart_marker_rows=1, subsampling=2)
    contents = buffer.getvalue()
    frame, scan = contents.index(b"\xff\xc0"), contents.index(b"\xff\xda")
    begin = scan + 2 + int.from_bytes(contents[scan + 2 : scan + 4], "big")
    head = contents[: frame + 5] + struct.pack(">H", height) + contents[frame + 7 : begin]
    row = contents[begin:-2]
    rows = -(-height // 16)
    return head + b"".join(row + bytes([0xFF, 0xD0 + i % 8]) for i in range(rows - 1)) + row + b"\xff\xd9"


def heic(pixels: np.ndarray, **options: object) -> bytes:
    """A HEIC file as pillow-heif writes it; 16-bit pixels become 10 bits."""
    import pillow_heif

    mode = {(2, 1): "L", (2, 2): "I;16", (3, 1): "RGB", (3, 2): "RGB;16"}[pixels.ndim, pixels.itemsize]
    if pixels.ndim == 3 and pixels.shape[2] == 4:
        mode = "RGBA"
    buffer = io.BytesIO()
    pillow_heif.from_bytes(mode, pixels.shape[1::-1], np.ascontiguousarray(pixels).tobytes()).save(buffer, **options)
    return buffer.getvalue()


def heic_of_tiles(tile: bytes, columns: int, rows: int, size: tuple[int, int], *properties: bytes) -> bytes:
    """A grid, each of whose tiles is the picture of the HEIC file `tile`; `properties` are the grid's own."""
    meta = read_meta(tile)
    assert meta.primary is not None
    item, data = meta.item(meta.primary), meta.data(tile, meta.primary)
    count = columns * rows
    grid = bytes([0, 1, rows - 1, columns - 1]) + struct.pack(">II", *size)
    extent = box(b"ispe", FULL_BOX, struct.pack(">II", *size))
    boxes = [*item.properties, extent, *properties]
    of_tile = bytes(range(1, len(item.properties) + 1))
    of_grid = bytes(range(len(item.properties) + 1, len(boxes) + 1))
    entries = [box(b"infe", b"\2\0\0\0", struct.pack(">HH4s", 1, 0, b"grid"), b"\0")]
    entries += [
        box(b"infe", b"\2\0\0\1", struct.pack(">HH4s", number, 0, b"hvc1"), b"\0") for number in range(2, count + 2)
    ]
    tiles = struct.pack(f">HH{count}H", 1, count, *range(2, count + 2))
    links = struct.pack(">HB", 1, len(of_grid)) + of_grid
    links += b"".join(struct.pack(">HB", number, len(of_tile)) + of_tile for number in range(2, count + 2))

    def parts(start: int) -> bytes:
        places = struct.pack(">HHHHII", 1, 1, 0, 1, 0, len(grid))  # the grid lies in idat
        places += b"".join(struct.pack(">HHHHII", number, 0, 0, 1, start, len(data)) for number in range(2, count + 2))
        return box(
            b"meta",
            FULL_BOX,
            box(b"hdlr", FULL_BOX, b"\0\0\0\0pict", bytes(13)),
            box(b"pitm", FULL_BOX, struct.pack(">H", 1)),
            box(b"iinf", FULL_BOX, struct.pack(">H", count + 1), *entries),
            box(b"iref", FULL_BOX, box(b"dimg", tiles)),
            box(b"iprp", box(b"ipco", *boxes), box(b"ipma", FULL_BOX, struct.pack(">I", count + 1), links)),
            box(b"idat", grid),
            box(b"iloc", b"\1\0\0\0", struct.pack(">HH", 0x4400, count + 1), places),
        )

    head = box(b"ftyp", b"heic\0\0\0\0mif1heic")
    start = len(head) + len(parts(0)) + 8
    return head + parts(start) + box(b"mdat", data)
