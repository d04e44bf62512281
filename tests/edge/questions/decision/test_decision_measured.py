"""How thresholds are chosen and judged: a wrong limit sends good photographs back, a wrong curve promises too much."""

from __future__ import annotations

import math
from dataclasses import asdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.decision import CHECKS, LARGEST, Measurements, measure
from edge.errors import InputError
from edge.questions.decision import pictures
from edge.questions.decision.choose import limits_of, threshold_of
from edge.questions.decision.coverage import risk_coverage


def some(rng: np.random.Generator, count: int, most: int = 1000) -> list[Measurements]:
    """Numbers below `most`, or as large as a measurement can be where that is less."""
    ends = [min(most, LARGEST[name] + 1) for name in CHECKS]
    return [Measurements(*(int(v) for v in row)) for row in rng.integers(0, ends, (count, len(CHECKS)))]


@pytest.mark.parametrize(("count", "share", "most"), [(200, 0.005, 1000), (928, 0.005, 1000), (400, 0.03, 6)])
def test_each_limit_is_the_tightest_that_keeps_the_share(rng, count, share, most):
    found = some(rng, count, most)
    limits = limits_of(found, share)
    for name, (kind, _) in CHECKS.items():
        values = [asdict(one)[name] for one in found]

        def sent_back(limit: int, values=values, kind=kind) -> int:
            return sum(v < limit if kind == "min" else v > limit for v in values)

        assert sent_back(limits[name]) <= share * count
        assert sent_back(limits[name] + (1 if kind == "min" else -1)) > math.floor(share * count)


def test_limits_of_too_few_photographs_are_refused(rng):
    with pytest.raises(InputError, match=r"at least 200 photographs of training patients, got 170.*alarm_share` 0.006"):
        limits_of(some(rng, 170), 0.005)
    few = some(rng, 170)
    allowed = limits_of(few, 0.006)  # what the message offers: each check sends back one photograph of 170 at most
    for name, (kind, _) in CHECKS.items():
        values = [asdict(photo)[name] for photo in few]
        assert sum(v < allowed[name] if kind == "min" else v > allowed[name] for v in values) <= 1
    with pytest.raises(InputError, match=r"at least 40 photographs.*without limits no photograph is sent back"):
        limits_of(some(rng, 39), 0.4)
    for share in (0, 0.5, -1, math.nan):
        with pytest.raises(InputError, match=r"between 0 and 0\.5"):
            limits_of(some(rng, 200), share)


@given(st.lists(st.floats(0.2, 1), min_size=20, max_size=200), st.integers(1, 20))
def test_the_threshold_answers_as_many_as_it_says(largest, twentieths):
    values, coverage = np.array(largest), twentieths / 20
    threshold = threshold_of(values, coverage)
    assert (values >= threshold).mean() >= coverage - 1e-12
    below = round((1 - coverage) * len(values), 6)
    assert (values < threshold + 1.1e-4).sum() > math.floor(below)  # the next higher one would answer fewer
    assert round(threshold * 10_000, 6) % 1 == 0


def test_a_tenth_of_thirty_is_three():
    """In doubles (1 - 0.9) * 30 is less than 3: one photograph more than asked for would be answered."""
    assert threshold_of(np.arange(30) / 100 + 0.4, 0.9) == 0.43


def test_a_threshold_of_too_few_answers_is_refused():
    with pytest.raises(InputError, match=r"at least 20 photographs of patients held back.*got 19"):
        threshold_of(np.full(19, 0.5), 0.9)
    for coverage in (0, 1.01, math.nan):
        with pytest.raises(InputError, match="coverage"):
            threshold_of(np.full(50, 0.5), coverage)


def area_in_loops(largest: list[float], wrong: list[bool]) -> float:
    total = 0.0
    for own in largest:
        kept = [w for value, w in zip(largest, wrong, strict=True) if value >= own]
        total += sum(kept) / len(kept)
    return total / len(largest)


@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(st.integers(2, 9), st.booleans(), st.integers(0, 4)), min_size=1, max_size=60))
def test_the_area_is_the_mean_risk_of_the_plain_loops(rows):
    largest, wrong, groups = (list(column) for column in zip(*rows, strict=True))
    largest = [value / 10 for value in largest]
    curve = risk_coverage(np.array(largest), np.array(wrong), [str(g) for g in groups], 0.5, draws=50)
    assert curve is not None
    assert curve.area.value == pytest.approx(area_in_loops(largest, wrong))
    assert curve.always.value == pytest.approx(np.mean(wrong))
    assert curve.gain.value == pytest.approx(curve.always.value - curve.area.value)
    for point in curve.points:
        kept = [w for value, w in zip(largest, wrong, strict=True) if value >= point.threshold]
        assert point.coverage == pytest.approx(len(kept) / len(largest))
        assert point.risk.value == pytest.approx(np.mean(kept))
    kept = [w for value, w in zip(largest, wrong, strict=True) if value >= 0.5]
    assert curve.chosen.coverage == pytest.approx(len(kept) / len(largest))
    assert curve.chosen.risk.value == pytest.approx(np.mean(kept)) if kept else math.isnan(curve.chosen.risk.value)


