"""Camera frames -> upright RGB: every byte against the written rule in plain loops, and frames that lie."""

from __future__ import annotations

from array import array
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge import camera
from edge.camera import BgraFrame, Plane, YuvFrame, frame_to_input, i420, nv12, nv21, read_frame
from edge.errors import InputError
from edge.preprocess import to_input
from tests.fuzzing import fuzzed, mostly
from tests.golden.preprocess import reference

COLOURS = [(matrix, full) for matrix in ("bt601", "bt709") for full in (False, True)]


def noise(size: int, seed: int = 0) -> bytes:
    return np.random.default_rng(seed).integers(0, 256, size, np.uint8).tobytes()


def strided(width: int, height: int, *, pad: int, pixel: int, seed: int, full: bool = False) -> Plane:
    """A plane whose rows have `pad` bytes more than they need; the last row ends with its last sample."""
    row = (width - 1) * pixel + 1 + pad
    size = (height - 1) * row + (width - 1) * pixel + 1
    return Plane(noise(size + (pad if full else 0), seed), row, pixel)


def frame_of(width: int, height: int, *, pad: int = 3, pixel: int = 2, matrix="bt601", full=True, seed=0) -> YuvFrame:
    half = (camera.half(width), camera.half(height))
    y = strided(width, height, pad=pad, pixel=1, seed=seed)
    u, v = (strided(*half, pad=pad, pixel=pixel, seed=seed + n) for n in (1, 2))
    return YuvFrame(width, height, y, u, v, matrix=matrix, full_range=full)


def slow(frame: YuvFrame, **turn) -> np.ndarray:
    planes = (frame.y, frame.u, frame.v)
    strides = tuple(n for plane in planes for n in (plane.row_stride, plane.pixel_stride))
    rgb = reference.yuv_frame(
        *(bytes(plane.data) for plane in planes), width=frame.width, height=frame.height, strides=strides,
        matrix=frame.matrix, full_range=frame.full_range,
    )  # fmt: skip
    return np.array(reference.upright(rgb, **turn), np.uint8)


@pytest.mark.parametrize(("matrix", "full"), COLOURS)
def test_every_colour(matrix: str, full: bool) -> None:
    """All pairs of chroma bytes, each with six of luma."""
    for luma in (0, 15, 16, 128, 235, 255):
        u, v = np.meshgrid(np.arange(256, dtype=np.uint8), np.arange(256, dtype=np.uint8))
        found = camera.yuv_to_rgb(np.full((512, 512), luma, np.uint8), u, v, matrix, full)[::2, ::2]
        pick = np.random.default_rng(luma).integers(0, 256, (600, 2))
        for a, b in [(0, 0), (255, 255), (0, 255), (255, 0), *pick.tolist()]:
            assert found[a, b].tolist() == reference.rgb_of_yuv(luma, int(u[a, b]), int(v[a, b]), matrix, full)


@pytest.mark.parametrize(("matrix", "full"), COLOURS)
def test_the_integers_are_those_of_the_standard(matrix: str, full: bool) -> None:
    """ITU-R BT.601 and BT.709 in real numbers, rounded at the end: never more than one apart."""
    kr, kb = {"bt601": (0.299, 0.114), "bt709": (0.2126, 0.0722)}[matrix]
    rng = np.random.default_rng(0)
    y, u, v = rng.integers(0, 256, (3, 64, 64), np.uint8)
    wide = u.repeat(2, 0).repeat(2, 1), v.repeat(2, 0).repeat(2, 1)
    found = camera.yuv_to_rgb(y.repeat(2, 0).repeat(2, 1), u, v, matrix, full)
    luma = y.repeat(2, 0).repeat(2, 1).astype(float)
    luma = luma if full else (luma - 16) * 255 / 219
    cb, cr = ((c.astype(float) - 128) * (1 if full else 255 / 224) for c in wide)
    red, blue = luma + 2 * (1 - kr) * cr, luma + 2 * (1 - kb) * cb
    green = (luma - kr * red - kb * blue) / (1 - kr - kb)
    exact = np.stack((red, green, blue), -1).clip(0, 255)
    assert abs(found - exact).max() < 0.55
    assert (found != np.floor(exact + 0.5)).mean() < 0.03


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 9), st.integers(1, 9), st.integers(0, 5), st.integers(1, 3), st.sampled_from(COLOURS),
    st.sampled_from(camera.ROTATIONS), st.booleans(), st.data(),
)  # fmt: skip
def test_every_byte_is_that_of_the_written_rule(width, height, pad, pixel, colour, rotation, mirrored, data) -> None:
    frame = frame_of(width, height, pad=pad, pixel=pixel, matrix=colour[0], full=colour[1])
    left, top = data.draw(st.integers(0, width - 1)), data.draw(st.integers(0, height - 1))
    crop = (left, top, data.draw(st.integers(left + 1, width)), data.draw(st.integers(top + 1, height)))
    turn = {"rotation": rotation, "mirrored": mirrored, "crop": crop}
    expected = slow(frame, **turn)
    np.testing.assert_array_equal(read_frame(frame, **turn), expected)
    side = data.draw(st.integers(1, 12))
    np.testing.assert_array_equal(frame_to_input(frame, side, **turn), reference.model_input(expected.tolist(), side))


