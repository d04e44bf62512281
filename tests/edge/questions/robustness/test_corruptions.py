"""Each corruption does what its name and unit say, by another way of computing it."""

from __future__ import annotations

import io
from itertools import pairwise

import cv2
import numpy as np
import pytest
from PIL import Image

from edge.colour.light import to_linear, to_srgb
from edge.errors import InputError
from edge.questions.robustness.corruptions import CLEAN, CORRUPTIONS, conditions_of, corrupt, inputs, working_square
from edge.questions.robustness.drawn import covered
from edge.questions.robustness.handling import saved, turned
from edge.questions.robustness.levels import LEVELS, READ_NOISE, SEVERITIES, level
from edge.questions.robustness.optics import disc, line
from edge.questions.robustness.sensor import counted, daylight, exposed, gains

SIDE = 256  # pixels
NAMES = list(CORRUPTIONS)


@pytest.fixture(scope="module")
def skin() -> np.ndarray:
    """Skin with a dark spot off the centre and grain of several sizes; uint8 (SIDE, SIDE, 3)."""
    rng = np.random.default_rng(3)
    grain = sum(
        cv2.resize(rng.normal(0, 1, (n, n, 1)).astype(np.float32), (SIDE, SIDE), interpolation=cv2.INTER_CUBIC)
        for n in (8, 32, 128)
    )
    y, x = np.mgrid[:SIDE, :SIDE] / SIDE
    spot = np.exp(-(((x - 0.45) ** 2 + (y - 0.55) ** 2) / 0.02))
    picture = np.array([200, 150, 125]) - spot[..., None] * [110, 100, 80] + 8 * grain[..., None]
    return np.clip(picture, 0, 255).astype(np.uint8)


def light(rgb: np.ndarray) -> np.ndarray:
    """Linear light by the standard's formula, in float64."""
    v = rgb / 255
    return np.where(v <= 0.04045, v / 12.92, ((v + 0.055) / 1.055) ** 2.4)


def done(name: str, picture: np.ndarray, severity: int, seed: int = 0) -> np.ndarray:
    return CORRUPTIONS[name](picture, severity, np.random.default_rng([seed, severity]))


def gradient_energy(picture: np.ndarray) -> float:
    grey = light(picture).mean(axis=2)
    return float(np.square(np.diff(grey, axis=0)).mean() + np.square(np.diff(grey, axis=1)).mean())


def test_every_byte_survives_the_way_to_light_and_back():
    ramp = np.arange(256, dtype=np.uint8)
    assert np.array_equal(to_srgb(to_linear(ramp)), ramp)
    assert np.allclose(to_linear(ramp), light(ramp), atol=1e-7)


@pytest.mark.parametrize("name", NAMES)
def test_gives_a_picture_of_the_same_size_and_leaves_the_given_one(name, skin):
    before = skin.copy()
    for severity in SEVERITIES:
        after = done(name, skin, severity)
        assert after.shape == skin.shape and after.dtype == np.uint8
        assert not np.shares_memory(after, skin) and not np.array_equal(after, skin)
    assert np.array_equal(skin, before)


@pytest.mark.parametrize("name", NAMES)
def test_distance_from_the_clean_picture_grows_with_severity(name, skin):
    seeds = range(12 if name in {"hair", "pen"} else 4)  # which hairs fall where is chance
    far = [
        np.mean([np.abs(done(name, skin, severity, s).astype(int) - skin).mean() for s in seeds])
        for severity in SEVERITIES
    ]
    assert all(b > a for a, b in pairwise(far)), far
    assert far[0] > 0


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("side", [1, 2, 7, 33])
def test_takes_squares_of_any_size(name, side, rng):
    picture = rng.integers(0, 256, (side, side, 3), np.uint8)
    for severity in (1, 5):
        assert done(name, picture, severity).shape == picture.shape


@pytest.mark.parametrize("name", ["defocus", "motion"])
def test_blur_keeps_the_light_and_takes_edges(name, skin):
    energy = [gradient_energy(skin)]
    for severity in SEVERITIES:
        after = done(name, skin, severity)
        assert light(after).mean() == pytest.approx(light(skin).mean(), rel=0.003)
        energy.append(gradient_energy(after))
    assert all(b < a for a, b in pairwise(energy)), energy