def test_order_of_photographs_does_not_matter(rng):
    largest, wrong, groups = (
        rng.integers(0, 9, 90) / 10,
        rng.random(90) < 0.4,
        [str(g) for g in rng.integers(0, 30, 90)],
    )
    turned = rng.permutation(90)
    one = risk_coverage(largest, wrong, groups, 0.5, draws=200)
    other = risk_coverage(largest[turned], wrong[turned], [groups[i] for i in turned], 0.5, draws=200)
    assert one is not None and other is not None
    assert one.area.low == pytest.approx(other.area.low) and one.chosen.risk.high == pytest.approx(
        other.chosen.risk.high
    )


def test_a_probability_that_says_nothing_gains_nothing():
    wrong = np.arange(100) % 3 == 0
    curve = risk_coverage(np.full(100, 0.7), wrong, [str(i) for i in range(100)], 0.5)
    assert curve is not None
    assert curve.gain.value == pytest.approx(0) and curve.gain.low == pytest.approx(0, abs=1e-12)
    assert len(curve.points) == 1


def test_knowing_which_are_wrong_gains_and_is_seen(rng):
    largest = np.linspace(0.3, 1, 200)
    right = rng.random(200) < largest
    curve = risk_coverage(largest, ~right, [str(i) for i in range(200)], 0.5)
    backwards = risk_coverage(largest, right, [str(i) for i in range(200)], 0.5)
    assert curve is not None and backwards is not None
    assert curve.gain.low > 0 > backwards.gain.high
    assert curve.area.low < curve.area.value < curve.area.high


def test_photographs_of_one_patient_are_not_counted_as_many(rng):
    """Five copies of each photograph know no more than one: the interval must not shrink."""
    largest, wrong = rng.random(40), rng.random(40) < 0.4
    groups = [str(i) for i in range(40)]
    one = risk_coverage(largest, wrong, groups, 0.3)
    five = risk_coverage(np.repeat(largest, 5), np.repeat(wrong, 5), list(np.repeat(groups, 5)), 0.3)
    assert one is not None and five is not None
    assert five.always.high - five.always.low == pytest.approx(one.always.high - one.always.low, rel=0.05)


def test_nothing_to_judge_has_no_curve():
    assert risk_coverage(np.empty(0), np.empty(0, bool), [], 0.5) is None
    with pytest.raises(ValueError, match="as many of each"):
        risk_coverage(np.ones(3), np.zeros(2, bool), ["a"] * 3, 0.5)


def test_a_flat_colour_stays_what_it_is_when_out_of_focus_or_shaken():
    flat = np.full((32, 32, 3), (200, 140, 9), np.uint8)
    assert np.array_equal(pictures.out_of_focus(flat, 8), flat)
    assert np.array_equal(pictures.shaken(flat, 20, 50), flat)


def test_a_point_becomes_a_disc_or_a_line_of_the_stated_length():
    dot = np.zeros((64, 64, 3), np.uint8)
    dot[32, 32] = 255
    disc = pictures.out_of_focus(dot, 8)[..., 0] > 0  # 8 of 128 are 4 of 64
    rows = np.flatnonzero(disc.any(axis=1))
    assert (rows[0], rows[-1]) == (28, 36) and disc[32].sum() == 9
    line = pictures.shaken(dot, 18, 0)[..., 0] > 0
    assert np.flatnonzero(line.any(axis=0)).tolist() == [*range(28, 37)] and line.any(axis=1).sum() == 1
    assert np.flatnonzero(pictures.shaken(dot, 18, 90)[..., 0].any(axis=1)).tolist() == [*range(28, 37)]


def test_light_is_added_up_as_light():
    """Half the light of white is sRGB 188, not 128."""
    assert pictures.brighter(np.full((8, 8, 3), 255, np.uint8), 0.5).max() == 188
    assert pictures.brighter(np.full((8, 8, 3), 188, np.uint8), 4).min() == 255
    every = np.arange(256, dtype=np.uint8).reshape(16, 16, 1).repeat(3, axis=2)
    assert np.array_equal(pictures.brighter(every, 1), every)


@pytest.mark.parametrize("what", pictures.WORSE)
def test_worse_copies_are_pictures_and_worse(what, rng):
    import cv2

    small = rng.integers(0, 60, (32, 32, 1)) + np.array([160, 110, 90])
    good = cv2.resize(small.astype(np.uint8), (128, 128), interpolation=cv2.INTER_NEAREST)
    bad = pictures.WORSE[what](good, 4)
    before, after = measure(good), measure(bad)
    assert bad.shape == good.shape and bad.dtype == np.uint8
    assert after.fine < before.fine or after.light < before.light or after.clipped > before.clipped, (
        "the copy is as good as the photograph"
    )


def test_drawings_are_many_different_and_the_same_every_time():
    first, again = dict(pictures.drawings(32)), dict(pictures.drawings(32))
    assert [*first] == [*pictures.DRAWN]
    for what, drawn in first.items():
        assert len(drawn) == pictures.DRAWN_EACH and {one.shape for one in drawn} == {(32, 32, 3)}
        assert len({one.tobytes() for one in drawn}) > 20, what
        assert all(np.array_equal(one, other) for one, other in zip(drawn, again[what], strict=True))
