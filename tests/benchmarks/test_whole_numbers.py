"""The table of whole-integer files: a row for each network, and why there is none."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.whole_numbers import line, main


def test_a_network_without_such_a_file_says_why() -> None:
    row = {"network": "n", "trained": False, "refusal": "not made: SOFTMAX (in attention)"}
    assert line(row) == "| n | untrained | not made: SOFTMAX (in attention) | | | | | |\n"


def test_wrong_flags_are_named(tmp_path: Path, capsys) -> None:
    assert main(["--images", "0", "--out", str(tmp_path)]) == 2
    assert "--images" in capsys.readouterr().err


@pytest.mark.slow(reason="lowers two networks and rounds one of them twice")
def test_a_run(folder_of_photographs: Path, tmp_path: Path) -> None:
    arguments = ["--models", "mobilenetv2,hierattn_xs", "--side", "64", "--images", "8"]
    assert main([*arguments, "--data", str(folder_of_photographs), "--out", str(tmp_path)]) == 0
    first, second = json.loads((tmp_path / "whole_numbers.json").read_text())["rows"]
    assert not first["trained"] and first["sqnr_db"] in (first["sqnr_db_changed"], first["sqnr_db_as_they_were"])
    assert first["sqnr_db"] > 5 and 0.2 < first["bytes_ratio"] < 0.4
    assert second["trained"] and "norm" in second["refusal"]