@pytest.mark.parametrize("size", [(64, 48), (65, 47), (33, 64)])
def test_the_short_way_gives_the_long_ways_bytes(size) -> None:
    frame = frame_of(*size, pad=16)
    for rotation in camera.ROTATIONS:
        for mirrored in (False, True):
            turn = {"rotation": rotation, "mirrored": mirrored, "crop": (1, 2, size[0] - 4, size[1] - 1)}
            np.testing.assert_array_equal(frame_to_input(frame, 20, **turn), to_input(read_frame(frame, **turn), 20))


def test_the_layouts_name_the_same_samples() -> None:
    width, height = 5, 3
    y, u, v = (noise(n, seed) for seed, n in enumerate((15, 6, 6)))
    turns = bytes(n for pair in zip(v, u, strict=True) for n in pair)
    colour: dict[str, Any] = {"matrix": "bt601", "full_range": False}
    expected = read_frame(YuvFrame(width, height, Plane(y, 5), Plane(u, 3), Plane(v, 3), **colour))
    swapped = bytes(n for pair in zip(u, v, strict=True) for n in pair)
    for frame in (
        nv21(y + turns, width, height, **colour),
        nv12(y + swapped, width, height, **colour),
        i420(y + u + v, width, height, **colour),
        i420(np.frombuffer(y + u + v, np.uint8), width, height, **colour),
        nv12(bytearray(y + swapped + b"more"), width, height, **colour),
    ):
        np.testing.assert_array_equal(read_frame(frame), expected)


def test_nv21_looks_as_opencv_sees_it() -> None:
    """Another program's reading of the same bytes: BT.601, limited range."""
    import cv2

    flat = np.random.default_rng(0).integers(16, 236, (6, 4), np.uint8)
    data = np.concatenate((flat.repeat(8, 0).repeat(8, 1), flat[:3].repeat(8, 0).repeat(8, 1)))
    theirs = cv2.cvtColor(data, cv2.COLOR_YUV2RGB_NV21).astype(int)
    ours = read_frame(nv21(data.tobytes(), 32, 48, matrix="bt601", full_range=False)).astype(int)
    assert abs(ours - theirs).max() <= 1


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 9), st.integers(1, 9), st.integers(0, 5), st.sampled_from(camera.ROTATIONS), st.booleans())
def test_bgra(width, height, pad, rotation, mirrored) -> None:
    row = 4 * width + pad
    data = noise(row * height - pad)
    turn = {"rotation": rotation, "mirrored": mirrored}
    expected = reference.upright(reference.bgra_frame(data, width=width, height=height, row_stride=row), **turn)
    frame = BgraFrame(width, height, data, row)
    np.testing.assert_array_equal(read_frame(frame, **turn), expected)
    np.testing.assert_array_equal(frame_to_input(frame, 5, **turn), reference.model_input(expected, 5))


GOOD = frame_of(6, 4)
JFIF: dict[str, Any] = {"matrix": "bt601", "full_range": True}