def test_a_point_out_of_focus_becomes_a_disc_of_that_radius():
    radius = 6.3
    kernel = disc(radius)
    y, x = np.mgrid[: len(kernel), : len(kernel)] - len(kernel) // 2
    assert kernel.sum() == pytest.approx(1)
    assert (kernel * (x**2 + y**2)).sum() == pytest.approx(radius**2 / 2, rel=0.02)  # a uniform disc's second moment
    assert np.array_equal(disc(0.2), [[1.0]])


@pytest.mark.parametrize("degrees", [0, 30, 90, 135])
def test_a_moved_point_becomes_a_line_of_that_length_and_direction(degrees):
    length = 15.0
    kernel = line(length, np.radians(degrees))
    y, x = np.mgrid[: len(kernel), : len(kernel)] - len(kernel) // 2
    along = x * np.cos(np.radians(degrees)) + y * np.sin(np.radians(degrees))
    across = x * np.sin(np.radians(degrees)) - y * np.cos(np.radians(degrees))
    # length^2 / 12 of a uniform line, and what sharing among pixels adds, at most a quarter a direction
    assert (kernel * along**2).sum() == pytest.approx(length**2 / 12, rel=0.05)
    assert (kernel * across**2).sum() < 0.26
    assert kernel.sum() == pytest.approx(1)


def test_noise_has_the_variance_of_photons_and_reading(rng):
    flat = np.full((400, 400, 3), 0.25, np.float32)
    electrons, read = 350.0, 4.0
    noisy = counted(flat, electrons, read, rng)
    assert noisy.mean() == pytest.approx(0.25, abs=3 * np.sqrt(0.25 / electrons / noisy.size) + 1e-4)
    assert noisy.var() == pytest.approx((0.25 * electrons + read**2) / electrons**2, rel=0.02)


