"""Colour profiles in files: against the colorimetry of the standards, computed in floating point."""

from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageCms

from benchmarks._profiles import ADOBE_GAMMA, ADOBE_RGB, DISPLAY_P3, SRGB, profile, to_srgb
from edge.capture import read_photo
from edge.questions.mistakes.scene import remarks
from tests.fuzzing import fuzzed


def file_of(rgb: np.ndarray, form: str = "PNG", mode: str = "RGB", **options) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(rgb, mode if mode != "RGB" else None).save(buffer, form, **options)
    return buffer.getvalue()


@pytest.fixture(scope="module")
def colours() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (40, 50, 3), np.uint8)


@pytest.mark.parametrize(
    ("colorants", "gamma"), [(DISPLAY_P3, None), (ADOBE_RGB, ADOBE_GAMMA)], ids=["Display P3", "Adobe RGB"]
)
def test_a_wide_gamut_becomes_srgb(colours, colorants, gamma) -> None:
    tag = profile(colorants, gamma=gamma)
    found = read_photo(file_of(colours, icc_profile=tag)).astype(float)
    expected = to_srgb(colours, colorants, gamma=gamma)
    apart = abs(found - expected)
    assert apart.max() <= 2 and apart.mean() < 0.4
    assert abs(found - colours).max() > 20  # and that is not what is stored
    grey = np.arange(256, dtype=np.uint8).repeat(3).reshape(1, 256, 3)
    if gamma is None:  # the same curve: greys stay what they are
        assert abs(read_photo(file_of(grey, icc_profile=tag)).astype(int) - grey).max() <= 1


def test_a_profile_that_is_srgb_changes_no_byte(colours) -> None:
    """Neither our own nor LittleCMS's: rounding there and back would move some by one."""
    made = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    for tag in (profile(SRGB), made):
        np.testing.assert_array_equal(read_photo(file_of(colours, icc_profile=tag)), colours)


@pytest.mark.parametrize("form", ["JPEG", "WEBP"])
def test_profiles_in_lossy_files(form: str) -> None:
    """And after a turn: the profile is not lost with the orientation."""
    flat = np.full((16, 24, 3), (250, 40, 30), np.uint8)
    exif = Image.Exif()
    exif[0x0112] = 6
    found = read_photo(file_of(flat, form, icc_profile=profile(DISPLAY_P3), exif=exif, quality=98))
    assert found.shape == (24, 16, 3)
    expected = to_srgb(np.array([250, 40, 30]), DISPLAY_P3)
    assert abs(found.reshape(-1, 3).mean(0) - expected).max() < 4


def test_heic_of_display_p3() -> None:
    pytest.importorskip("pillow_heif").register_heif_opener()
    flat = np.full((64, 64, 3), (250, 40, 30), np.uint8)
    found = read_photo(file_of(flat, "HEIF", icc_profile=profile(DISPLAY_P3), quality=95))
    expected = to_srgb(np.array([250, 40, 30]), DISPLAY_P3)
    assert abs(found.reshape(-1, 3).mean(0) - expected).max() < 5


def test_translucent_and_palette(colours) -> None:
    """Converted first, then laid over white."""
    tag = profile(DISPLAY_P3)
    rgba = np.dstack((colours, np.full(colours.shape[:2], 128, np.uint8)))
    found = read_photo(file_of(rgba, mode="RGBA", icc_profile=tag)).astype(float)
    solid = read_photo(file_of(colours, icc_profile=tag)).astype(float)
    assert abs(found - (solid * 128 + 255 * 127) / 255).max() <= 0.51
    few = Image.fromarray(colours[:2, :2]).quantize(4)
    buffer = io.BytesIO()
    few.save(buffer, "PNG", icc_profile=tag)
    plain = np.asarray(few.convert("RGB"))
    np.testing.assert_array_equal(read_photo(buffer.getvalue()), read_photo(file_of(plain, icc_profile=tag)))


@pytest.mark.parametrize(
    "tag",
    [b"\0", b"nonsense" * 40, profile(DISPLAY_P3)[:200], profile(DISPLAY_P3)[:16] + b"CMYK" + profile(DISPLAY_P3)[20:]],
    ids=["a byte", "nonsense", "cut off", "of another kind"],
)
def test_a_profile_that_is_no_use_counts_as_none(colours, tag: bytes) -> None:
    np.testing.assert_array_equal(read_photo(file_of(colours, icc_profile=tag)), colours)


def test_a_profile_of_megabytes_is_not_read(colours) -> None:
    large = profile(DISPLAY_P3) + bytes(5 * 2**20)
    plain, tagged = (file_of(colours, "JPEG", **options) for options in ({}, {"icc_profile": large}))
    np.testing.assert_array_equal(read_photo(tagged), read_photo(plain))


def test_a_cmyk_jpeg_of_a_press_is_converted_by_its_profile() -> None:
    """A profile of RGB in a CMYK file is of the wrong kind and not used."""
    cmyk = np.random.default_rng(0).integers(0, 256, (16, 16, 4), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(cmyk, "CMYK").save(buffer, "JPEG", quality=100, subsampling=0)
    plain = read_photo(buffer.getvalue())
    buffer = io.BytesIO()
    Image.fromarray(cmyk, "CMYK").save(buffer, "JPEG", quality=100, subsampling=0, icc_profile=profile(DISPLAY_P3))
    np.testing.assert_array_equal(read_photo(buffer.getvalue()), plain)


@fuzzed(80)
@given(st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), min_size=1, max_size=6))
def test_a_damaged_profile_ends_in_a_picture(changes) -> None:
    broken = bytearray(profile(DISPLAY_P3))
    for place, value in changes:
        broken[place % len(broken)] = value
    small = np.zeros((4, 4, 3), np.uint8)
    assert read_photo(file_of(small, icc_profile=bytes(broken))).shape == (4, 4, 3)


def test_diagnosis_names_a_profile_and_transparency(colours, tmp_path) -> None:
    """No wrong path imitates them, so that an app that forgets them would hear of nothing."""
    (tmp_path / "p3.png").write_bytes(file_of(colours, icc_profile=profile(DISPLAY_P3)))
    (tmp_path / "srgb.png").write_bytes(file_of(colours, icc_profile=profile(SRGB)))
    Image.new("RGBA", (8, 8), (1, 2, 3, 4)).save(tmp_path / "clear.png")
    told = {name: remarks(tmp_path / f"{name}.png") for name in ("p3", "srgb", "clear")}
    assert "another colour space" in told["p3"][0] and not told["srgb"] and "translucent" in told["clear"][0]