def changed(width: Any = 6, height: Any = 4, *, y=GOOD.y, u=GOOD.u, v=GOOD.v, matrix: Any = "bt601", full: Any = True):
    """GOOD with something else in it, read."""
    return read_frame(YuvFrame(width, height, y, u, v, matrix=matrix, full_range=full))


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: read_frame(GOOD, rotation=45), "rotation is one of"),
        (lambda: read_frame(GOOD, rotation=True), "rotation is one of"),
        (lambda: read_frame(GOOD, rotation=[90]), r"rotation is one of .* got \[90\] \(list\)"),
        (lambda: read_frame(GOOD, rotation=np.array([90, 0])), "rotation is one of"),
        (lambda: read_frame(GOOD, rotation=float("nan")), "rotation is one of"),
        (lambda: read_frame(GOOD, mirrored="no"), "mirrored is true or false"),
        (lambda: read_frame(GOOD, mirrored=1), "mirrored is true or false"),
        (lambda: read_frame(GOOD, crop=(0, 0, 7, 4)), "leaves the frame of 6 x 4"),
        (lambda: read_frame(GOOD, crop=(-1, 0, 3, 3)), "leaves the frame"),
        (lambda: read_frame(GOOD, crop=(3, 3, 3, 4)), "is empty"),
        (lambda: read_frame(GOOD, crop=(0.5, 0, 3, 3)), "whole pixels"),
        (lambda: read_frame(GOOD, crop=(0, 0, 3)), "whole pixels"),
        (lambda: read_frame(GOOD, crop=3), "whole pixels, got 3"),
        (lambda: read_frame(GOOD, crop={0, 1, 5, 4}), "whole pixels"),
        (lambda: frame_to_input(GOOD, 0), "side of a model input"),
        (lambda: read_frame(np.zeros((4, 6, 3), np.uint8)), "expected a YuvFrame"),
        (lambda: changed(matrix="bt2020"), "bt601 or bt709"),
        (lambda: changed(matrix=[]), r"bt601 or bt709, as the frame itself says, got \[\] \(list\)"),
        (lambda: changed(matrix=None), "bt601 or bt709"),
        (lambda: changed(full=1), r"`full_range` is True or False, got 1 \(int\)"),
        (lambda: changed(full=None), "`full_range` is True or False"),
        (lambda: changed(height=5), "the luma plane has"),
        (lambda: changed(u=Plane(GOOD.u.data[:-1], 8, 2)), "the U plane has 12 bytes; 2 rows of 3 samples, 2.*take 13"),
        (lambda: changed(u=bytes(9)), r"the U plane is a camera.Plane\(.*got bytes"),
        (lambda: changed(v=Plane(GOOD.v.data, 2**31, 2)), "the V plane has"),
        (lambda: changed(y=Plane(GOOD.y.data, 5)), "luma.*6 samples take 6 bytes and do not fit .* stride of 5 b"),
        (lambda: changed(v=Plane(GOOD.v.data, 4, 2)), "the V plane: rows of 3 samples, 2 bytes apart, take 5 bytes"),
        (lambda: Plane(GOOD.y.data, -9), "row stride is a whole number of 1 to 2147483648 bytes, got -9"),
        (lambda: Plane(GOOD.y.data, 2**62), "row stride is .* 1 to 2147483648 bytes, got 4611686018427387904"),
        (lambda: Plane(GOOD.y.data, 10**400), "row stride is a whole number"),
        (lambda: Plane(GOOD.y.data, 9, 0), "pixel stride is a whole number of 1 to"),
        (lambda: Plane(GOOD.y.data, 9, 1.5), "pixel stride is a whole number of 1 to"),
        (lambda: Plane("text", 9), "is bytes, got str"),
        (lambda: Plane(None, 9), "is bytes, got NoneType"),
        (lambda: Plane(np.zeros(99), 9), "contiguous bytes"),
        (lambda: Plane(array("h", [0] * 99), 9), "contiguous bytes, got array of 2 bytes an item"),
        (lambda: Plane(memoryview(bytes(99))[::2], 9), "bytes, got memoryview"),
        (lambda: changed(width=0), "frame's width is a whole number of 1 to 20000 pixels, got 0"),
        (lambda: changed(width="6"), "frame's width"),
        (lambda: changed(width=float("nan")), "frame's width"),
        (lambda: changed(height=2**40), "frame's height"),
        (lambda: changed(20_000, 20_000), "at most 50000000 are read"),
        (lambda: changed(np.int16(16_000), np.int16(16_000)), "16000 x 16000 pixels; at most 50000000"),
        (lambda: BgraFrame(6, 4, noise(95), 24), "the frame has 95 bytes; 4 rows of 6 BGRA pixels of 4 .* take 96"),
        (lambda: BgraFrame(6, 4, noise(96), 23), "6 BGRA pixels of 4 bytes take 24 bytes and do not .* 23"),
        (lambda: BgraFrame(6, 4, noise(96), 2**62), "frame's row stride is a whole number of 1 to 2147483648"),
        (lambda: nv21(noise(35), 6, 4, **JFIF), "the frame has 35 bytes; 6 x 4 pixels of YUV .* take 36"),
        (lambda: i420(noise(10), 6, 4, **JFIF), "the frame has 10 bytes"),
        (lambda: nv12(b"", 6, 4, **JFIF), "the frame has 0 bytes"),
        (lambda: nv12(b"", -6, 4, **JFIF), "frame's width"),
        (lambda: nv12(noise(36), 6, 4, matrix=["bt601"], full_range=True), "bt601 or bt709"),
    ],
)  # fmt: skip
def test_frames_that_lie(make, words: str) -> None:
    with pytest.raises(InputError, match=words):
        make()


