"""Masks against masks: Dice, IoU and boundary distance worked out by hand, and what the gates make of them."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from edge.data.table import PhotoSet
from edge.errors import InputError
from edge.metrics.gates import Observations, Verdict, judge
from edge.metrics.masks import boundary, boundary_distance, dice, iou, measure_masks
from edge.questions.observe import parity_summary
from edge.questions.parity.measure import ParityReport
from edge.questions.parity.report import Entry, build_report

SIDE = 32


def square(top: int, left: int, side: int = 10) -> np.ndarray:
    mask = np.zeros((SIDE, SIDE), bool)
    mask[top : top + side, left : left + side] = True
    return mask


EMPTY = np.zeros((SIDE, SIDE), bool)


def test_equal_masks_are_equal() -> None:
    a = square(5, 5)
    assert (dice(a, a), iou(a, a), boundary_distance(a, a)) == (1.0, 1.0, 0.0)


def test_a_square_shifted_by_two_pixels() -> None:
    """10 x 10 squares that share 10 x 8 pixels: Dice 160 / 200, IoU 80 / 120. The far edge lies 2 pixels away, and of
    36 boundary pixels more than 5 % do."""
    a, b = square(5, 5), square(5, 7)
    assert dice(a, b) == pytest.approx(0.8)
    assert iou(a, b) == pytest.approx(2 / 3)
    assert boundary_distance(a, b) == 2.0
    assert boundary_distance(b, a) == 2.0


def test_squares_that_do_not_touch() -> None:
    a, b = square(0, 0, 4), square(20, 20, 4)
    assert (dice(a, b), iou(a, b)) == (0.0, 0.0)
    # the nearest corner of the other square is 17 to 20 pixels down and across; of 12 boundary pixels the 95th
    # percentile lies between the two farthest, of which the last is the outer corner
    assert 17 * math.sqrt(2) < boundary_distance(a, b) <= 20 * math.sqrt(2)


def test_empty_masks() -> None:
    a = square(5, 5)
    assert (dice(EMPTY, EMPTY), iou(EMPTY, EMPTY), boundary_distance(EMPTY, EMPTY)) == (1.0, 1.0, 0.0)
    for one, other in ((a, EMPTY), (EMPTY, a)):
        assert (dice(one, other), iou(one, other)) == (0.0, 0.0)
        assert boundary_distance(one, other) == pytest.approx(SIDE * math.sqrt(2))


def test_a_stray_pixel_does_not_decide() -> None:
    a = square(5, 5, 20)
    b = a.copy()
    b[0, 31] = True
    assert boundary_distance(a, b) == 0.0


def test_the_boundary_of_a_square_is_its_frame_also_at_the_pictures_edge() -> None:
    assert boundary(square(5, 5, 4)).sum() == 12
    assert boundary(square(0, 0, 4)).sum() == 12


def test_pairs_without_a_pixel_are_counted_and_do_not_flatter() -> None:
    before = np.stack([EMPTY, EMPTY, *[square(5, 5)] * 7]).astype(np.float32)
    after = np.stack([EMPTY, square(5, 5), *[square(5, 7)] * 7]).astype(np.float32)
    found = measure_masks(before, after)
    assert (found.images, found.both_empty, found.one_empty) == (9, 1, 1)
    assert found.dice.value == pytest.approx(0.8)
    assert len(found.dice_by_image) == 8
    assert found.boundary.value == 2.0


def test_a_pixel_belongs_to_the_mask_from_one_half_on() -> None:
    before = np.where(square(5, 5), 0.5, 0.49).astype(np.float32)[None]
    assert measure_masks(before, square(5, 5).astype(np.float32)[None]).dice.value == 1.0


def observed(masks: np.ndarray | None, images: int = 40) -> Observations:
    rng = np.random.default_rng(0)
    reference = rng.dirichlet((0.3, 0.3), images)
    return Observations(
        image_ids=tuple(f"set/{n}" for n in range(images)),
        groups=tuple(str(n) for n in range(images)),
        domains=("set",) * images,
        labels=rng.integers(0, 2, images),
        class_codes=("A", "B"),
        class_names=("a", "b"),
        malignant=(True, False),
        reference=reference,
        masks=masks,
    )


def shifted(by: int, images: int = 40) -> np.ndarray:
    return np.repeat(square(5, 5 + by, 20)[None], images, axis=0).astype(np.float32)


def check_of(found) -> object:
    return next(check for check in found.checks if check.name == "Median Dice of the masks")


@pytest.mark.parametrize(
    ("recipe", "by", "verdict"),
    # one pixel of twenty: Dice 0.95; two: 0.9
    [("fp16", 0, "pass"), ("fp16", 1, "fail"), ("int8", 1, "pass"), ("int8", 2, "fail"), ("fp32", 1, "fail")],
)
def test_masks_that_moved_fail_the_gate_although_every_class_is_right(recipe, by, verdict) -> None:
    seen = observed(shifted(0))
    found = judge(recipe, seen, seen.reference, masks=shifted(by))
    assert check_of(found).verdict == verdict
    assert (found.verdict == Verdict.FAIL) == (verdict == "fail")


def test_too_few_masks_settle_nothing() -> None:
    seen = observed(shifted(0, 4), 4)
    check = check_of(judge("int8", seen, seen.reference, masks=shifted(0, 4)))
    assert check.verdict == Verdict.INCONCLUSIVE
    assert check.patients_needed == 6


def test_masks_without_a_pixel_are_not_judged() -> None:
    nothing = np.zeros((40, SIDE, SIDE), np.float32)
    seen = observed(nothing)
    found = judge("fp16", seen, seen.reference, masks=nothing)
    assert check_of(found).verdict == Verdict.NOT_JUDGED


@pytest.mark.parametrize(
    ("masks", "why"),
    [
        (None, "the file none"),
        (shifted(0)[:, 1:], "shape"),
        (np.full((40, SIDE, SIDE), np.nan, np.float32), "NaN"),
        (shifted(0) * 2, "within 0..1"),
    ],
)
def test_masks_that_are_none_fail(masks, why) -> None:
    seen = observed(shifted(0))
    found = judge("palette4", seen, seen.reference, masks=masks)
    assert found.verdict == Verdict.FAIL
    assert why in found.checks[0].note


def test_broken_masks_of_the_float_model_are_refused() -> None:
    with pytest.raises(InputError, match="float model's masks are NaN"):
        observed(np.full((40, SIDE, SIDE), np.nan, np.float32))


def test_networks_without_masks_are_judged_as_before() -> None:
    seen = observed(None)
    found = judge("fp16", seen, seen.reference)
    assert found.statistics is not None and found.statistics.masks is None
    assert not [check for check in found.checks if "mask" in check.name.lower()]


def test_report_and_manifest_hold_the_masks_figures(tmp_path) -> None:
    seen = observed(shifted(0))
    found = judge("int8", seen, seen.reference, masks=shifted(1))
    data = {"name": "set", "images": 40, "patients": 40, "synthetic": False, "note": ""}
    entry = Entry("m-int8.tflite", "0" * 64, 1, "tflite", "int8", "xnnpack", found)
    report = build_report("m", "0" * 64, data, [entry], seen, [seen.reference])
    ParityReport(report).write(tmp_path)
    masks = json.loads((tmp_path / "parity.json").read_text())["files"][0]["statistics"]["masks"]
    assert masks["dice"]["value"] == pytest.approx(0.95)
    assert masks["boundary"]["value"] == pytest.approx(1.0)
    assert "dice_by_image" not in masks
    page = (tmp_path / "report.html").read_text()
    assert "95 % Hausdorff" in page
    assert "1.00 pixels" in page

    photos = PhotoSet("set", (), ())
    summary = parity_summary(found, runtime="xnnpack", photos=photos, binding=True)
    assert summary.masks is not None
    assert summary.masks.dice_median == pytest.approx(0.95)
    assert summary.masks.iou_median == pytest.approx(19 / 21) and summary.masks.boundary_px_median == 1.0
