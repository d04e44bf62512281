"""The code of preprocess.md, decision.md and answers.md, run as it stands there: what an app's engineer types off.

It gives the golden vectors, its worked examples are right, and each of its numbers moved by one fails a vector.
"""

from __future__ import annotations

import base64
import contextlib
import doctest
import math
import re
from collections.abc import Callable, Iterator
from functools import cache
from types import CodeType
from typing import Any

import numpy as np
import pytest

from edge import camera, decision
from edge.preprocess import MAX_INPUT_SIDE
from tests.edge._pages import (
    ANSWERS,
    BLOCK,
    COLOURS,
    DOCS,
    GATE,
    NOISE_FRAMES,
    PICTURES,
    PLAIN,
    Rule,
    frame_holds,
    holds,
    noise,
    rows,
    rule_of,
    same,
    source,
)
from tests.golden.moved import moved


def test_there_is_a_frame_of_noise_for_every_matrix_and_range() -> None:
    assert sorted((case["matrix"], case["full_range"]) for case in NOISE_FRAMES) == COLOURS
    assert not any("rgb" in case["upright"] for case in NOISE_FRAMES)


@pytest.mark.parametrize("case", PLAIN + NOISE_FRAMES[:1], ids=lambda case: case["name"])
def test_the_code_of_the_page_gives_the_golden_pictures(case: dict[str, Any]) -> None:
    assert holds(rule_of(source("preprocess.md")), case)


@pytest.mark.parametrize("case", NOISE_FRAMES, ids=lambda case: case["name"])
def test_the_code_of_the_page_gives_the_frames_of_noise(case: dict[str, Any]) -> None:
    assert frame_holds(rule_of(source("preprocess.md")), case)


@pytest.mark.parametrize("page", ["preprocess.md", "decision.md", "answers.md"])
def test_the_worked_examples_are_right(page: str) -> None:
    text = "\n".join(block for block in BLOCK.findall((DOCS / page).read_text("utf-8")) if ">>> " in block)
    test = doctest.DocTestParser().get_doctest(text, rule_of(source(page)), page, page, 0)
    assert doctest.DocTestRunner().run(test).failed == 0


def test_the_worked_numbers_are_those_of_the_code() -> None:
    """What the prose beside the examples says of them."""
    page = (DOCS / "preprocess.md").read_text("utf-8")
    part = rule_of(source("preprocess.md"))["part"]
    luma, v_to_red, u_to_green, v_to_green, u_to_blue, offset = camera_constants("bt709", False)
    light = part(luma, 180 - offset)
    red, green_u, green_v, blue = part(v_to_red, 32), part(u_to_green, -28), part(v_to_green, 32), part(u_to_blue, -28)
    for number in (light, red, green_u, green_v, blue, light + 32 + red, light + 32 + green_u + green_v,
                   light + 32 + blue):  # fmt: skip
        assert re.search(rf"(?<!\d){number}(?!\d)", page), number


def camera_constants(matrix: str, full: bool) -> tuple[int, ...]:
    return (*camera.COEFFICIENTS[matrix, full], 0 if full else 16)


def test_the_constants_of_the_page_are_the_products() -> None:
    assert rule_of(source("preprocess.md"))["CONSTANTS"] == {colour: camera_constants(*colour) for colour in COLOURS}


def test_32_bits_end_where_the_page_says() -> None:
    """The numerator is at most 2 * 255 N^2 + N^2."""
    page = (DOCS / "preprocess.md").read_text("utf-8")
    signed, unsigned = (
        int(number.replace(",", ""))
        for number in re.search(r"signed 32-.* N = ([\d,]+) on.* N = ([\d,]+)", page).groups()
    )
    assert 511 * (signed - 1) ** 2 < 2**31 <= 511 * signed**2
    assert 511 * (unsigned - 1) ** 2 < 2**32 <= 511 * unsigned**2
    assert 511 * 20_000**2 < 2**38 and 255 * 20_000 < 2**31
    assert {case["width"] for case in PICTURES if "fill" in case} >= {signed, unsigned}


def test_the_page_refuses_what_the_product_refuses() -> None:
    """The bounds; that each is kept is tested beside the product (test_camera.py, test_preprocess.py)."""
    section = (DOCS / "preprocess.md").read_text("utf-8").partition("## What is refused")[2].partition("\n## ")[0]
    for bound in (camera.MAX_FRAME_SIDE, camera.MAX_FRAME_PIXELS):
        assert f"{bound:,}" in section
    assert f"1 to 2^{camera.MAX_STRIDE.bit_length() - 1} bytes" in section and camera.MAX_STRIDE.bit_count() == 1
    assert f"1 to {MAX_INPUT_SIDE}" in section
    text = (DOCS / "decision.md").read_text("utf-8")
    assert f"with S from {decision.MIN_SIDE} to {MAX_INPUT_SIDE}" in text
    assert f"abs(sum(probabilities) - 1) <= {decision.SUM_TOLERANCE} " in text
    assert rule_of(source("decision.md"))["CHECKS"] == tuple(
        (name, {"min": "less", "max": "more"}[kind]) for name, (kind, _) in decision.CHECKS.items()
    )
    told = dict(re.findall(r"^\| `(\w+)` \| (\w.*) \|$", text, re.MULTILINE))
    assert {name: told[name] for name in decision.CHECKS} == {
        name: words for name, (_, words) in decision.CHECKS.items()
    }


