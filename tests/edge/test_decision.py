"""The gate and the outcome: what an app shows a person must not depend on which program works it out."""

from __future__ import annotations

import base64
import json
from contextlib import nullcontext
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from edge import decision
from edge.decision import CHECKS, LARGEST, Decision, Measurements, Thresholds, decide, faults, measure, retake
from edge.errors import InputError
from edge.manifest import schema
from tests.edge._manifests import manifest
from tests.fuzzing import fuzzed, mostly
from tests.golden.answers import make as make_answers
from tests.golden.decision import make, reference

STORED = json.loads(Path(make.FILE).read_text("utf-8"))
ANSWERED = json.loads(Path(make_answers.FILE).read_text("utf-8"))
SECTION: dict[str, Any] = {"version": "gate-2", "side": 128, "quality": make.LIMITS, "abstain_threshold": 0.45}
NAN, INFINITE = float("nan"), float("inf")
EVERYTHING = {name: 0 if kind == "min" else LARGEST[name] for name, (kind, _) in CHECKS.items()}
OPEN = Thresholds(8, EVERYTHING, 0.5, ("ACK", "BCC", "MEL"))
SURE = np.array([0.1, 0.8, 0.1])


def square_of(case: dict[str, Any]) -> np.ndarray:
    side = case["side"]
    data = base64.b64decode(case["rgb"]) if "rgb" in case else make.noise(case["noise"], 3 * side * side)
    return np.frombuffer(data, np.uint8).reshape(side, side, 3)


@pytest.mark.parametrize("case", STORED["pictures"], ids=lambda case: case["name"])
def test_our_numbers_are_the_golden_ones(case):
    assert asdict(measure(square_of(case))) == case["measured"]


@pytest.mark.parametrize("case", STORED["outcomes"], ids=lambda case: case["name"])
def test_our_outcome_is_the_golden_one(case, monkeypatch):
    monkeypatch.setattr(decision, "measure", lambda square: Measurements(**case["measured"]))
    rule = Thresholds(8, case["limits"], case["threshold"], tuple(case["labels"]))
    found = decide(np.zeros((8, 8, 3), np.uint8), np.array(case["probabilities"]), rule)
    assert (found.outcome, found.label, list(found.failed)) == (case["outcome"], case["label"], case["failed"])
    assert found.reason == case.get("reason", found.reason) and found.reason


@pytest.mark.parametrize("case", STORED["refused"], ids=lambda case: case["name"])
def test_what_the_rule_refuses_is_refused(case, monkeypatch):
    """Before any outcome: the picture of all these would be sent back."""
    monkeypatch.setattr(decision, "measure", lambda square: Measurements(**case["measured"]))
    square = np.zeros((case["side"], case["side"], 3), np.uint8)
    probabilities = np.array([np.nan if p is None else p for p in case["probabilities"]])
    with nullcontext() if case["accepted"] else pytest.raises(InputError):
        rule = decision.thresholds_of(case["decision"], case["labels"])
        assert decide(square, probabilities, rule).outcome == "retake"


@pytest.mark.parametrize("case", ANSWERED["thresholds"], ids=lambda case: case["name"])
def test_thresholds_by_the_number_of_answers_are_the_golden_ones(case):
    section = {"version": "gate-2", "side": 8, "quality": EVERYTHING, **case["decision"]}
    own = decision.thresholds_of(section, ["ACK", "BCC", "MEL"]).for_answers(case["answered"])
    shown = decision.tempered(np.array(case["probabilities"]), own.temperature)
    np.testing.assert_allclose(shown, case["tempered"], rtol=0, atol=1e-9)
    sure = decide(np.full((8, 8, 3), 128, np.uint8), shown, own).outcome == "class"
    assert (sure, decision.counts_as_malignant(shown, own, case["flags"])) == (case["sure"], case["malignant"])


@pytest.mark.parametrize(
    ("entries", "words"),
    [
        ([{"from": 0, "abstain_threshold": 0.5}], "answers that thresholds hold from is a whole number of 1"),
        ([{"from": 1, "abstain_threshold": 1.5}], "`abstain_threshold` is a probability"),
        ([{"from": 1, "abstain_threshold": 0.5, "temperature": 0}], "`temperature` is 0.2 to 5.0, got 0"),
        ([{"from": 1, "abstain_threshold": 0.5, "malignant_threshold": NAN}], "`malignant_threshold`"),
        ([{"from": 5, "abstain_threshold": 0.5}, {"from": 1, "abstain_threshold": 0.5}], r"order .* got \[5, 1\]"),
        ([{"from": 5}], "has from and abstain_threshold"),
        ([3], "has from and abstain_threshold"),
    ],
)
def test_thresholds_by_answers_that_are_none_are_refused(entries, words):
    with pytest.raises(InputError, match=words):
        decision.thresholds_of(SECTION | {"by_answers": entries}, ["ACK", "BCC"])


