"""Each wrong path is wrong in the way that it says, by an oracle that shares no code with it."""

from __future__ import annotations

import math

import numpy as np
import pytest
from PIL import Image

from edge.errors import InputError
from edge.preprocess import to_input
from edge.questions.mistakes import frames, geometry, numbers
from edge.questions.mistakes.catalogue import MISTAKES, mistakes_for
from edge.questions.mistakes.scene import Scene, Target, photographed
from edge.questions.mistakes.tables import interval, points

SIDE = 8
TARGET = Target(SIDE, (0.1, 0.2, 0.3), (0.9, 0.8, 0.7))
BY_CODE = {one.code: one for one in MISTAKES}


def scene(height: int = 40, width: int = 60, seed: int = 0) -> Scene:
    picture = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
    return Scene(picture, TARGET)


def flat(rgb: tuple[int, int, int], height: int = 24, width: int = 36) -> Scene:
    return Scene(np.full((height, width, 3), rgb, np.uint8), TARGET)


@pytest.mark.parametrize("one", MISTAKES, ids=lambda one: one.code)
def test_a_mistake_makes_a_difference_and_leaves_the_photograph_alone(one) -> None:
    begun = scene()
    before = begun.upright.copy()
    wrong, right = one.wrong(begun), one.right(begun)
    assert wrong.shape == right.shape == (SIDE, SIDE, 3)
    assert wrong.dtype in (np.uint8, np.float32) and right.dtype == np.uint8
    assert np.isfinite(wrong).all()
    assert not np.array_equal(wrong, right)
    np.testing.assert_array_equal(begun.upright, before)
    np.testing.assert_array_equal(begun.right, to_input(before, SIDE))
    assert one.name and one.did.endswith(".") and one.mend.endswith(".")


def test_codes_differ() -> None:
    assert len(BY_CODE) == len(MISTAKES)


def test_nearest_takes_pixels_that_are_there() -> None:
    begun = scene()
    crop = begun.upright[:, 10:50]  # 40 x 40: five pixels of the photograph for each
    found = geometry.nearest(begun)
    for y in range(SIDE):
        for x in range(SIDE):
            assert found[y, x].tolist() == crop[5 * y + 2, 5 * x + 2].tolist()


def test_bilinear_looks_at_four_pixels_only() -> None:
    begun = scene()
    crop = begun.upright[:, 10:50].astype(float)
    found = geometry.bilinear(Scene(begun.upright, Target(10)))  # centres fall between four pixels, half way
    for y in range(10):
        for x in range(10):
            four = crop[4 * y + 1 : 4 * y + 3, 4 * x + 1 : 4 * x + 3].mean(axis=(0, 1))
            assert abs(found[y, x] - four).max() <= 1


def test_antialiased_bilinear_is_a_triangle() -> None:
    begun = scene()
    crop = begun.upright[:, 10:50].astype(float)
    weights = np.maximum(0, 1 - abs(np.arange(40)[None] + 0.5 - (np.arange(SIDE)[:, None] + 0.5) * 5) / 5)
    weights /= weights.sum(axis=1, keepdims=True)
    expected = np.einsum("yr,xq,rqc->yxc", weights, weights, crop)
    assert abs(geometry.bilinear_antialiased(begun) - expected).max() <= 1.5


def test_stretching_keeps_what_a_crop_cuts_away() -> None:
    picture = scene(16, 32).upright
    expected = picture.reshape(SIDE, 2, SIDE, 4, 3).astype(float).mean(axis=(1, 3))
    assert abs(geometry.stretched(Scene(picture, TARGET)) - expected).max() <= 1


def test_a_letterbox_has_black_margins() -> None:
    picture = scene(16, 32).upright
    found = geometry.letterboxed(Scene(picture, TARGET))
    assert not found[:2].any() and not found[6:].any()
    expected = picture.reshape(4, 4, SIDE, 4, 3).astype(float).mean(axis=(1, 3))
    assert abs(found[2:6] - expected).max() <= 1
    tall = geometry.letterboxed(Scene(np.ascontiguousarray(picture.transpose(1, 0, 2)), TARGET))
    assert abs(tall.transpose(1, 0, 2).astype(int) - found).max() <= 1


@pytest.mark.parametrize("harmless", [geometry.stretched, geometry.letterboxed])
def test_square_pictures_are_not_harmed(harmless) -> None:
    begun = scene(30, 30)
    np.testing.assert_array_equal(harmless(begun), begun.right)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_ignoring_exif_is_to_take_the_pixels_as_they_are_stored(orientation, tmp_path) -> None:
    stored = scene(21, 34).upright
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(stored).save(tmp_path / "p.png", exif=exif)
    begun, found = photographed(tmp_path / "p.png", TARGET)
    assert found == orientation
    if orientation == 1:
        np.testing.assert_array_equal(begun.upright, stored)
    else:
        ignored = BY_CODE[f"exif-{orientation}"].wrong(begun)
        np.testing.assert_array_equal(ignored, to_input(stored, SIDE))


def test_orders_of_bytes() -> None:
    begun = scene()
    right = begun.right
    planes, interleaved, bgr = (BY_CODE[code].wrong(begun) for code in ("planes", "interleaved", "bgr"))
    for y in range(SIDE):
        for x in range(SIDE):
            assert bgr[y, x].tolist() == right[y, x].tolist()[::-1]
            for c in range(3):
                place = (c * SIDE + y) * SIDE + x  # of a value, in planes
                assert planes.reshape(-1)[place] == right[y, x, c]
                assert interleaved[y, x, c] == right.reshape(-1)[place]