def test_the_pages_count_their_vectors_rightly() -> None:
    text = (DOCS / "preprocess.md").read_text("utf-8")
    assert f"`tests/golden/preprocess/cases.json` has {len(PICTURES)} pictures" in text
    text = (DOCS / "decision.md").read_text("utf-8")
    refused = sum(not case["accepted"] for case in GATE["refused"])
    counts = f"{len(GATE['pictures'])} pictures with the numbers that must come out, {len(GATE['outcomes'])} outcomes"
    assert f"has {counts}, and {refused} inputs that must be refused" in " ".join(text.split())
    text = " ".join((DOCS / "answers.md").read_text("utf-8").split())
    counts = f"has {len(ANSWERS['encoded'])} answers with the vector that must come out (compare to 1e-6)"
    assert f"{counts}, and {len(ANSWERS['refused'])} that are to be refused" in text
    assert f"`thresholds`, {len(ANSWERS['thresholds'])} cases" in text


LEAST_NUMBERS = {"preprocess.md": 100, "decision.md": 100, "answers.md": 25}  # so many moves, or none was tried


def unnoticed(page: str, holds_all: Callable[[CodeType], bool]) -> Iterator[str]:
    """The numbers of a page's code that can be moved without failing a vector."""
    numbers = list(moved(source(page)))
    assert len(numbers) > LEAST_NUMBERS[page]
    for which, code in numbers:
        with contextlib.suppress(Exception):  # a division by zero, a place that is not there: noticed
            if which not in NO_DIFFERENCE and holds_all(code):
                yield which


# Of these no picture can tell: the byte is the same for every input, because 64ths are kept and the luma of full range
# is a whole number of levels.
SAME_BYTES = (
    '("bt601", True): ([65536 -> 65535], 91881, -22553, -46802, 116130, 0),',
    '("bt601", True): ([65536 -> 65537], 91881, -22553, -46802, 116130, 0),',
    '("bt601", True): (65536, [91881 -> 91880], -22553, -46802, 116130, 0),',
    '("bt601", True): (65536, 91881, -22553, -46802, [116130 -> 116129], 0),',
    '("bt709", True): ([65536 -> 65535], 103206, -12276, -30679, 121609, 0),',
    '("bt709", True): ([65536 -> 65537], 103206, -12276, -30679, 121609, 0),',
    '("bt709", True): (65536, [103206 -> 103205], -12276, -30679, 121609, 0),',
    '("bt709", True): (65536, [103206 -> 103207], -12276, -30679, 121609, 0),',
    '("bt709", True): (65536, 103206, -12276, -30679, [121609 -> 121608], 0),',
)
NO_DIFFERENCE = {*SAME_BYTES, "H, W = len(picture), len(picture[[0 -> -1]])"}  # all rows of a picture are of one length


def test_every_number_of_preprocessing_is_held_by_a_vector() -> None:
    def holds_all(code: CodeType) -> bool:
        return all(frame_holds(rule_of(code), case) for case in NOISE_FRAMES) and all(
            holds(rule_of(code), case) for case in PLAIN
        )

    assert list(unnoticed("preprocess.md", holds_all)) == []


def test_what_no_vector_holds_changes_no_byte_of_any_picture() -> None:
    """All 2^24 triples of bytes: red depends on Y and V, blue on Y and U, green on three tables that stay the same."""
    right = rule_of(source("preprocess.md"))
    byte = np.arange(256)
    luma, chroma = np.meshgrid(byte, byte)
    codes = dict(moved(source("preprocess.md")))
    for which in SAME_BYTES:
        rule = rule_of(codes[which])
        (colour,) = (colour for colour in COLOURS if rule["CONSTANTS"][colour] != right["CONSTANTS"][colour])
        pixels = []
        for version in (right, rule):
            constants = version["CONSTANTS"][colour]
            tables = [version["part"](constants[0], byte), *(version["part"](constants[i], byte - 128) for i in (2, 3))]
            version |= {"max": np.maximum, "min": np.minimum}
            pixels.append([*tables, *version["rgb_of_yuv"](luma, chroma, chroma, constants)])
        for before, after in zip(*pixels, strict=True):
            np.testing.assert_array_equal(before, after)