def test_what_are_no_probabilities_is_not_tempered():
    with pytest.raises(InputError, match="add up to 1"):
        decision.tempered(np.array([0.0, 0.0]), 2.0)


def test_the_file_is_what_the_reference_makes():
    assert STORED["version"] == decision.VERSION
    assert STORED["pictures"] == json.loads(json.dumps(list(make.pictures())))
    assert STORED["outcomes"] == json.loads(json.dumps(list(make.outcomes())))
    assert STORED["refused"] == json.loads(json.dumps(list(make.refused())))


def test_the_order_of_the_checks_is_the_written_one():
    assert [(name, kind) for name, (kind, _) in CHECKS.items()] == reference.ORDER
    assert [*asdict(measure(np.zeros((8, 8, 3), np.uint8)))] == [*CHECKS]


squares = st.sampled_from([5, 6, 7, 8, 11, 12, 16, 17, 20, 31, 32]).flatmap(
    lambda side: hnp.arrays(np.uint8, (side, side, 3))
)


@settings(deadline=None, max_examples=150)
@given(squares)
def test_any_square_gives_the_numbers_of_the_plain_loops(square):
    assert asdict(measure(square)) == reference.measure(square.tolist())


@settings(deadline=None, max_examples=50)
@given(squares)
def test_turning_a_phone_changes_nothing(square):
    assume(len(square) <= 16 or len(square) % 16 == 0)  # else cells are of unequal size, larger ones to one side
    wanted = measure(square)
    for turned in (np.rot90(square), square[::-1], square[:, ::-1]):
        assert measure(np.ascontiguousarray(turned)) == wanted


def test_the_largest_square_does_not_overflow():
    """Sums of squares of 4096 x 4096 need 41 bits; a program with 32 would see a sharp picture as blurred."""
    twos = np.arange(4096) // 2 % 2
    board = np.repeat((255 * (twos[:, None] ^ twos)).astype(np.uint8)[..., None], 3, axis=2)
    found = measure(board)  # 2047 of 4095 neighbours differ, all 4094 over two pixels, none over four
    assert (found.fine, found.coarse, found.busy, found.contrast, found.clipped) == (500, 9999, 500, 255, 500)


