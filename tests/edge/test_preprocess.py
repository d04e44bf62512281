"""Upright RGB -> model input, against direct definitions of crop and area average."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from edge.errors import InputError
from edge.preprocess import PREPROCESS_VERSION, float_input, square, to_input
from tests.golden.preprocess import reference


def picture(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def test_version_is_stated():
    assert PREPROCESS_VERSION == "area-2"


@pytest.mark.parametrize("shape", [(5, 5), (4, 9), (9, 4), (3, 8), (1, 7)])
def test_square_is_centred(shape):
    rgb = picture(*shape)
    crop = square(rgb)
    side = min(shape)
    top, left = (shape[0] - side) // 2, (shape[1] - side) // 2
    np.testing.assert_array_equal(crop, rgb[top : top + side, left : left + side])
    assert crop.shape == (side, side, 3)
    assert 0 <= (shape[0] - side - top) - top <= 1 and 0 <= (shape[1] - side - left) - left <= 1


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 48), st.integers(0, 99))
def test_every_byte_is_that_of_the_written_rule(height, width, side, seed):
    """Shrinking, enlarging, and sides that divide and that do not."""
    rgb = picture(height, width, seed)
    found = to_input(rgb, side)
    assert found.shape == (side, side, 3) and found.dtype == np.uint8 and found.flags.c_contiguous
    np.testing.assert_array_equal(found, reference.model_input(rgb.tolist(), side))


@settings(max_examples=12, deadline=None)
@given(st.integers(1, 4000), st.integers(1, 3000), st.sampled_from([1, 7, 128, 224, 256, 512]), st.integers(0, 99))
@example(3000, 4000, 256, 0)
@example(4000, 1, 224, 1)
def test_bytes_of_large_pictures(height, width, side, seed):
    """Pixels drawn at random, and the corners, against the written rule on the part of the crop that they cover."""
    rgb = picture(height, width, seed)
    found, crop = to_input(rgb, side), square(rgb)
    n = len(crop)
    rng = np.random.default_rng(seed)
    places = [(0, 0), (side - 1, side - 1), *rng.integers(0, side, (8, 2)).tolist()]
    for y, x in places:
        np.testing.assert_array_equal(found[y, x], slow_pixel(crop, side, x, y), err_msg=f"{n} -> {side} at {x}, {y}")


def slow_pixel(crop: np.ndarray, side: int, x: int, y: int) -> list[int]:
    """`reference.resized_pixel` with the overlaps of the whole crop in two rows of numbers, exact in 64 bits."""
    n = len(crop)
    place = np.arange(n, dtype=np.int64)
    high, wide = (
        (np.minimum((one + 1) * n, (place + 1) * side) - np.maximum(one * n, place * side)).clip(0) for one in (y, x)
    )
    rows, columns = np.flatnonzero(high), np.flatnonzero(wide)
    part = crop[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].astype(np.int64)
    total = np.einsum("r,rqc,q->c", high[rows], part, wide[columns])
    return ((2 * total + n * n) // (2 * n * n)).tolist()


def test_a_mean_half_way_is_rounded_up():
    half = np.array([[[0], [1]], [[1], [0]]], np.uint8).repeat(3, 2)
    assert to_input(half, 1).tolist() == [[[1, 1, 1]]]


def test_the_largest_sums_do_not_overflow():
    """255 times the square of a long side, for a result of one pixel and of some."""
    white = np.broadcast_to(np.uint8(255), (6000, 6000, 3))
    for side in (1, 3, 224):
        assert (to_input(white, side) == 255).all()


def test_turning_and_averaging_change_places():
    """What lets a frame be turned after it was made small."""
    rgb = picture(37, 37)
    for way in range(4):
        np.testing.assert_array_equal(to_input(np.rot90(rgb, way), 16), np.rot90(to_input(rgb, 16), way))
    np.testing.assert_array_equal(to_input(rgb[:, ::-1], 16), to_input(rgb, 16)[:, ::-1])


def test_it_is_within_one_of_opencvs_area():
    """The checkpoints that were trained on that see the same pictures: it rounds in float32."""
    import cv2

    rgb = picture(300, 300)
    apart = to_input(rgb, 128).astype(int) - cv2.resize(rgb, (128, 128), interpolation=cv2.INTER_AREA)
    assert abs(apart).max() <= 1 and (apart != 0).mean() < 0.01


def test_float_input_is_the_same_numbers():
    squares = picture(8, 8)[None]
    found = float_input(squares)
    assert found.dtype == np.float32 and found.shape == (1, 8, 8, 3)
    np.testing.assert_array_equal(found, squares)


@pytest.mark.parametrize(
    "wrong",
    [picture(8, 8), picture(8, 8)[None] / 255, picture(8, 9)[None], np.zeros((1, 8, 8, 4), np.uint8), None, [[1]]],
    ids=["no batch", "0 to 1", "no square", "rgba", "nothing", "a list"],
)
def test_what_is_no_square_becomes_no_float_input(wrong):
    with pytest.raises(InputError, match=r"expected squares as a uint8 array \(N, S, S, 3\)"):
        float_input(wrong)


def test_same_size_is_a_copy():
    rgb = picture(8, 8)
    same = to_input(rgb, 8)
    np.testing.assert_array_equal(same, rgb)
    assert not np.shares_memory(same, rgb)


def test_strided_views_are_taken():
    rgb = picture(20, 30)
    np.testing.assert_array_equal(to_input(rgb[::-1, ::-1], 8), to_input(rgb[::-1, ::-1].copy(), 8))


@pytest.mark.parametrize(
    "wrong",
    [
        picture(4, 4).astype(np.float32),
        picture(4, 4)[:, :, 0],
        np.zeros((4, 4, 4), np.uint8),
        np.zeros((0, 4, 3), np.uint8),
        [[1, 2, 3]],
    ],
    ids=["float", "grey", "rgba", "empty", "list"],
)
def test_what_is_no_rgb(wrong):
    for use in (square, lambda rgb: to_input(rgb, 4)):
        with pytest.raises(InputError, match="expected RGB as a uint8 array"):
            use(wrong)


@pytest.mark.parametrize("side", [0, -1, 5000, 2.5, True, "224"])
def test_what_is_no_side(side):
    with pytest.raises(InputError, match="side of a model input"):
        to_input(picture(4, 4), side)
