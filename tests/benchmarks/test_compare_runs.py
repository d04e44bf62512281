"""Runs side by side: the first is what the others are compared with, and each says how it was trained."""

from __future__ import annotations

import json
from pathlib import Path

from benchmarks import compare_runs
from tests.benchmarks._runs import run


def described(folder: Path, *, init: dict | None = None, teachers: list[str] | None = None) -> str:
    recipe = {"model": "mnasnet", "stages": [[64, 2], [128, 3]], "init": init}
    recipe |= {"teachers": [{"model": name} for name in teachers]} if teachers else {}
    (folder / "fold-0" / "checkpoint.json").write_text(json.dumps({"recipe": recipe}))
    return str(folder)


def test_rows_say_what_differs_and_what_it_gained(tmp_path: Path, capsys) -> None:
    plain = described(run(tmp_path / "plain", 0.4), init={"recipe": {"imported_from": "torchvision"}})
    taught = described(run(tmp_path / "taught", 0.9, seed=1), teachers=["efficientnet_lite0", "hierattn_s"])
    assert compare_runs.main([plain, taught, "--out", str(tmp_path)]) == 0
    rows = [line for line in (tmp_path / "compare_runs.md").read_text().splitlines() if "mnasnet" in line]
    assert "64 x 2, 128 x 3 | torchvision | labels alone" in rows[0]
    assert "random | efficientnet_lite0, hierattn_s" in rows[1]
    first, second = json.loads((tmp_path / "compare_runs.json").read_text())["rows"]
    values = [estimate["value"] for estimate in second["balanced_accuracy"]]
    assert second["difference"]["value"] == values[1] - values[0] > 0
    assert first["difference"]["value"] == 0
    assert rows[0].rstrip("| ").endswith("]") and "[+" in rows[1] and "[+" not in rows[0]


def test_a_folder_without_folds_is_named(tmp_path: Path, capsys) -> None:
    assert compare_runs.main([str(tmp_path), "--out", str(tmp_path)]) == 2
    assert "has no finished fold" in capsys.readouterr().err