@pytest.mark.parametrize(
    "form", [nv21, nv12, i420, lambda data, w, h, **colour: YuvFrame(w, h, *[GOOD.y] * 3, **colour)]
)
def test_matrix_and_range_are_never_a_guess(form) -> None:
    for colour, missing in (({}, "matrix"), ({"matrix": "bt709"}, "full_range"), ({"full_range": True}, "matrix")):
        with pytest.raises(TypeError, match=f"missing .* required keyword-only .*{missing}"):
            form(noise(36), 6, 4, **colour)


def test_numbers_of_numpy_are_taken() -> None:
    """Small ones would overflow: 120 * 120 is no int8."""
    size: Any = np.int8(120)
    limited: Any = np.bool_(False)
    frame = nv21(noise(21_600), size, size, matrix="bt709", full_range=limited)
    turn: dict[str, Any] = {
        "side": np.int64(7),
        "rotation": np.int64(90),
        "mirrored": np.bool_(True),
        "crop": np.array([2, 0, 99, 90]),
    }
    plain = nv21(noise(21_600), 120, 120, matrix="bt709", full_range=False)
    expected = frame_to_input(plain, 7, rotation=90, mirrored=True, crop=(2, 0, 99, 90))
    np.testing.assert_array_equal(frame_to_input(frame, **turn), expected)
    strides: Any = np.int16(40), np.int8(1)
    plane = Plane(noise(2000), *strides)
    assert read_frame(YuvFrame(40, 40, plane, plane, plane, **JFIF)).shape == (40, 40, 3)


def test_a_buffer_that_shrinks_is_not_read_past_its_end() -> None:
    data = bytearray(noise(96))
    frame = BgraFrame(6, 4, data, 24)
    del data[50:]
    with pytest.raises(InputError, match="the frame has 50 bytes"):
        read_frame(frame)


@fuzzed(150)
@given(st.data())
def test_any_frame_is_read_or_refused(data) -> None:
    """Sizes, strides, lengths and rectangles drawn without regard to each other."""
    some = st.integers(-2, 20)
    plane = st.tuples(st.binary(max_size=300), some, st.integers(-1, 4))
    parts = data.draw(st.one_of(
        st.tuples(some, some, plane, plane, plane, st.sampled_from(["bt601", "bt709", "x"]), st.booleans()),
        st.tuples(some, some, st.binary(max_size=600), st.integers(-1, 90)),
    ))  # fmt: skip
    crop = data.draw(st.one_of(st.none(), st.tuples(some, some, some, some)))
    turn = {"rotation": data.draw(st.sampled_from([0, 90, 180, 270, 30])), "mirrored": data.draw(st.booleans())}
    try:
        if len(parts) == 4:
            frame: camera.Frame = BgraFrame(*parts)
        else:
            width, height, *planes, matrix, full = parts
            frame = YuvFrame(width, height, *(Plane(*plane) for plane in planes), matrix=matrix, full_range=full)
    except InputError:
        return
    try:
        rgb = read_frame(frame, crop=crop, **turn)
    except InputError:
        with pytest.raises(InputError):
            frame_to_input(frame, 4, crop=crop, **turn)
        return
    assert rgb.dtype == np.uint8 and rgb.ndim == 3 and rgb.shape[2] == 3 and rgb.size
    np.testing.assert_array_equal(frame_to_input(frame, 4, crop=crop, **turn), to_input(rgb, 4))


@fuzzed(200)
@given(st.data())
def test_whatever_a_caller_gives_is_read_or_refused(data) -> None:
    """Values of any type in any place: bytes come out, or an InputError."""

    def given_as(good: Any) -> Any:
        return data.draw(mostly(good))

    try:
        planes = [Plane(given_as(noise(99)), given_as(9), given_as(1)) for _ in range(3)]
        colour = {"matrix": given_as("bt601"), "full_range": given_as(True)}
        frames = (
            lambda: YuvFrame(given_as(6), given_as(4), *(given_as(plane) for plane in planes), **colour),
            lambda: BgraFrame(given_as(6), given_as(4), given_as(noise(99)), given_as(24)),
            lambda: nv21(given_as(noise(99)), given_as(6), given_as(4), **colour),
        )
        frame = given_as(data.draw(st.sampled_from(frames))())
        turn = {"rotation": given_as(90), "mirrored": given_as(False), "crop": given_as((0, 0, 4, 4))}
        square = frame_to_input(frame, given_as(5), **turn)
    except InputError:
        return
    assert square.dtype == np.uint8 and square.shape == (len(square), len(square), 3)