def test_blur_darkness_and_glare_move_the_right_numbers(rng):
    import cv2

    small = rng.integers(0, 90, (16, 16, 1)) + np.array([150, 100, 80])
    skin = cv2.resize(small.astype(np.uint8), (128, 128), interpolation=cv2.INTER_NEAREST)
    good = measure(skin)
    blurred = measure(cv2.GaussianBlur(skin, (0, 0), 3))
    assert blurred.fine < good.fine and blurred.coarse < good.coarse / 2
    assert measure(skin // 4).light < good.light / 3
    assert measure(np.minimum(skin.astype(int) * 3, 255).astype(np.uint8)).clipped > 500 > good.clipped
    moved = measure(cv2.blur(skin, (9, 1)))
    assert moved.coarse < good.coarse / 2 and moved.busy > moved.fine  # one direction alone is enough


@pytest.mark.parametrize(
    "square",
    [
        np.zeros((8, 8, 3), np.float32),
        np.zeros((8, 9, 3), np.uint8),
        np.zeros((4, 4, 3), np.uint8),
        np.zeros((8, 8), np.uint8),
        np.zeros((8, 8, 4), np.uint8),
        np.zeros((1, 8, 8, 3), np.uint8),
        [[1]],
    ],
    ids=["float", "no square", "too small", "grey", "alpha", "a batch", "a list"],
)
def test_what_is_no_model_input_is_refused(square):
    with pytest.raises(InputError, match=r"expected a model input as uint8 RGB \(S, S, 3\).*to_input"):
        measure(square)


def test_another_side_is_refused():
    """Sharpness depends on the side: limits of 128 pixels would call every larger picture blurred."""
    with pytest.raises(InputError, match="squares of 8 pixels, got 9"):
        decide(np.zeros((9, 9, 3), np.uint8), SURE, OPEN)


@pytest.mark.parametrize(
    "probabilities",
    [
        np.array([0.1, 0.9]),
        np.array([[0.1, 0.8, 0.1]]),
        np.array([3.0, 5.0, -2.0]),
        np.array([0.1, np.nan, 0.1]),
        np.array([0.9, 0.9, 0.9]),
        np.array([10, 200, 45], np.uint8),
        None,
        "0.1",
        [[0.1], [0.8, 0.1]],
        np.array([0.5, np.inf, 0.5]),
        np.array([1.03, 0.0, -0.03]),
        np.array([0.1, 0.921, 0.0]),
        np.array([0.1, 0.879, 0.0]),
    ],
)
def test_what_are_no_probabilities_is_refused(probabilities):
    with pytest.raises(InputError, match="expected"):
        decide(np.zeros((8, 8, 3), np.uint8), probabilities, OPEN)


@pytest.mark.parametrize("total", [0.981, 1.019])
def test_a_sum_that_float16_leaves_is_taken(total):
    assert decide(np.zeros((8, 8, 3), np.uint8), np.array([0.0, total, 0.0]), OPEN).outcome == "class"


def test_float32_of_a_file_is_taken():
    found = decide(np.zeros((8, 8, 3), np.uint8), SURE.astype(np.float32), OPEN)
    assert (found.outcome, found.label, found.reason) == ("class", "BCC", "BCC with 80.0%")


def test_bare_skin_has_no_spot(rng):
    """Skin with its grain, a shade across it, and the same with a lesion that is a little darker."""
    shade = np.linspace(-12, 12, 128)[:, None, None]
    skin = np.array([200, 150, 130]) + shade + rng.normal(0, 6, (128, 128, 1))
    y, x = np.mgrid[:128, :128] - 63.5
    lesion = (x * x + y * y < 18 * 18)[..., None] * 30
    bare, with_lesion = (measure(np.rint(one).astype(np.uint8)).spot for one in (skin, skin - lesion))
    assert bare < 14 and 24 < with_lesion < 42
    assert measure(np.rint(np.roll(skin - lesion, 60, axis=1)).astype(np.uint8)).spot < 20  # it is not in the middle


def test_a_picture_can_be_looked_at_before_the_model_runs():
    dark = np.zeros((8, 8, 3), np.uint8)
    strict = replace(OPEN, limits=EVERYTHING | {"light": 1})
    assert retake(dark, OPEN) is None and retake(dark, strict) == decide(dark, SURE, strict)
    with pytest.raises(InputError, match="squares of 8 pixels"):
        retake(np.zeros((9, 9, 3), np.uint8), OPEN)


def test_a_picture_that_is_sent_back_names_no_class():
    found = decide(np.zeros((8, 8, 3), np.uint8), SURE, replace(OPEN, limits=EVERYTHING | {"light": 1, "fine": 1}))
    assert (found.outcome, found.label, found.failed) == ("retake", None, ("light", "fine"))
    assert found.reason.startswith("too dark") and found.measurements.light == 0
    assert faults(found.measurements, EVERYTHING) == ()


@pytest.mark.parametrize(
    ("section", "words"),
    [
        ({"version": "gate-0"}, r"'gate-0'.*measure again"),
        ({}, "None.*measure again"),
        (None, "`decision` is an object"),
        (
            {name: value for name, value in SECTION.items() if name != "abstain_threshold"},
            "abstain_threshold is missing",
        ),
        ({name: value for name, value in SECTION.items() if name != "quality"}, "quality is missing"),
        (SECTION | {"side": 128.5}, r"side that limits .* got 128.5"),
        (SECTION | {"abstain_threshold": None}, "abstain_threshold"),
    ],
)
def test_sections_that_are_no_thresholds_are_refused(section, words):
    with pytest.raises(InputError, match=words):
        decision.thresholds_of(section, ["ACK", "BCC"])


def test_other_keys_of_a_section_are_ignored():
    section = SECTION | {"coverage": 0.9, "measured": {}, "of_tomorrow": 3}
    assert decision.thresholds_of(section, ["ACK", "BCC"]) == Thresholds(128, make.LIMITS, 0.45, ("ACK", "BCC"))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        *(({"side": side}, "side that limits were measured on is a whole number of 5 to 4096 pixels")
          for side in (4, 4097, 8.5, NAN, INFINITE, "8", None, True)),
        *(({"abstain_threshold": threshold}, "`abstain_threshold` is a")
          for threshold in (NAN, INFINITE, -0.1, 1.01, "0.5", None, True, [0.5])),
        *(({"limits": EVERYTHING | {"fine": limit}}, "limit of fine is a whole number of 0 to 9999, got")
          for limit in (NAN, INFINITE, -1, 10_000, 300.5, "300", None, True)),
        ({"limits": EVERYTHING | {"light": 256}}, "limit of light is a whole number of 0 to 255"),
        ({"limits": {name: limit for name, limit in EVERYTHING.items() if name != "spot"}}, "without spot"),
        ({"limits": EVERYTHING | {"mood": 3}}, "with mood, which no check has"),
        ({"limits": None}, "limits are a mapping"),
        ({"limits": [1] * 9}, "limits are a mapping"),
        *(({"labels": labels}, "two or more class codes")
          for labels in ((), ("ACK",), ("ACK", "ACK"), ("ACK", 3), ("ACK", ""), "ACK", None, {"ACK", "BCC"})),
    ],
)  # fmt: skip
def test_thresholds_are_checked_however_they_were_made(changes, words):
    with pytest.raises(InputError, match=words):
        replace(OPEN, **changes)


