"""Upright RGB -> model input: centred square, then an exact area resize. The same for training, judging and phones.

All of it is integer arithmetic with one rounding at the end, specified in docs/preprocess.md so that any program can
write the same bytes.
"""

from __future__ import annotations

import numpy as np

from edge.checks import whole_between
from edge.errors import InputError

# Part of every cache key and manifest: it changes whenever the same photograph would give other bytes.
PREPROCESS_VERSION = "area-2"
MAX_INPUT_SIDE = 4096  # pixels; no phone model comes near
BLOCK = 32  # rows of the result at a time, so that the sums stay in the cache


def square(rgb: np.ndarray) -> np.ndarray:
    """The largest centred square of a uint8 RGB (H, W, 3) array, a view.

    Where the margins cannot be equal, the upper or left one is the smaller by a pixel.
    """
    check_rgb(rgb)
    height, width = rgb.shape[:2]
    top, left, side = square_in(height, width)
    return rgb[top : top + side, left : left + side]


def square_in(height: int, width: int) -> tuple[int, int, int]:
    """(top, left, side) of the largest centred square."""
    side = min(height, width)
    return (height - side) // 2, (width - side) // 2, side


def to_input(rgb: np.ndarray, side: int) -> np.ndarray:
    """uint8 RGB (side, side, 3) of an upright uint8 RGB (H, W, 3): centred square, exact mean over each pixel's area.

    The same formula shrinks and enlarges; at the same size the bytes are copied. A mean that lies half way between two
    values is rounded up. Raises InputError for anything but uint8 (H, W, 3), or a side out of 1 to 4096.
    """
    side = check_side(side)
    return area(square(rgb), side)


def area(crop: np.ndarray, side: int) -> np.ndarray:
    """uint8 (side, side, C) of a square uint8 (N, N, C): the mean of the part of the crop that each pixel covers.

    Lengths are counted in units of 1/side of a crop's pixel, so that every overlap is whole: pixel i of the result
    covers [i N, (i + 1) N), pixel r of the crop [r side, (r + 1) side). Sums reach 255 N^2, hence 64 bits.
    """
    n, channels = len(crop), crop.shape[2]
    if n == side:
        return np.ascontiguousarray(crop).copy()
    whole, part = np.divmod(np.arange(side + 1, dtype=np.int64) * n, side)
    # Sums are at most 255 N^2, a little more before the parts at the edges are taken off: 32 bits do for camera frames.
    small = 2 * 256 * (n + side) ** 2 < 2**31
    kind: type[np.signedinteger] = np.int32 if small else np.int64
    result = np.empty((side, side, channels), np.uint8)
    for first in range(0, side, BLOCK):
        edges = slice(first, first + BLOCK + 1)
        rows = spanned_rows(crop, whole[edges], part[edges].astype(np.int32), side)  # (rows, N C), at most 255 N
        sums = spanned_columns(rows.reshape(-1, n, channels), whole, part, side, kind)  # at most 255 N^2
        sums *= 2
        sums += n * n
        sums //= 2 * n * n
        result[first : first + BLOCK] = sums
    return result


def spanned_rows(crop: np.ndarray, whole: np.ndarray, part: np.ndarray, side: int) -> np.ndarray:
    """Weighted sums of rows between edges: int32 (edges - 1, N C). Edge i lies `part[i]` units into row `whole[i]`.

    Whole rows between two edges are added by OpenCV, which sums bytes in 8 ms where NumPy takes 15 and its own area
    resize 55 (3000 x 3000 to 256 x 256, one thread).
    """
    import cv2

    n, count = len(crop), len(whole) - 1
    sums = np.zeros((count, n * crop.shape[2]), np.int32)
    for i in range(count):
        first, end = whole[i], whole[i + 1]
        if end > first:
            sums[i] = cv2.reduce(crop[first:end].reshape(end - first, -1), 0, cv2.REDUCE_SUM, dtype=cv2.CV_32S)[0]
    cut = crop[np.minimum(whole, n - 1)].reshape(count + 1, -1).astype(np.int32)  # the rows that edges lie in
    cut *= part[:, None]
    sums *= side
    sums += cut[1:]
    sums -= cut[:-1]
    return sums


def spanned_columns(
    rows: np.ndarray, whole: np.ndarray, part: np.ndarray, side: int, kind: type[np.signedinteger]
) -> np.ndarray:
    """Weighted sums of columns of int32 (side, N, C): (side, side, C) of a `kind` that holds them."""
    n = rows.shape[1]
    if n > side:
        sums = np.add.reduceat(rows, whole[:-1], axis=1, dtype=kind)
    else:  # some pixels lie within one column: there is no whole column to add
        upto = np.zeros((len(rows), n + 1, rows.shape[2]), kind)
        np.cumsum(rows, axis=1, dtype=kind, out=upto[:, 1:])
        sums = np.diff(upto[:, whole], axis=1)
    cut = rows[:, np.minimum(whole, n - 1)].astype(kind, copy=False) * part[:, None].astype(kind)
    sums *= side
    sums += cut[:, 1:]
    sums -= cut[:, :-1]
    return sums


def float_input(squares: np.ndarray) -> np.ndarray:
    """What a float graph takes: float32 (N, S, S, 3), 0 to 255, of uint8 squares. Normalisation is in the graph.

    Raises InputError for anything but uint8 (N, S, S, 3): numbers of 0..1 would look like a black picture.
    """
    array = isinstance(squares, np.ndarray)
    if not array or squares.dtype != np.uint8 or squares.ndim != 4 or squares.shape[1:] != (*[squares.shape[1]] * 2, 3):
        came = f"{squares.dtype} {squares.shape}" if array else type(squares).__name__
        raise InputError(f"expected squares as a uint8 array (N, S, S, 3), got {came}; `to_input` makes one")
    return np.ascontiguousarray(squares, np.float32)


def check_version(version: str, *, where: str) -> None:
    """InputError unless a model's pictures are those that this program makes."""
    if version != PREPROCESS_VERSION:
        raise InputError(
            f"{where}: its pictures are of preprocessing {version!r}, this dermedge makes {PREPROCESS_VERSION!r}; "
            "convert again from a checkpoint of this version, or train one (docs/preprocess.md tells the versions)"
        )


def check_side(side: int) -> int:
    """The side of a model input in pixels, 1 to 4096; InputError for anything else."""
    return whole_between(side, "the side of a model input", 1, MAX_INPUT_SIDE, "pixels")


def check_rgb(rgb: np.ndarray) -> None:
    """InputError unless this is a uint8 array (H, W, 3) with at least one pixel."""
    if not isinstance(rgb, np.ndarray):
        raise InputError(f"expected RGB as a uint8 array (height, width, 3), got {type(rgb).__name__}")
    if rgb.dtype != np.uint8 or rgb.ndim != 3 or rgb.shape[2] != 3 or 0 in rgb.shape:
        raise InputError(
            f"expected RGB as a uint8 array (height, width, 3), got {rgb.dtype} {rgb.shape}; "
            "`dermedge.capture.read_photo` gives one"
        )