@pytest.mark.parametrize("side", [128, 512])
def test_noise_on_the_skin_does_not_depend_on_the_pixels_of_the_file(side):
    """Means over 1/64 of the side have the variance that the table's electrons give, however many pixels they hold."""
    flat = np.full((side, side, 3), 188, np.uint8)  # half of the light
    after = light(done("noise", flat, 3))
    patches = after.reshape(64, side // 64, 64, side // 64, 3).mean(axis=(1, 3))
    cells, electrons = (512 / 64) ** 2, level("noise", 3)
    expected = (light(np.array(188)) * electrons + READ_NOISE[2] ** 2) / electrons**2 / cells
    assert patches.var() == pytest.approx(expected, rel=0.08)


def test_one_stop_doubles_the_light():
    ramp = np.arange(0, 188, dtype=np.uint8).reshape(-1, 1, 1).repeat(3, 2)  # 187 is just below half of white
    twice, half = light(exposed(ramp, 1)), light(exposed(ramp, -1))
    step = 0.5 / 255 * 2.4 / 1.055 * 1.1  # half a byte, where the curve is steepest
    assert np.abs(twice - 2 * light(ramp)).max() < step and np.abs(half - light(ramp) / 2).max() < step
    assert (exposed(np.full((1, 1, 3), 200, np.uint8), 1) == 255).all()  # clipped
    assert np.array_equal(exposed(ramp, 0), ramp)


def test_white_balance_follows_daylight():
    assert gains(0) == pytest.approx([1, 1, 1])
    white = daylight(1e6 / 6504)
    assert white / white[1] == pytest.approx([1, 1, 1], abs=0.005)  # D65 is sRGB's white
    red, green, blue = gains(60)
    assert red > green > blue
    cold = gains(-60)
    assert cold[0] < cold[1] < cold[2]
    for mired in (-85, 85):
        assert gains(mired) @ [0.2126, 0.7152, 0.0722] == pytest.approx(1)
    # CIE 15, table of D50: x = 0.3457, y = 0.3585; its linear sRGB from the inverse of the primaries' matrix
    xyz = np.array([0.3457 / 0.3585, 1, (1 - 0.3457 - 0.3585) / 0.3585])
    primaries = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
    assert daylight(1e6 / 5003) == pytest.approx(np.linalg.solve(primaries, xyz), abs=0.003)
    with pytest.raises(ValueError, match="40 to 250 mired"):
        daylight(300)


def test_jpeg_gets_smaller_and_is_what_a_decoder_reads(skin):
    sizes = [len(saved(skin, int(quality))) for quality in LEVELS["jpeg"].values]
    assert sizes == sorted(sizes, reverse=True) and sizes[0] > 2 * sizes[-1]
    with Image.open(io.BytesIO(saved(skin, 8))) as image:
        assert np.array_equal(done("jpeg", skin, 5), np.asarray(image.convert("RGB")))


def test_downscaling_leaves_so_many_pixels(skin):
    after = done("downscale", skin, 5).astype(float)
    spectrum = np.abs(np.fft.fft2(after.mean(axis=2) - after.mean())) ** 2
    lines = np.abs(np.fft.fftfreq(SIDE) * SIDE)
    assert spectrum[lines < 32][:, lines < 32].sum() > 0.98 * spectrum.sum()
    small = np.full((20, 20, 3), 9, np.uint8)
    assert np.array_equal(done("downscale", small, 5), small)


def test_rotation_turns_about_the_centre(skin):
    assert np.array_equal(turned(skin, 0), skin)
    assert np.abs(turned(skin, 90).astype(int) - np.rot90(skin)).max() <= 1
    there_and_back = turned(turned(skin, 20), -20).astype(int)
    middle = slice(SIDE // 4, -SIDE // 4)
    assert np.abs(there_and_back - skin)[middle, middle].mean() < 3
    assert turned(np.full_like(skin, 77), 45).min() == 77  # no black corners


@pytest.mark.parametrize(("name", "most"), [("hair", 0.25), ("pen", 0.08)])
def test_lines_darken_skin_and_leave_the_rest(name, most, skin):
    bright = np.maximum(skin, 120)
    for severity in SEVERITIES:
        after = done(name, bright, severity)
        assert (after <= bright).all()
        changed = (after != bright).any(axis=2)
        assert 0 < changed.mean() < most
        # Lines are thin: opening with a square wider than they are leaves nothing of a single one.
        wide = 2 * int(0.03 * SIDE) + 1
        eroded = cv2.erode(changed.astype(np.uint8), np.ones((wide, wide)))
        assert eroded.mean() < 0.01


def test_a_line_covers_its_width():
    points = np.array([[0.1, 0.503], [0.9, 0.503]])
    cover = covered([(points, 0.02)], 200)
    assert cover[:, 60:140].sum(axis=0) == pytest.approx(4, abs=0.6)  # 0.02 x 200 pixels
    assert not cover[:80].any() and not cover[120:].any()


def test_chance_depends_on_photograph_condition_and_seed_alone(skin):
    for name in NAMES:
        once = corrupt(skin, (name, 3), "a")
        corrupt(skin, ("noise", 1), "b")
        assert np.array_equal(once, corrupt(skin, (name, 3), "a"))
    for name in ("noise", "hair", "pen", "motion"):
        assert not np.array_equal(corrupt(skin, (name, 3), "a"), corrupt(skin, (name, 3), "b"))
        assert not np.array_equal(corrupt(skin, (name, 3), "a"), corrupt(skin, (name, 3), "a", seed=1))
    assert corrupt(skin, CLEAN, "a") is skin


def test_inputs_do_not_depend_on_what_else_is_asked_for(skin):
    few = list(inputs(skin, conditions_of(["hair"], [2]), "a", 64))
    many = list(inputs(skin, conditions_of(["noise", "hair"], [1, 2]), "a", 64))
    assert np.array_equal(few[0], many[0]) and np.array_equal(few[1], many[-1]) and few[0].shape == (64, 64, 3)


def test_squares_are_shrunk_to_the_working_side_and_never_enlarged(rng):
    assert working_square(rng.integers(0, 256, (700, 900, 3), np.uint8)).shape == (512, 512, 3)
    small = rng.integers(0, 256, (90, 100, 3), np.uint8)
    assert np.array_equal(working_square(small), small[:, 5:95])


@pytest.mark.parametrize("severity", [0, 6, -1, True, 2.5])
def test_other_severities_are_refused(severity, skin, rng):
    for name in NAMES:
        with pytest.raises(InputError, match="1 to 5"):
            CORRUPTIONS[name](skin, severity, rng)


def test_table_is_complete():
    for scale in LEVELS.values():
        assert len(scale.values) == len(SEVERITIES) and scale.unit and scale.title
        steps = np.abs(np.diff(scale.values))
        assert (steps > 0).all()