def test_thresholds_are_kept_as_they_were_checked():
    """Limits that change afterwards, in the caller's dict or in the thresholds' own, are noticed."""
    limits = dict(EVERYTHING)
    rule = Thresholds(np.int64(8), limits, np.float32(0.5), ["ACK", "BCC", "MEL"])
    limits["light"] = 1
    assert rule == OPEN and type(rule.side) is int and type(rule.abstain_threshold) is float
    rule.limits["light"] = NAN
    with pytest.raises(InputError, match="limit of light"):
        decide(np.zeros((8, 8, 3), np.uint8), SURE, rule)


def test_limits_have_the_range_that_manifests_have():
    stated = schema()["$defs"]["decision"]["properties"]["quality"]["properties"]
    thousandths = schema()["$defs"]["thousandths"]
    ranges = {name: thousandths if "$ref" in limit else limit for name, limit in stated.items()}
    assert {name: (limit["minimum"], limit["maximum"]) for name, limit in ranges.items()} == {
        name: (0, most) for name, most in LARGEST.items()
    }


@pytest.mark.parametrize("thresholds", [None, make.LIMITS, SECTION, "gate-2"])
def test_no_thresholds_are_an_error_with_a_name(thresholds):
    for ask in (lambda: decide(np.zeros((8, 8, 3), np.uint8), SURE, thresholds),
                lambda: retake(np.zeros((8, 8, 3), np.uint8), thresholds)):  # fmt: skip
        with pytest.raises(InputError, match=r"`thresholds` is decision.Thresholds; .*no gate to ask"):
            ask()
    with pytest.raises(InputError, match="`manifest` is a Manifest"):
        decision.of_manifest(thresholds)


@pytest.mark.parametrize("light", [-1, 256, NAN, INFINITE, 3.5, "3", None])
def test_measurements_and_outcomes_made_by_hand_are_checked(light):
    good = measure(np.zeros((8, 8, 3), np.uint8))
    with pytest.raises(InputError, match="measurement light is a whole number of 0 to 255"):
        replace(good, light=light)
    with pytest.raises(InputError, match="`measured` is Measurements"):
        faults(asdict(good), EVERYTHING)
    with pytest.raises(InputError, match="limits are of"):
        faults(good, {"light": 3})
    for outcome, label, failed in (("maybe", None, ()), ("class", None, ()), ("uncertain", "ACK", ()),
                                   ("retake", None, ()), ("class", "ACK", ("light",))):  # fmt: skip
        with pytest.raises(InputError, match=r"one of class, uncertain, retake|only a class has a label"):
            Decision(outcome, label, "", failed, good)


@fuzzed(200)
@given(st.data())
def test_whatever_a_caller_gives_has_an_outcome_or_is_refused(data):
    """Values of any type in any place: an outcome, or an InputError."""
    try:
        limits = {name: data.draw(mostly(limit)) for name, limit in EVERYTHING.items()}
        parts = [data.draw(mostly(part)) for part in (8, limits, 0.5, ("ACK", "BCC", "MEL"))]
        rule = data.draw(mostly(Thresholds(*parts)))
        square, answer = np.zeros((8, 8, 3), np.uint8), [0.1, 0.8, 0.1]
        found = decide(data.draw(mostly(square)), data.draw(mostly(answer)), rule)
    except InputError:
        return
    assert (found.outcome, found.label) in {("class", "BCC"), ("uncertain", None), ("retake", None)}


def test_errors_come_before_any_outcome():
    """A picture that would be sent back does not hide that the answer is none."""
    strict = replace(OPEN, limits=EVERYTHING | {"light": 1})
    with pytest.raises(InputError, match="add up to 1"):
        decide(np.zeros((8, 8, 3), np.uint8), np.array([0.1, np.nan, 0.1]), strict)


def test_a_manifest_without_thresholds_has_none():
    assert decision.of_manifest(manifest()) is None
