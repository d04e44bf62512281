"""What attention gains: the difference is of the same photographs, and its interval knows what is paired."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from benchmarks import ppcr
from benchmarks._out_of_fold import compare_runs
from edge.errors import InputError

CODES = ("ACK", "BCC", "NEV")


def fold(folder: Path, number: int, answers: list[tuple[str, str, str, str]]) -> None:
    """Image, patient, label and answer of each row, as train.py writes them."""
    (folder / f"fold-{number}").mkdir(parents=True)
    with (folder / f"fold-{number}" / "unseen.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["image", "patient", "label", *(f"logit_{code}" for code in CODES)])
        for image, patient, label, answer in answers:
            writer.writerow([image, patient, label, *(float(code == answer) for code in CODES)])


def run(folder: Path, right: float, *, folds: int = 2, seed: int = 0) -> Path:
    """A cross-validation of 60 photographs a fold, of which so many are answered rightly."""
    rng = np.random.default_rng(seed)
    for number in range(folds):
        rows = []
        for i in range(60):
            label = CODES[i % 3]
            answer = label if rng.random() < right else CODES[(i + 1) % 3]
            rows.append((f"{number}-{i}", f"p{number}-{i // 2}", label, answer))
        fold(folder, number, rows)
    return folder


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
