"""Apple's tests under the interpreter: what passes counts as passed, and a wrong answer as wrong."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from coremltools.converters.mil import Builder as mb

from benchmarks import apple_op_tests
from benchmarks._apple_runs import PASSED, moved_by_rounding
from edge.errors import BAD_INPUT, GATE_FAILED, GOOD
from edge.runtimes import coreml
from tests.edge.runtimes.coreml._programs import saved


@pytest.mark.slow(reason="coremltools' tests are collected in a process of their own, 10 s each time")
def test_apples_tests_of_loops_and_lists_pass(tmp_path: Path) -> None:
    words = ["--every", "1", "--out", str(tmp_path)]
    assert apple_op_tests.main([*words, "--only", "test_control_flow and (Cond or WhileLoop or List)"]) == GOOD
    report = json.loads((tmp_path / "apple_op_tests.json").read_text())
    assert report["counts"][PASSED] >= 10 and not report["failed"]


def test_what_rounding_moves_is_measured_and_is_nothing_without_float16(tmp_path: Path) -> None:
    """64 ones, half of them taken away: the sum, 0, moves by less than 2**-11 for each of the 128 factors."""
    ones = np.ones((1, 64), np.float32)
    for half, most in ((True, 2 * 64 * 2**-11), (False, 0.0)):
        folder = tmp_path / str(half)
        folder.mkdir()
        weight = ones.astype(np.float16 if half else np.float32)
        x = {"x": weight.copy()}
        weight[:, ::2] = -1
        path = saved(lambda x, w=weight: mb.linear(x=x, weight=w), x, folder, ios=17)
        moved = moved_by_rounding(coreml.load(path), x)
        assert moved <= most and (moved > 2**-11) == half


def test_a_piece_that_is_not_there_is_named(tmp_path: Path, capsys) -> None:
    assert apple_op_tests.main(["--every", "4", "--first", "4", "--out", str(tmp_path)]) == BAD_INPUT
    assert "--first" in capsys.readouterr().err


def test_a_failed_test_of_apples_fails_the_command(tmp_path: Path, monkeypatch) -> None:
    row = {"test": "t", "outcome": "wrong", "said": "off by one", "expected_to_fail": False}
    monkeypatch.setattr(apple_op_tests, "outcomes", lambda *_: [row, row | {"expected_to_fail": True}])
    assert apple_op_tests.main(["--out", str(tmp_path)]) == GATE_FAILED
    report = json.loads((tmp_path / "apple_op_tests.json").read_text())
    assert report["counts"] == {"wrong": 2} and report["failed"] == [row]
