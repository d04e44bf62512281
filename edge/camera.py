"""A camera frame as a phone hands it over -> upright RGB: YUV 4:2:0 planes with any strides, or BGRA.

In integers, so that every program that follows docs/preprocess.md gets the same bytes. Frames come from drivers, so
sizes, strides and rectangles are checked against the length of the bytes before any is read.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from edge.decoding.limits import FULL_PIXELS, MAX_SIDE
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
STRIP = 64  # rows
ROTATIONS = (0, 90, 180, 270)
Rectangle = tuple[int, int, int, int]  # left, top, right, bottom in pixels of the frame; right and bottom are outside


@dataclass(frozen=True)
class Plane:
    """Bytes of one plane: sample (x, y) is at y * row_stride + x * pixel_stride."""

    data: Any  # bytes, bytearray, memoryview or a uint8 array
    row_stride: int
    pixel_stride: int = 1


@dataclass(frozen=True)
class YuvFrame:
    """Android's YUV_420_888, and NV12 of iOS: one chroma sample for 2 x 2 pixels, odd sizes rounded up.

    Pixel (x, y) has the chroma sample (x // 2, y // 2), in coordinates of the whole frame.
    """

    width: int
    height: int
    y: Plane
    u: Plane
    v: Plane
    matrix: str = "bt601"
    full_range: bool = True  # of JFIF and of Android's camera; False: 16..235


@dataclass(frozen=True)
class BgraFrame:
    """32-bit BGRA of iOS; alpha is ignored."""

    width: int
    height: int
    data: Any
    row_stride: int


Frame = YuvFrame | BgraFrame


def nv21(data: Any, width: int, height: int, **colour: Any) -> YuvFrame:
    """Luma, then V and U in turns, without gaps (Android's old preview format). `colour`: matrix, full_range."""
    return interleaved(data, width, height, v=0, u=1, **colour)


def nv12(data: Any, width: int, height: int, **colour: Any) -> YuvFrame:
    """Luma, then U and V in turns, without gaps."""
    return interleaved(data, width, height, u=0, v=1, **colour)


def interleaved(data: Any, width: int, height: int, *, u: int, v: int, **colour: Any) -> YuvFrame:
    check_size(width, height)
    samples, luma, row = as_bytes(data, "the frame"), width * height, 2 * half(width)
    chroma = samples[luma:]
    check_length(samples, luma + row * half(height), "the frame", width, height)
    return YuvFrame(
        width, height, Plane(samples, width), Plane(chroma[u:], row, 2), Plane(chroma[v:], row, 2), **colour
    )


def i420(data: Any, width: int, height: int, **colour: Any) -> YuvFrame:
    """Luma, then all U, then all V, without gaps."""
    check_size(width, height)
    samples, luma, row = as_bytes(data, "the frame"), width * height, half(width)
    size = row * half(height)
    check_length(samples, luma + 2 * size, "the frame", width, height)
    u, v = samples[luma : luma + size], samples[luma + size :]
    return YuvFrame(width, height, Plane(samples, width), Plane(u, row), Plane(v, row), **colour)


def read_frame(frame: Frame, *, rotation: int = 0, mirrored: bool = False, crop: Rectangle | None = None) -> np.ndarray:
    """Upright RGB, uint8 (H, W, 3), of a camera frame.

    First the `crop` is cut out, in the frame's own coordinates; then it is turned clockwise by `rotation` degrees (0,
    90, 180 or 270: Android's `rotationDegrees`); then, of a front camera whose frames are mirrored, left and right
    change places. Raises InputError for what is out of range, and for planes that are shorter than their strides say.
    """
    check_turn(rotation, mirrored)
    check_frame(frame)
    return turned(rgb_of(frame, rectangle(frame, crop)), rotation, mirrored)


def frame_to_input(
    frame: Frame, side: int, *, rotation: int = 0, mirrored: bool = False, crop: Rectangle | None = None
) -> np.ndarray:
    """uint8 RGB (side, side, 3): what `to_input(read_frame(...), side)` gives, without converting what is cut away."""
    check_side(side)
    check_turn(rotation, mirrored)
    check_frame(frame)
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
        pixels = as_bytes(frame.data, "the frame")
        rows = samples_of(pixels, frame.width, frame.height, frame.row_stride, 4)
        blue = rows[top:bottom, left:right]
        rest = [
            samples_of(pixels[channel:], frame.width, frame.height, frame.row_stride, 4)[top:bottom, left:right]
            for channel in (1, 2)
        ]
        return np.ascontiguousarray(np.stack((rest[1], rest[0], blue), axis=-1))
    y = plane_of(frame.y, frame.width, frame.height)[top:bottom, left:right]
    u, v = (
        plane_of(plane, half(frame.width), half(frame.height))[top // 2 : half(bottom), left // 2 : half(right)]
        for plane in (frame.u, frame.v)
    )
    return yuv_to_rgb(y, u, v, frame.matrix, frame.full_range, odd=(top % 2, left % 2))


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
    if len(crop) != 4 or not all(isinstance(n, int | np.integer) and not isinstance(n, bool) for n in crop):
        raise InputError(f"a crop is (left, top, right, bottom) in whole pixels, got {crop!r}")
    left, top, right, bottom = (int(n) for n in crop)
    if not (0 <= left < right <= frame.width and 0 <= top < bottom <= frame.height):
        raise InputError(
            f"the crop {left}, {top}, {right}, {bottom} (left, top, right, bottom) is empty or leaves the frame of "
            f"{frame.width} x {frame.height} pixels"
        )
    return left, top, right, bottom


def check_turn(rotation: int, mirrored: bool) -> None:
    if isinstance(rotation, bool) or rotation not in ROTATIONS:
        raise InputError(f"rotation is one of 0, 90, 180, 270 degrees clockwise, got {rotation!r}")
    if not isinstance(mirrored, bool | np.bool_):
        raise InputError(f"mirrored is true or false, got {mirrored!r}")


def check_frame(frame: Frame) -> None:
    """InputError unless sizes and colour are known and every plane has the bytes that its strides ask for."""
    if not isinstance(frame, YuvFrame | BgraFrame):
        raise InputError(f"expected a YuvFrame or a BgraFrame, got {type(frame).__name__}")
    check_size(frame.width, frame.height)
    if isinstance(frame, BgraFrame):
        pixels = as_bytes(frame.data, "the frame")
        samples_of(pixels, 4 * frame.width, frame.height, frame.row_stride, 1)
        return
    if (frame.matrix, frame.full_range) not in COEFFICIENTS:
        raise InputError(
            f"the matrix is bt601 or bt709 and full_range true or false, got {frame.matrix!r}, {frame.full_range!r}"
        )
    for name, plane in (("luma", frame.y), ("U", frame.u), ("V", frame.v)):
        if not isinstance(plane, Plane):
            raise InputError(
                f"the {name} plane is a camera.Plane(bytes, row stride, pixel stride), got {type(plane).__name__}"
            )
    plane_of(frame.y, frame.width, frame.height, "luma")
    plane_of(frame.u, half(frame.width), half(frame.height), "U")
    plane_of(frame.v, half(frame.width), half(frame.height), "V")


def check_size(width: int, height: int) -> None:
    for name, value in (("width", width), ("height", height)):
        if not isinstance(value, int | np.integer) or isinstance(value, bool) or not 1 <= value <= MAX_SIDE:
            raise InputError(f"the frame's {name} is a whole number of 1 to {MAX_SIDE} pixels, got {value!r}")
    if width * height > FULL_PIXELS:
        raise InputError(f"the frame has {width} x {height} pixels; at most {FULL_PIXELS} are read")


def plane_of(plane: Plane, width: int, height: int, name: str = "") -> np.ndarray:
    """A view (height, width) of the plane's samples."""
    return samples_of(
        as_bytes(plane.data, f"the {name} plane"), width, height, plane.row_stride, plane.pixel_stride, name
    )


def samples_of(
    data: np.ndarray, width: int, height: int, row_stride: int, pixel_stride: int, name: str = ""
) -> np.ndarray:
    """A view (height, width); the last row may end with its last sample, as Android's does."""
    for axis, stride in (("row", row_stride), ("pixel", pixel_stride)):
        if not isinstance(stride, int | np.integer) or isinstance(stride, bool) or not 1 <= stride <= 2**31:
            raise InputError(f"the {axis} stride is a whole number of bytes, at least 1, got {stride!r}")
    if row_stride < (width - 1) * pixel_stride + 1:
        raise InputError(
            f"rows of {width} samples, {pixel_stride} bytes apart, do not fit into a row stride of {row_stride}"
        )
    needed = (height - 1) * row_stride + (width - 1) * pixel_stride + 1
    check_length(data, needed, f"the {name} plane" if name else "the frame", width, height)
    return np.lib.stride_tricks.as_strided(data, (height, width), (row_stride, pixel_stride), writeable=False)


def check_length(data: np.ndarray, needed: int, name: str, width: int, height: int) -> None:
    if data.size < needed:
        raise InputError(
            f"{name} has {data.size} bytes; {width} x {height} samples with its strides take {needed}. Pass the whole "
            "buffer, and the strides that came with it"
        )


def as_bytes(data: Any, name: str) -> np.ndarray:
    """uint8 (n,), a view."""
    if isinstance(data, np.ndarray):
        if data.dtype != np.uint8 or not data.flags.c_contiguous:
            raise InputError(f"{name} is contiguous bytes, got an array of {data.dtype} {data.shape}")
        return data.reshape(-1)
    try:
        return np.frombuffer(data, np.uint8)
    except (TypeError, ValueError, BufferError) as error:
        raise InputError(f"{name} is bytes, got {type(data).__name__}") from error


def half(size: int) -> int:
    return (size + 1) // 2
