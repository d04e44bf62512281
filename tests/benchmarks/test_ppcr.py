"""What attention gains: the difference is of the same photographs, and its interval knows what is paired."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import ppcr
from benchmarks._out_of_fold import compare_runs
from edge.errors import InputError
from tests.benchmarks._runs import fold, run


def test_difference_is_second_minus_first(tmp_path: Path) -> None:
    found = compare_runs(run(tmp_path / "a", 0.4), run(tmp_path / "b", 0.9, seed=1))
    assert (found["images"], found["patients"], found["folds"]) == (120, 60, [0, 1])
    first, second = (one["value"] for one in found["balanced_accuracy"])
    assert found["difference"]["value"] == pytest.approx(second - first)
    assert 0 < found["difference"]["low"] < second - first < found["difference"]["high"] < 1
    assert found["gained"] > found["lost"] and found["mcnemar_p"] < 0.01


def test_equal_answers_differ_by_nothing(tmp_path: Path) -> None:
    """Not paired, the interval would be as wide as that of either."""
    found = compare_runs(run(tmp_path / "a", 0.6), run(tmp_path / "b", 0.6))
    assert found["difference"] == {"value": 0.0, "low": 0.0, "high": 0.0}


def test_a_fold_that_only_one_has_is_left_out(tmp_path: Path) -> None:
    found = compare_runs(run(tmp_path / "a", 0.6, folds=3), run(tmp_path / "b", 0.6, folds=2))
    assert found["folds"] == [0, 1] and found["images"] == 120


def test_other_photographs_are_refused(tmp_path: Path) -> None:
    fold(tmp_path / "a", 0, [("1", "p", "ACK", "ACK")])
    fold(tmp_path / "b", 0, [("2", "p", "ACK", "ACK")])
    with pytest.raises(InputError, match="other photographs"):
        compare_runs(tmp_path / "a", tmp_path / "b")


def test_nothing_in_common_is_said(tmp_path: Path, capsys) -> None:
    assert ppcr.main(["--runs", str(tmp_path), str(tmp_path), "--out", str(tmp_path)]) == 2
    assert "no finished fold" in capsys.readouterr().err


def test_page_of_the_gain(tmp_path: Path, capsys) -> None:
    runs = [str(run(tmp_path / name, 0.5)) for name in "ab"]
    assert ppcr.main(["--runs", *runs, "--out", str(tmp_path)]) == 0
    page = (tmp_path / "ppcr_gain.md").read_text()
    assert "difference +0.000 [+0.000, +0.000]: 120 photographs of 60 patients, folds 0, 1" in page


@pytest.mark.slow(reason="converts two networks with measured int8")
def test_page_of_the_cost(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.delenv("DERMEDGE_PHOTOS", raising=False)
    assert ppcr.main(["--side", "32", "--rounds", "2", "--images", "8", "--out", str(tmp_path)]) == 0
    assert "| parameters | 1,078,390 | 1,269,238 | 1.177 |" in (tmp_path / "ppcr_cost.md").read_text()