def test_scales() -> None:
    grey = flat((255, 128, 0))
    assert numbers.unit(grey)[0, 0].tolist() == pytest.approx([1, 128 / 255, 0], abs=1e-6)
    assert numbers.symmetric(grey)[0, 0].tolist() == pytest.approx([1, 128 / 127.5 - 1, -1], abs=1e-6)
    assert numbers.signed(grey)[0, 0].tolist() == [-1, -128, 0]
    assert numbers.normalised(grey)[0, 0].tolist() == pytest.approx(
        [(1 - 0.485) / 0.229, (128 / 255 - 0.456) / 0.224, -0.406 / 0.225], abs=1e-5
    )


def test_another_mean_and_std_reach_the_network() -> None:
    """The graph takes off its own; what is left is what the other model's would have given."""
    begun = scene()
    seen = (numbers.other_mean_std(begun) / 255 - TARGET.mean) / TARGET.std
    expected = (begun.right / 255 - np.array([0.485, 0.456, 0.406])) / [0.229, 0.224, 0.225]
    np.testing.assert_allclose(seen, expected, atol=1e-4)
    assert numbers.strangers(*numbers.IMAGENET) == numbers.HALVES
    assert "other-mean-std" not in {one.code for one in mistakes_for(Target(SIDE))}
    assert len(mistakes_for(TARGET)) == len(MISTAKES)


LUMA = {"bt601": (0.299, 0.114), "bt709": (0.2126, 0.0722)}


def yuv(rgb, matrix: str, full: bool) -> tuple[float, float, float]:
    """ITU-R BT.601 and BT.709 in real numbers."""
    kr, kb = LUMA[matrix]
    y = kr * rgb[0] + (1 - kr - kb) * rgb[1] + kb * rgb[2]
    cb, cr = (rgb[2] - y) / (2 - 2 * kb), (rgb[0] - y) / (2 - 2 * kr)
    return (y, cb, cr) if full else (16 + y * 219 / 255, cb * 224 / 255, cr * 224 / 255)


def rgb_of(y: float, cb: float, cr: float, matrix: str, full: bool) -> np.ndarray:
    kr, kb = LUMA[matrix]
    if not full:
        y, cb, cr = (y - 16) * 255 / 219, cb * 255 / 224, cr * 255 / 224
    red, blue = y + (2 - 2 * kr) * cr, y + (2 - 2 * kb) * cb
    return np.clip([red, (y - kr * red - kb * blue) / (1 - kr - kb), blue], 0, 255)


@pytest.mark.parametrize("rgb", [(200, 120, 90), (60, 90, 160), (0, 0, 0), (255, 255, 255), (128, 128, 128)])
@pytest.mark.parametrize(
    ("code", "sent", "read"),
    [
        ("limited-as-full", ("bt601", False), ("bt601", True)),
        ("full-as-limited", ("bt601", True), ("bt601", False)),
        ("bt709-as-bt601", ("bt709", False), ("bt601", False)),
        ("bt601-as-bt709", ("bt601", False), ("bt709", False)),
    ],
)
def test_misread_colours_are_those_of_the_standards(rgb, code, sent, read) -> None:
    begun, one = flat(rgb, 25, 37), BY_CODE[code]  # odd sizes: chroma at the edge
    assert abs(one.wrong(begun)[:] - rgb_of(*yuv(rgb, *sent), *read)).max() <= 3
    assert abs(one.right(begun)[:] - np.array(rgb, float)).max() <= 3


def test_swapped_chroma() -> None:
    rgb = (200, 120, 90)
    y, cb, cr = yuv(rgb, "bt601", True)
    found = BY_CODE["vu-swapped"].wrong(flat(rgb))
    assert abs(found - rgb_of(y, cr, cb, "bt601", True)).max() <= 3


def test_chroma_is_the_mean_of_four() -> None:
    picture = scene(4, 6).upright
    planes = np.frombuffer(frames.to_nv12(picture, "bt601", True), np.uint8)
    each = np.array([[yuv(pixel, "bt601", True) for pixel in row] for row in picture.astype(float)])
    assert abs(planes[:24].reshape(4, 6) - each[:, :, 0]).max() <= 0.51
    chroma = planes[24:].reshape(2, 3, 2) - 128.0
    assert abs(chroma - each[:, :, 1:].reshape(2, 2, 3, 2, 2).mean(axis=(1, 3))).max() <= 0.51


def test_large_pictures_become_frames() -> None:
    begun = scene(frames.FRAME_SIDE + 40, frames.FRAME_SIDE + 100)
    assert abs(BY_CODE["full-as-limited"].right(begun).astype(int) - begun.right).max() <= 4


def test_a_broken_photograph_is_bad_input(tmp_path) -> None:
    (tmp_path / "p.jpg").write_bytes(b"\xff\xd8\xff nothing")
    with pytest.raises(InputError, match=r"p\.jpg"):
        photographed(tmp_path / "p.jpg", TARGET)


def test_signs_in_the_tables() -> None:
    assert (points(-0.0004), points(0.0), points(-0.083), points(0.5)) == ("0.0", "0.0", "−8.3", "+50.0")
    assert interval({"low": -0.1, "high": 0.02}) == "[−10.0, +2.0]"
    assert math.isclose(sum(LUMA["bt601"]), 0.413)
