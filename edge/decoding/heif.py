"""HEIC files (ISO/IEC 23008-12): the primary picture, whole or tile by tile.

libheif decodes the whole picture at once. Where that takes too much memory, or the picture is decoded smaller, each
tile of a grid becomes a small file of its own, and libheif decodes that: at full size the pixels are the same.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from math import ceil
from typing import TYPE_CHECKING

import numpy as np

from edge.errors import InputError, install
from edge.progress import track

from .boxes import MAX_TILES, Item, Meta, property_of, read_meta, standalone
from .kinds import HEAD_BYTES, SEQUENCE_BRANDS, brands_of
from .limits import FULL_PIXELS, MAX_PIXELS, check_memory, check_size, fits, scale_of
from .stored import Stored, as_stored

if TYPE_CHECKING:
    from PIL import Image
    from pillow_heif import HeifFile

HEVC = frozenset({b"hvc1", b"hev1"})
CODINGS = {  # of pictures that a HEIF file may hold as well
    b"av01": "coded with AV1 (AVIF)", b"vvc1": "coded with VVC", b"avc1": "coded with H.264", b"jpeg": "coded as JPEG",
    b"j2k1": "coded with JPEG 2000", b"unci": "not compressed", b"mski": "not compressed",
    b"tmap": "made by a tone map (HDR)",
}  # fmt: skip
LIBHEIF_BRANDS = frozenset({b"heic", b"heix", b"mif1"})  # of which it wants one
# Bytes that libheif 1.23 and the result take for each pixel of a whole picture, by (chroma, more than 8 bits); measured
# as docs/preprocess.md tells. Chroma: whether it has more samples than in 4:2:0.
WHOLE = {(False, False): 6.5, (True, False): 9.5, (False, True): 8.0, (True, True): 15.5}
ALPHA = 1.5
TILE_PIXELS = 8_400_000  # of the largest tiles; phones write 512 x 512
WORKERS = 2
IN_TILES = "Save it as JPEG, or smaller"


@dataclass(frozen=True)
class Grid:
    """A picture that is put together from tiles of one size, row by row; the last ones stand over at the edges."""

    width: int
    height: int
    rows: int
    columns: int
    tile_width: int
    tile_height: int
    tiles: tuple[int, ...]  # items
    colours: tuple[bytes, ...]  # properties that count for all tiles
    orientation: int  # as of EXIF, from the file's own boxes


def opened(contents: bytes, name: str) -> Stored:
    """The primary picture; it is decoded when it is used.

    Above `FULL_PIXELS` its width and height are divided by 2 or 4: each pixel is the mean of those that it covers.
    InputError for what is no HEVC picture, or does not fit into memory.
    """
    brands = {*brands_of(contents[:HEAD_BYTES])}
    try:
        meta = read_meta(contents)
        primary = meta.item(meta.primary if meta.primary is not None else -1)
    except ValueError:
        if brands & SEQUENCE_BRANDS:
            raise InputError(
                f"{name} is a HEIF image sequence without a still picture; expected a photograph. Save one as JPEG"
            ) from None
        meta, primary = Meta(), Item(b"")  # libheif may understand more, or says what is wrong
    if primary.kind in CODINGS:
        raise InputError(
            f"{name} is a HEIF file whose primary picture is {CODINGS[primary.kind]}; expected HEVC (HEIC). "
            "Save it as JPEG"
        )
    if primary.kind and (brands & SEQUENCE_BRANDS or not brands & LIBHEIF_BRANDS):
        contents = as_still(contents)
    file = open_file(contents, name)
    picture = file[file.primary_index]
    width, height = picture.size
    check_size(width, height, MAX_PIXELS, name)
    scale = scale_of(width, height)
    needed = whole_bytes(meta, primary) * width * height
    needed += ALPHA * width * height * picture.has_alpha + len(contents)
    if scale == 1 and fits(needed):
        return whole(file)
    kind = f"{'a tiled' if primary.kind == b'grid' else 'an untiled'} HEIC file of {width} x {height} pixels"
    if primary.kind != b"grid":
        check_memory(needed, kind, name, IN_TILES)
        raise InputError(f"{name} is {kind}; above {FULL_PIXELS} pixels only tiled ones are decoded. {IN_TILES}")
    grid = read_grid(meta, contents, scale, kind, name)
    if picture.has_alpha:
        raise InputError(f"{name} is {kind} that is translucent, which is not decoded at this size. {IN_TILES}")
    size = (ceil(grid.width / scale), ceil(grid.height / scale))

    @cache
    def pixels() -> np.ndarray:
        return put_together(meta, contents, grid, scale, name)

    return Stored(
        (grid.width, grid.height), *size, "RGB", file.info, grid.orientation,
        lambda top, bottom: with_info(pixels()[top:bottom], file),
    )  # fmt: skip


def open_file(contents: bytes, name: str) -> HeifFile:
    """The file as libheif sees it; nothing is decoded."""
    try:
        import pillow_heif
    except ImportError as error:
        raise InputError(
            f"{name} is a HEIC/HEIF file, which needs pillow-heif: {install('heif')}, or save it as JPEG"
        ) from error
    # Deep colours become 8 bits by dropping the lower ones; rows may end in padding, which `whole` knows.
    return pillow_heif.HeifFile(contents, convert_hdr_to_8bit=True, hdr_to_16bit=True, remove_stride=False)


def as_still(contents: bytes) -> bytes:
    """The file with brands that libheif takes for a still picture's; all offsets stay as they are."""
    end = min(int.from_bytes(contents[:4], "big"), HEAD_BYTES)
    brands = b"heic" + contents[12:16] + b"mif1heic" * (end // 8)
    return contents[:8] + brands[: max(0, end - 8)] + contents[max(8, end) :]


def whole(file: HeifFile) -> Stored:
    """The picture decoded at once. libheif turns it as its boxes say; EXIF beside them does not count."""
    from PIL import Image

    picture = file[file.primary_index]

    def rows(top: int, bottom: int) -> Image.Image:
        data = memoryview(picture.data)[top * picture.stride : bottom * picture.stride]
        strip = Image.frombytes(
            picture.mode, (picture.size[0], bottom - top), data, "raw", picture.mode, picture.stride
        )
        strip.info = file.info
        return strip

    return Stored(picture.size, *picture.size, picture.mode, file.info, 1, rows)


def with_info(pixels: np.ndarray, file: HeifFile) -> Image.Image:
    from PIL import Image

    strip = Image.fromarray(pixels)
    strip.info = file.info
    return strip


def whole_bytes(meta: Meta, primary: Item) -> float:
    """Bytes for each pixel that it takes to decode a picture at once; the most where its kind of pixels is unknown."""
    tiles = meta.tiles_of(meta.primary) if primary.kind == b"grid" and meta.primary is not None else ()
    try:
        setup = property_of(meta.item(tiles[0]) if tiles else primary, b"hvcC")
    except ValueError:
        setup = None
    if setup is None or len(setup) < 19:
        return max(WHOLE.values())
    return WHOLE[setup[16] & 3 > 1, bool(setup[17] & 7 or setup[18] & 7)]  # ISO/IEC 14496-15, 8.3.3.1.2


def read_grid(meta: Meta, contents: bytes, scale: int, kind: str, name: str) -> Grid:
    """ISO/IEC 23008-12, 6.6.2.3. ValueError where it contradicts itself, InputError for what is not decoded so."""
    number = meta.primary
    assert number is not None
    data = meta.data(contents, number)
    size = 4 if len(data) > 1 and data[1] & 1 else 2
    if len(data) < 4 + 2 * size:
        raise ValueError("its grid is cut off")
    rows, columns = data[2] + 1, data[3] + 1
    width, height = (int.from_bytes(data[at : at + size], "big") for at in (4, 4 + size))
    tiles = meta.tiles_of(number)
    if len(tiles) != rows * columns or len(tiles) > MAX_TILES:
        raise ValueError(f"its grid has {len(tiles)} tiles for {rows} x {columns}")
    first = meta.item(tiles[0])
    extent = property_of(first, b"ispe")
    if extent is None or len(extent) < 12:
        raise ValueError("its tiles have no size")
    tile_width, tile_height = (int.from_bytes(extent[at : at + 4], "big") for at in (4, 8))
    if not (columns - 1) * tile_width < width <= columns * tile_width:
        raise ValueError(f"its tiles of {tile_width} pixels do not cover a width of {width}")
    if not (rows - 1) * tile_height < height <= rows * tile_height:
        raise ValueError(f"its tiles of {tile_height} pixels do not cover a height of {height}")
    check_size(width, height, MAX_PIXELS, name)
    if scale_of(width, height) != scale:
        raise ValueError("its boxes give two sizes")
    if tile_width % scale or tile_height % scale or tile_width * tile_height > TILE_PIXELS:
        raise InputError(
            f"{name} is {kind} in tiles of {tile_width} x {tile_height}; expected multiples of {scale} with at most "
            f"{TILE_PIXELS} pixels. {IN_TILES}"
        )
    item = meta.item(number)
    if property_of(item, b"clap") is not None:
        raise InputError(f"{name} is {kind} with a crop (clap), which is not decoded at this size. {IN_TILES}")
    colours = tuple(box for box in item.properties if box[4:8] == b"colr")
    return Grid(
        width, height, rows, columns, tile_width, tile_height, tiles, colours, orientation_of(item.properties)
    )  # fmt: skip


def orientation_of(properties: tuple[bytes, ...]) -> int:
    """The EXIF orientation that does the same as the boxes `irot` and `imir`, in their order."""
    stored = np.arange(6).reshape(2, 3)
    upright = stored
    for box in properties:
        if box[4:8] == b"irot" and len(box) > 8:
            upright = np.rot90(upright, box[8] & 3)  # a quarter turn anti-clockwise each
        elif box[4:8] == b"imir" and len(box) > 8:
            upright = upright[:, ::-1] if box[8] & 1 else upright[::-1]
    return next(
        number
        for number in range(1, 9)
        if (view := as_stored(upright, number)).shape == stored.shape and (view == stored).all()
    )


def put_together(meta: Meta, contents: bytes, grid: Grid, scale: int, name: str) -> np.ndarray:
    """uint8 RGB, as stored, of a grid at 1/scale."""
    pixels = np.empty((ceil(grid.height / scale), ceil(grid.width / scale), 3), np.uint8)

    def place(index: int) -> None:
        row, column = divmod(index, grid.columns)
        top, left = row * grid.tile_height, column * grid.tile_width
        tile = decoded(meta, contents, grid, index, name)[: grid.height - top, : grid.width - left]
        small = mean_of(tile, scale)
        pixels[top // scale :, left // scale :][: small.shape[0], : small.shape[1]] = small

    with ThreadPoolExecutor(WORKERS) as workers:
        work = [workers.submit(place, index) for index in range(len(grid.tiles))]
        try:
            for done in track(work, f"decoding {name}", len(work)):
                done.result()
        finally:
            stop(work)
    return pixels


def stop(work: list[Future[None]]) -> None:
    for waiting in work:
        waiting.cancel()


def decoded(meta: Meta, contents: bytes, grid: Grid, index: int, name: str) -> np.ndarray:
    """uint8 RGB of one tile."""
    number = grid.tiles[index]
    tile = meta.item(number)
    if tile.kind not in HEVC:
        raise ValueError(f"its tile {index} is {tile.kind!r}, not HEVC")
    file = open_file(standalone(tuple(properties_of(tile, grid)), meta.data(contents, number)), name)
    if file.size != (grid.tile_width, grid.tile_height) or file.mode not in ("RGB", "L"):
        raise ValueError(f"its tile {index} has another size or kind of pixels than the first")
    pixels = np.asarray(file)[:, : grid.tile_width]
    return pixels if pixels.ndim == 3 else np.repeat(pixels[:, :, None], 3, axis=2)


def properties_of(tile: Item, grid: Grid) -> Iterator[bytes]:
    """What it takes to decode a tile; the colours of the whole count before its own."""
    for box in tile.properties:
        if box[4:8] in (b"hvcC", b"ispe", b"pixi") or (box[4:8] == b"colr" and not grid.colours):
            yield box
        elif box[4:8] in (b"irot", b"imir", b"clap"):
            raise ValueError("a tile is turned or cropped by itself")
    yield from grid.colours


def mean_of(pixels: np.ndarray, scale: int) -> np.ndarray:
    """uint8 (⌈H/scale⌉, ⌈W/scale⌉, C): means of scale x scale pixels, halves up; at edges of those that exist."""
    if scale == 1:
        return pixels
    height, width, channels = pixels.shape
    sums = np.zeros((ceil(height / scale), ceil(width / scale), channels), np.uint16)
    counts = np.zeros((*sums.shape[:2], 1), np.uint16)
    for row in range(scale):
        for column in range(scale):
            part = pixels[row::scale, column::scale]
            sums[: len(part), : part.shape[1]] += part
            counts[: len(part), : part.shape[1]] += 1
    return ((2 * sums + counts) // (2 * counts)).astype(np.uint8)
