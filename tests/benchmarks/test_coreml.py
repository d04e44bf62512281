"""The interpreter's benchmark: it runs, and its ratios are of what it timed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks import coreml
from benchmarks._side_by_side import summary


@pytest.mark.slow(reason="converts and times every recipe")
def test_a_run(tmp_path: Path, capsys) -> None:
    assert coreml.main(["--side", "64", "--rounds", "2", "--out", str(tmp_path)]) == 0
    assert "of torch" in capsys.readouterr().out
    stored = json.loads((tmp_path / "coreml.json").read_text())
    rows = {one["name"]: one for one in stored["rows"]}
    assert set(rows) == {"torch", *coreml.RECIPES} and rows["torch"]["ratio"] == 1
    for one in rows.values():
        assert one["ratio"] == pytest.approx(one["ms"] / rows["torch"]["ms"])


def test_no_rounds_is_an_error(tmp_path: Path, capsys) -> None:
    assert coreml.main(["--rounds", "0", "--out", str(tmp_path)]) == 2
    assert "--rounds" in capsys.readouterr().err


def test_the_ratio_is_of_medians() -> None:
    one = summary([2.0, 4.0, 6.0], [1.0, 2.0, 9.0])
    assert (one["ms"], one["ratio"], one["spread"]) == (4.0, 2.0, 1.0)
