"""Upright RGB -> model input, against direct definitions of crop and area average."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.errors import InputError
from edge.preprocess import PREPROCESS_VERSION, square, to_input


def picture(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def area_weights(length: int, side: int) -> np.ndarray:
    """(side, length): the share of each source pixel in each target pixel, by overlap of intervals."""
    edges = np.arange(side + 1) * length / side
    pixels = np.arange(length)
    overlap = np.minimum(edges[1:, None], pixels + 1) - np.maximum(edges[:-1, None], pixels)
    return overlap.clip(0) * side / length


def test_version_is_stated():
    assert PREPROCESS_VERSION == "opencv-area-1"


@pytest.mark.parametrize("shape", [(5, 5), (4, 9), (9, 4), (3, 8), (1, 7)])
def test_square_is_centred(shape):
    rgb = picture(*shape)
    crop = square(rgb)
    side = min(shape)
    top, left = (shape[0] - side) // 2, (shape[1] - side) // 2
    np.testing.assert_array_equal(crop, rgb[top : top + side, left : left + side])
    assert crop.shape == (side, side, 3)
    assert 0 <= (shape[0] - side - top) - top <= 1 and 0 <= (shape[1] - side - left) - left <= 1


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 90), st.integers(1, 90), st.integers(1, 64), st.integers(0, 99))
def test_shrinking_averages_areas(height, width, side, seed):
    rgb = picture(height, width, seed)
    small = to_input(rgb, side)
    assert small.shape == (side, side, 3) and small.dtype == np.uint8 and small.flags.c_contiguous
    crop = square(rgb).astype(float)
    if side <= len(crop):
        weights = area_weights(len(crop), side)
        expected = np.einsum("iy,yxc,jx->ijc", weights, crop, weights)
        assert abs(small - expected).max() <= 0.501  # rounding to nearest, float32 inside OpenCV


def test_enlarging_interpolates():
    ramp = np.repeat(np.repeat(np.arange(0, 160, 10, dtype=np.uint8)[None, :, None], 16, 0), 3, 2)
    large = to_input(ramp, 32)
    # Half-pixel centres: target x lies at (x + 0.5) / 2 - 0.5 of the source, clamped at the ends.
    expected = np.interp((np.arange(32) + 0.5) / 2 - 0.5, np.arange(16), ramp[0, :, 0])
    assert abs(large - expected[None, :, None]).max() <= 0.51


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
