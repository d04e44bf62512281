"""The table of whole-integer files: a row for each network, and why there is none."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks.whole_numbers import line, main, parts, weights_of
from edge.checkpoint import load, save, shipped


def test_a_network_without_such_a_file_says_why() -> None:
    row = {"network": "n", "weights": "untrained", "side": 64, "refusal": "not made: SOFTMAX (in attention)"}
    assert line(row) == "| n | untrained, 64 px | not made: SOFTMAX (in attention) | | | | | |\n"


def test_wrong_flags_are_named(tmp_path: Path, capsys) -> None:
    for wrong in (["--images", "0"], ["--side", "65", "--models", "hierattn_xs"]):
        assert main([*wrong, "--out", str(tmp_path)]) == 2
        assert wrong[0] in capsys.readouterr().err
    assert main(["--models", str(tmp_path / "none.safetensors"), "--out", str(tmp_path)]) == 2
    assert "none.safetensors" in capsys.readouterr().err


def test_trained_weights_keep_their_side(tmp_path: Path) -> None:
    """A network is judged at the side that it was trained at, unless another is asked for."""
    save(load(shipped("hierattn_xs")), tmp_path / "mine")
    mine = str(tmp_path / "mine.safetensors")
    sides = {
        (name, side): weights_of(name, side).preprocess.side for name in ("hierattn_xs", mine) for side in (None, 64)
    }
    assert sides == {("hierattn_xs", None): 128, ("hierattn_xs", 64): 64, (mine, None): 128, (mine, 64): 64}
    assert weights_of("mnasnet", None).preprocess.side == 128


def test_every_set_has_a_say_in_the_choice() -> None:
    """Calibrating photographs come set by set; the last third alone would be of one kind."""
    ranging, choosing = parts(np.arange(90))
    assert len(ranging) == 60 and set(ranging) | set(choosing) == set(range(90))
    assert all({number // 30 for number in part} == {0, 1, 2} for part in (ranging, choosing))


@pytest.mark.slow(reason="lowers two networks and rounds one of them twice")
def test_a_run(folder_of_photographs: Path, tmp_path: Path) -> None:
    arguments = ["--models", "mobilenetv2,hierattn_xs", "--side", "64", "--images", "8"]
    assert main([*arguments, "--data", str(folder_of_photographs), "--out", str(tmp_path)]) == 0
    first, second = json.loads((tmp_path / "whole_numbers.json").read_text())["rows"]
    assert first["weights"] == "untrained" and first["sqnr_db"] in (
        first["sqnr_db_changed"],
        first["sqnr_db_as_they_were"],
    )
    assert first["sqnr_db"] > 5 and 0.2 < first["bytes_ratio"] < 0.4
    assert second["weights"] == "shipped" and "norm" in second["refusal"]