@pytest.mark.parametrize("colour", COLOURS)
def test_every_constant_of_the_product_is_held_by_a_frame_of_noise(colour: tuple[str, bool], monkeypatch) -> None:
    """The product's own, among them thirteen that the smaller vectors before did not hold."""
    (case,) = (case for case in NOISE_FRAMES if (case["matrix"], case["full_range"]) == colour)
    frame = camera.i420(noise(case["noise"], case["bytes"]), 256, 256, matrix=colour[0], full_range=colour[1])
    unheld = []
    for place, constant in enumerate(camera.COEFFICIENTS[colour]):
        for step in (-1, 1):
            constants = list(camera.COEFFICIENTS[colour])
            constants[place] += step
            with monkeypatch.context() as patch:
                patch.setattr(camera, "COEFFICIENTS", {colour: tuple(constants)})
                patch.setattr(camera, "tables", camera.tables.__wrapped__)
                if same(camera.read_frame(frame), case["upright"]):
                    unheld.append(f"[{abs(constant)} -> {abs(constant) + (step if constant > 0 else -step)}]")
    assert sorted(unheld) == sorted(
        re.search(r"\[.*]", which).group() for which in SAME_BYTES if which.startswith(f'("{colour[0]}", {colour[1]})')
    )


# docs/decision.md


def gate_holds(rule: Rule) -> bool:
    return all(rule["measure"](square) == measured for square, measured in squares()) and all(
        outcome_holds(rule, case) for case in GATE["outcomes"]
    ) and all(refusal_holds(rule, case) for case in GATE["refused"])  # fmt: skip


@cache
def squares() -> list[tuple[Any, dict[str, int]]]:
    """Small ones first: most wrong numbers are noticed there."""
    return [
        (rows(base64.b64decode(case["rgb"]) if "rgb" in case else noise(case["noise"], 3 * case["side"] ** 2),
              case["side"], case["side"]), case["measured"])
        for case in sorted(GATE["pictures"], key=lambda case: case["side"])
    ]  # fmt: skip


def outcome_holds(rule: Rule, case: dict[str, Any]) -> bool:
    decision = {"quality": case["limits"], "abstain_threshold": case["threshold"]}
    outcome = rule["decide"](case["measured"], decision, case["probabilities"], case["labels"])
    return outcome == (case["outcome"], case["label"], case["failed"])


def refusal_holds(rule: Rule, case: dict[str, Any]) -> bool:
    probabilities = [math.nan if p is None else p for p in case["probabilities"]]
    refused = rule["refused"](case["side"], case["decision"], probabilities, case["labels"])
    return refused is not case["accepted"]


def test_the_code_of_the_page_gives_the_golden_numbers_and_outcomes() -> None:
    rule = rule_of(source("decision.md"))
    for square, measured in squares():
        assert rule["measure"](square) == measured
    assert all(outcome_holds(rule, case) for case in GATE["outcomes"])
    assert [case["name"] for case in GATE["refused"] if not refusal_holds(rule, case)] == []


def test_every_number_of_the_gate_is_held_by_a_vector() -> None:
    assert list(unnoticed("decision.md", lambda code: gate_holds(rule_of(code)))) == []


# docs/answers.md


def encoding_holds(rule: Rule, case: dict[str, Any]) -> bool:
    vector = rule["encode"](ANSWERS["questions"][case["questions"]], case["answers"])
    return bool(np.array(vector, np.float32).shape == (len(case["vector"]),)) and bool(
        np.allclose(vector, case["vector"], rtol=0, atol=1e-6)
    )


def refusal_of_answers_holds(rule: Rule, case: dict[str, Any]) -> bool:
    return rule["refused"](ANSWERS["questions"][case["questions"]], case["answers"]) is not case["accepted"]


def thresholds_hold(rule: Rule, case: dict[str, Any]) -> bool:
    own = rule["in_force"](case["decision"], case["answered"])
    shown = rule["tempered"](case["probabilities"], own)
    return (
        np.allclose(shown, case["tempered"], rtol=0, atol=1e-9)
        and (max(shown) >= own["abstain_threshold"]) is case["sure"]
        and rule["counts_as_malignant"](shown, own, case["flags"]) is case["malignant"]
    )


def test_the_code_of_the_page_gives_the_golden_answers() -> None:
    rule = rule_of(source("answers.md"))
    assert [case["name"] for case in ANSWERS["thresholds"] if not thresholds_hold(rule, case)] == []
    assert [case["name"] for case in ANSWERS["encoded"] if not encoding_holds(rule, case)] == []
    assert [case["name"] for case in ANSWERS["refused"] if not refusal_of_answers_holds(rule, case)] == []


def test_every_number_of_the_answers_is_held_by_a_vector() -> None:
    def holds_all(code: CodeType) -> bool:
        return all(encoding_holds(rule_of(code), case) for case in ANSWERS["encoded"]) and all(
            thresholds_hold(rule_of(code), case) for case in ANSWERS["thresholds"]
        )

    assert list(unnoticed("answers.md", holds_all)) == []


def test_a_moved_number_is_shown_where_it_stands() -> None:
    assert [which for which, _ in moved("a = 3 * -20\nb = 0.02  # 7")] == [
        "a = [3 -> 2] * -20", "a = [3 -> 4] * -20", "a = 3 * -[20 -> 19]", "a = 3 * -[20 -> 21]",
        "b = [0.02 -> 0.01]  # 7", "b = [0.02 -> 0.03]  # 7",
    ]  # fmt: skip
    (namespace,) = [rule_of(code) for which, code in moved("c = 5") if "6" in which]
    assert namespace["c"] == 6
