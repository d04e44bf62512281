"""The benchmark's own machinery, on a file of one operator; no test looks at a time."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from benchmarks.tflite import checkpoint_at, main, markdown, row, timed
from convert._emit._writer import Code, Writer
from edge.errors import InputError


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    w = Writer()
    x = w.tensor([1, 4, 4, 3], "image")
    (y,) = w.operator(Code.ABS, [x], [[1, 4, 4, 3]], "y")
    path = tmp_path / "tiny.tflite"
    path.write_bytes(w.finish({"image": x}, {"probabilities": y}, description="x"))
    return path


def test_every_file_is_run_in_every_round(tiny):
    times = timed({"plain": tiny, "other": tiny}, threads=1, rounds=3)
    assert {name: len(values) for name, values in times.items()} == {"plain": 3, "other": 3}
    assert all(value > 0 for values in times.values() for value in values)


def test_ratios_are_of_the_same_round(tiny):
    """Round by round twice as slow, while the machine slows down tenfold: the ratio is two."""
    plain = [1.0, 2.0, 10.0]
    found = row("x", tiny, [2.0, 4.0, 20.0], plain)
    assert found["ratio_to_plain"] == 2.0 and found["ms"] == 4.0 and found["bytes"] == tiny.stat().st_size
    page = markdown([found], argparse.Namespace(model="m", side=4, threads=1, rounds=3))
    assert "| x | " in page and " 2.00 |" in page


def test_any_side_and_any_known_model():
    assert checkpoint_at("hierattn_xs", 96).preprocess.side == 96
    assert checkpoint_at("hierattn_s", 64).model == "hierattn_s"  # none is shipped: random weights
    with pytest.raises(InputError, match="hierattn_xs"):
        checkpoint_at("made_up", 64)


def test_help_is_complete(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["--help"])
    assert stop.value.code == 0
    out = capsys.readouterr().out
    assert "--peers" in out and "--worker" not in out
