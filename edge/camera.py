"""A camera frame as a phone hands it over -> upright RGB: YUV 4:2:0 planes with any strides, or BGRA.

In integers, so that every program that follows docs/preprocess.md gets the same bytes. Frames come from drivers, so
sizes, strides and rectangles are checked against the length of the bytes before any is read.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np

from edge.checks import shown, truth, whole, whole_between
from edge.errors import InputError
from edge.preprocess import area, check_side, square_in

FRACTION = 6  # bits of the tables' fixed-point numbers: sums of three stay within 16 bits, saturated where they do not
# 2^16 times what one step of luma adds to R, G, B; of V to R, of U and V to G, of U to B. ITU-R BT.601-7, BT.709-6:
# luma in 16..235 and chroma in 16..240 where the range is limited, both in 0..255 where it is full.
COEFFICIENTS: Mapping[tuple[str, bool], tuple[int, int, int, int, int]] = {
    ("bt601", False): (76309, 104597, -25675, -53279, 132201),
    ("bt601", True): (65536, 91881, -22553, -46802, 116130),
    ("bt709", False): (76309, 117489, -13975, -34925, 138438),
    ("bt709", True): (65536, 103206, -12276, -30679, 121609),
}
MATRICES = sorted({matrix for matrix, _ in COEFFICIENTS})
STRIP = 64  # rows
ROTATIONS = (0, 90, 180, 270)
MAX_FRAME_PIXELS = 50_000_000  # 150 MB as RGB; cameras deliver at most some 12 million pixels as frames
MAX_FRAME_SIDE = 20_000  # pixels
MAX_STRIDE = 2**31  # bytes
BGRA_BYTES = 4  # of a pixel
Rectangle = tuple[int, int, int, int]  # left, top, right, bottom in pixels of the frame; right and bottom are outside


@dataclass(frozen=True)
class Plane:
    """Bytes of one plane: sample (x, y) is at y * row_stride + x * pixel_stride.

    Raises InputError for strides out of range and for what is no bytes.
    """

    data: Any  # bytes, bytearray, memoryview of bytes, or a contiguous uint8 array
    row_stride: int  # bytes, 1 to 2^31
    pixel_stride: int = 1  # bytes, 1 to 2^31

    def __post_init__(self) -> None:
        as_bytes(self.data, "the plane")
        for name in ("row", "pixel"):
            keep_whole(self, f"{name}_stride", f"the plane's {name} stride", MAX_STRIDE, "bytes")


@dataclass(frozen=True)
class YuvFrame:
    """Android's YUV_420_888, and NV12 of iOS: one chroma sample for 2 x 2 pixels, odd sizes rounded up.

    Pixel (x, y) has the chroma sample (x // 2, y // 2), in coordinates of the whole frame. `matrix` and `full_range`
    have no default, because frames of both kinds are common: docs/preprocess.md says where each platform states them.
    Raises InputError for sizes out of range, another matrix, and planes that are shorter than their strides say.
    """

    width: int  # pixels, 1 to 20,000
    height: int  # at most 50 million pixels in all
    y: Plane
    u: Plane
    v: Plane
    matrix: str = field(kw_only=True)  # "bt601" or "bt709"
    full_range: bool = field(kw_only=True)  # True: 0..255; False: luma 16..235, chroma 16..240

    def __post_init__(self) -> None:
        keep_size(self)
        if not isinstance(self.matrix, str) or self.matrix not in MATRICES:
            raise InputError(f"the matrix is bt601 or bt709, as the frame itself says, got {shown(self.matrix)}")
        object.__setattr__(self, "full_range", truth(self.full_range, "full_range"))
        check_planes(self)


@dataclass(frozen=True)
class BgraFrame:
    """32-bit BGRA of iOS; alpha is ignored. InputError for sizes out of range and bytes that are too few."""

    width: int  # pixels, 1 to 20,000
    height: int  # at most 50 million pixels in all
    data: Any  # bytes, bytearray, memoryview of bytes, or a contiguous uint8 array
    row_stride: int  # bytes

    def __post_init__(self) -> None:
        keep_size(self)
        keep_whole(self, "row_stride", "the frame's row stride", MAX_STRIDE, "bytes")
        bgra_pixels(self)


Frame = YuvFrame | BgraFrame


def nv21(data: Any, width: int, height: int, *, matrix: str, full_range: bool) -> YuvFrame:
    """Luma, then V and U in turns, without gaps (Android's old preview format). `matrix`, `full_range`: of YuvFrame."""
    return interleaved(data, width, height, v=0, u=1, matrix=matrix, full_range=full_range)


def nv12(data: Any, width: int, height: int, *, matrix: str, full_range: bool) -> YuvFrame:
    """Luma, then U and V in turns, without gaps. `matrix`, `full_range`: of YuvFrame."""
    return interleaved(data, width, height, u=0, v=1, matrix=matrix, full_range=full_range)


def interleaved(data: Any, width: int, height: int, *, u: int, v: int, matrix: str, full_range: bool) -> YuvFrame:
    width, height = sizes(width, height)
    samples, luma, row = as_bytes(data, "the frame"), width * height, 2 * half(width)
    check_length(samples, luma + row * half(height), f"{width} x {height} pixels of YUV 4:2:0 without gaps take")
    chroma = samples[luma:]
    planes = Plane(samples, width), Plane(chroma[u:], row, 2), Plane(chroma[v:], row, 2)
    return YuvFrame(width, height, *planes, matrix=matrix, full_range=full_range)


def i420(data: Any, width: int, height: int, *, matrix: str, full_range: bool) -> YuvFrame:
    """Luma, then all U, then all V, without gaps. `matrix`, `full_range`: of YuvFrame."""
    width, height = sizes(width, height)
    samples, luma, row = as_bytes(data, "the frame"), width * height, half(width)
    size = row * half(height)
    check_length(samples, luma + 2 * size, f"{width} x {height} pixels of YUV 4:2:0 without gaps take")
    u, v = samples[luma : luma + size], samples[luma + size :]
    planes = Plane(samples, width), Plane(u, row), Plane(v, row)
    return YuvFrame(width, height, *planes, matrix=matrix, full_range=full_range)


def read_frame(frame: Frame, *, rotation: int = 0, mirrored: bool = False, crop: Rectangle | None = None) -> np.ndarray:
    """Upright RGB, uint8 (H, W, 3), of a camera frame.

    First the `crop` is cut out, in the frame's own coordinates; then it is turned clockwise by `rotation` degrees (0,
    90, 180 or 270: Android's `rotationDegrees`); then, where the delivered frame is a mirror image, left and right
    change places. Raises InputError for what is out of range, and for planes that are shorter than their strides say.
    """
    check_frame(frame)
    rotation, mirrored = turn(rotation, mirrored)
    return turned(rgb_of(frame, rectangle(frame, crop)), rotation, mirrored)


def frame_to_input(
    frame: Frame, side: int, *, rotation: int = 0, mirrored: bool = False, crop: Rectangle | None = None
) -> np.ndarray:
    """uint8 RGB (side, side, 3): what `to_input(read_frame(...), side)` gives, without converting what is cut away."""
    side = check_side(side)
    check_frame(frame)
    rotation, mirrored = turn(rotation, mirrored)
    left, top, right, bottom = rectangle(frame, crop)
    width, height = right - left, bottom - top
    upright = (width, height) if rotation in (90, 270) else (height, width)
    above, before, size = square_in(*upright)
    if mirrored:
        before = upright[1] - size - before
    # The square's corner in the frame: turned back, counter-clockwise.
    x, y = {
        0: (before, above),
        90: (above, height - size - before),
        180: (width - size - before, height - size - above),
        270: (width - size - above, before),
    }[rotation]
    cut = rgb_of(frame, (left + x, top + y, left + x + size, top + y + size))
    return np.ascontiguousarray(turned(area(cut, side), rotation, mirrored))  # averaging first gives the same bytes


def turned(rgb: np.ndarray, rotation: int, mirrored: bool) -> np.ndarray:
    rgb = np.rot90(rgb, -(rotation // 90))
    return np.ascontiguousarray(rgb[:, ::-1] if mirrored else rgb)


def rgb_of(frame: Frame, part: Rectangle) -> np.ndarray:
    """uint8 (h, w, 3) of a rectangle of the frame, as it lies."""
    left, top, right, bottom = part
    if isinstance(frame, BgraFrame):
        return np.ascontiguousarray(bgra_pixels(frame)[top:bottom, left:right, 2::-1])
    y, u, v = check_planes(frame)
    rows, columns = slice(top // 2, half(bottom)), slice(left // 2, half(right))
    return yuv_to_rgb(
        y[top:bottom, left:right], u[rows, columns], v[rows, columns], frame.matrix, frame.full_range,
        odd=(top % 2, left % 2),
    )  # fmt: skip


def yuv_to_rgb(
    y: np.ndarray, u: np.ndarray, v: np.ndarray, matrix: str, full_range: bool, *, odd: tuple[int, int] = (0, 0)
) -> np.ndarray:
    """uint8 (h, w, 3) of uint8 luma (h, w) and chroma at half the size; `odd`: rows and columns of chroma to skip.

    docs/preprocess.md has the formula. OpenCV's sums of 16-bit numbers saturate, which changes nothing: the result is
    clamped anyway.
    """
    height, width = y.shape
    rgb = np.empty((height, width, 3), np.uint8)
    down, right = odd
    for first in range(0, height, STRIP):
        end = min(first + STRIP, height)
        rows = slice((first + down) // 2, (end + down + 1) // 2)
        rgb[first:end] = strip_to_rgb(
            y[first:end], u[rows], v[rows], tables(matrix, full_range), odd=((first + down) % 2, right)
        )
    return rgb


def strip_to_rgb(
    y: np.ndarray, u: np.ndarray, v: np.ndarray, tables: tuple[np.ndarray, ...], *, odd: tuple[int, int]
) -> np.ndarray:
    """Some rows: few enough to stay in the cache from one step to the next, which takes a third of the time."""
    import cv2

    luma, *chroma = tables
    u, v = np.ascontiguousarray(u), np.ascontiguousarray(v)
    # A table's entry holds its number twice, so that looking it up turns one column into two.
    v_to_r, u_to_g, v_to_g, u_to_b = (
        cv2.LUT(plane, table).view(np.int16) for plane, table in zip((v, u, v, u), chroma, strict=True)
    )
    down, right = odd
    columns = slice(right, right + y.shape[1])
    bright = cv2.LUT(np.ascontiguousarray(y), luma)
    total = np.empty_like(bright)
    channels = []
    for wide in (v_to_r, cv2.add(u_to_g, v_to_g), u_to_b):
        for first, row in ((down, down), (1 - down, 0)):  # the two rows of a pair, each from its first
            rows = bright[first::2]
            if len(rows):
                cv2.add(rows, wide[row : row + len(rows), columns], dst=total[first::2])
        np.right_shift(total, FRACTION, out=total)
        channels.append(np.clip(total, 0, 255, out=total).astype(np.uint8))
    return cv2.merge(channels)


@cache
def tables(matrix: str, full_range: bool) -> tuple[np.ndarray, ...]:
    """What every byte value adds to a channel, int16 with FRACTION bits behind the point.

    The numbers of luma include the half that rounds; those of chroma are there twice, as the halves of an int32.
    """
    luma, *chroma = COEFFICIENTS[matrix, full_range]
    value = np.arange(256, dtype=np.int64)
    shift = 16 - FRACTION
    rounding = 1 << (shift - 1)
    bright = ((luma * (value - (0 if full_range else 16)) + rounding) >> shift) + (1 << (FRACTION - 1))
    colours = [((coefficient * (value - 128) + rounding) >> shift).astype(np.int16) for coefficient in chroma]
    return bright.astype(np.int16), *(np.stack((colour, colour), axis=1).view(np.int32)[:, 0] for colour in colours)


def rectangle(frame: Frame, crop: Rectangle | None) -> Rectangle:
    """The crop, checked; the whole frame where there is none."""
    if crop is None:
        return 0, 0, frame.width, frame.height
    try:
        if not isinstance(crop, list | tuple | np.ndarray) or len(crop) != 4:
            raise InputError("four of them")
        left, top, right, bottom = (whole(edge, "crop") for edge in crop)
    except (InputError, TypeError) as error:  # TypeError: an array of no dimension has no length
        raise InputError(f"a crop is (left, top, right, bottom) in whole pixels, got {shown(crop)}") from error
    if not (0 <= left < right <= frame.width and 0 <= top < bottom <= frame.height):
        raise InputError(
            f"the crop {left}, {top}, {right}, {bottom} (left, top, right, bottom) is empty or leaves the frame of "
            f"{frame.width} x {frame.height} pixels"
        )
    return left, top, right, bottom


def turn(rotation: int, mirrored: bool) -> tuple[int, bool]:
    """Degrees and whether to mirror, checked."""
    try:
        degrees = whole(rotation, "rotation")
        if degrees not in ROTATIONS:
            raise InputError("another angle")
    except InputError as error:
        raise InputError(f"rotation is one of 0, 90, 180, 270 degrees clockwise, got {shown(rotation)}") from error
    try:
        return degrees, truth(mirrored, "mirrored")
    except InputError as error:
        raise InputError(f"mirrored is true or false, got {shown(mirrored)}") from error


def check_frame(frame: Frame) -> None:
    """InputError unless it is a frame whose bytes are still as many as when it was made: a bytearray can shrink."""
    if not isinstance(frame, YuvFrame | BgraFrame):
        raise InputError(f"expected a YuvFrame or a BgraFrame, got {type(frame).__name__}")
    if isinstance(frame, BgraFrame):
        bgra_pixels(frame)
    else:
        check_planes(frame)


def keep_whole(holder: Any, attribute: str, words: str, most: int, unit: str) -> None:
    """A frozen dataclass's number from 1 to `most`, checked and kept as Python's: NumPy's small ones overflow."""
    object.__setattr__(holder, attribute, whole_between(getattr(holder, attribute), words, 1, most, unit))


def keep_size(frame: Frame) -> None:
    width, height = sizes(frame.width, frame.height)
    object.__setattr__(frame, "width", width)
    object.__setattr__(frame, "height", height)


def sizes(width: int, height: int) -> tuple[int, int]:
    width, height = (
        whole_between(pixels, f"the frame's {name}", 1, MAX_FRAME_SIDE, "pixels")
        for name, pixels in (("width", width), ("height", height))
    )
    if width * height > MAX_FRAME_PIXELS:
        raise InputError(f"the frame has {width} x {height} pixels; at most {MAX_FRAME_PIXELS} are read")
    return width, height


def check_planes(frame: YuvFrame) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Views of Y (height, width), and of U and V of half the size; InputError where a plane is too short."""
    whole_size, chroma_size = (frame.width, frame.height), (half(frame.width), half(frame.height))
    return (
        plane_of(frame.y, *whole_size, "luma"),
        plane_of(frame.u, *chroma_size, "U"),
        plane_of(frame.v, *chroma_size, "V"),
    )


def plane_of(plane: Plane, width: int, height: int, name: str) -> np.ndarray:
    """A view (height, width) of the plane's samples."""
    if not isinstance(plane, Plane):
        raise InputError(
            f"the {name} plane is a camera.Plane(bytes, row stride, pixel stride), got {type(plane).__name__}"
        )
    step = plane.pixel_stride
    apart = "" if step == 1 else f", {step} bytes apart,"
    return view(
        as_bytes(plane.data, f"the {name} plane"), width, height, plane.row_stride, step, 1, f"the {name} plane",
        f"{width} samples{apart}",
    )[:, :, 0]  # fmt: skip


def bgra_pixels(frame: BgraFrame) -> np.ndarray:
    """A view (height, width, 4)."""
    data = as_bytes(frame.data, "the frame")
    words = f"{frame.width} BGRA pixels of {BGRA_BYTES} bytes"
    return view(data, frame.width, frame.height, frame.row_stride, BGRA_BYTES, BGRA_BYTES, "the frame", words)


def view(
    data: np.ndarray, width: int, height: int, row_stride: int, step: int, bytes_each: int, name: str, row: str
) -> np.ndarray:
    """A view (height, width, bytes_each); the last row may end with its last sample, as Android's does.

    `step`: bytes from one sample to the next. `row`: what a row has, in words, for messages.
    """
    row_bytes = (width - 1) * step + bytes_each
    if row_stride < row_bytes:
        raise InputError(
            f"{name}: rows of {row} take {row_bytes} bytes and do not fit into a row stride of {row_stride} bytes; "
            "pass the strides that came with the buffer"
        )
    needed = (height - 1) * row_stride + row_bytes
    words = f"{height} rows of {row} with a row stride of {row_stride} bytes take"
    check_length(data, needed, words, name)
    return np.lib.stride_tricks.as_strided(data, (height, width, bytes_each), (row_stride, step, 1), writeable=False)


def check_length(data: np.ndarray, needed: int, words: str, name: str = "the frame") -> None:
    if data.size < needed:
        raise InputError(
            f"{name} has {data.size} bytes; {words} {needed}. Pass the whole buffer, and the strides that came with it"
        )


def as_bytes(data: Any, name: str) -> np.ndarray:
    """uint8 (n,), a view. Signed bytes, as Java has them, are taken as they lie in memory."""
    if isinstance(data, np.ndarray):
        if data.dtype != np.uint8 or not data.flags.c_contiguous:
            raise InputError(f"{name} is contiguous bytes, got an array of {data.dtype} {data.shape}")
        return data.reshape(-1)
    try:
        samples = memoryview(data)
        contiguous, item_bytes = samples.c_contiguous, samples.itemsize
        flat = np.frombuffer(data, np.uint8)
    except (TypeError, ValueError, BufferError) as error:
        raise InputError(f"{name} is bytes, got {type(data).__name__}") from error
    if not contiguous or item_bytes != 1:
        raise InputError(f"{name} is contiguous bytes, got {type(data).__name__} of {item_bytes} bytes an item")
    return flat


def half(size: int) -> int:
    return (size + 1) // 2
