"""A conversion that is stopped: what is finished stays, is listed, and is named."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

import dermedge
from convert import _convert, _job
from dermedge.commands import to_tflite
from dermedge.console import Terminated
from edge import artifact
from tests.convert.test_float_gate import network  # noqa: F401  (a fixture)


@pytest.mark.slow(reason="converts a network twice")
@pytest.mark.parametrize(
    ("stop", "code", "word"), [(KeyboardInterrupt(), 130, "interrupted"), (Terminated(), 143, "terminated")]
)
def test_what_is_finished_stays(network, sample: Path, tmp_path: Path, monkeypatch, capsys, stop, code, word) -> None:  # noqa: F811
    dermedge.save(network, tmp_path / "small.pt2")
    judge = _job.judge

    def stopped_at_the_second(form, prepared, source, recipe, *more, **others):
        if recipe == "fp16":
            raise stop
        return judge(form, prepared, source, recipe, *more, **others)

    monkeypatch.setattr(_job, "judge", stopped_at_the_second)
    flags = [word for recipe in ("fp32", "fp16", "int8-weights") for word in ("--recipe", recipe)]
    monkeypatch.setattr("convert._tflite.format.Prepared.measured", lambda self, source, recipes: self)
    out = tmp_path / "out"
    given = ["--checkpoint", str(tmp_path / "small.pt2"), "--data", str(sample), "--out", str(out)]
    assert to_tflite.main([*given, *flags]) == code
    said = capsys.readouterr().err
    assert said.startswith(word) and f"{out / 'manifest.json'}: fp32; not converted: fp16, int8-weights" in said
    assert [entry.recipe for entry in artifact.read(out).files] == ["fp32"]
    assert not list(out.glob(".*"))
    monkeypatch.undo()
    monkeypatch.setenv("DERMEDGE_CACHE", str(tmp_path / "cache"))
    assert to_tflite.main([*given, "--recipe", "fp16"]) == 0
    assert len(artifact.read(out).files) == 2


def test_a_signal_while_files_move_leaves_no_file_unlisted(
    network,  # noqa: F811
    sample: Path,
    tmp_path: Path,
    monkeypatch,
    capsys,
) -> None:
    dermedge.save(network, tmp_path / "small.pt2")
    move = _convert.replace_file

    def signalled(source: Path, target: Path) -> None:
        move(source, target)
        signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr(_convert, "replace_file", signalled)
    out = tmp_path / "out"
    given = ["--checkpoint", str(tmp_path / "small.pt2"), "--data", str(sample), "--out", str(out)]
    assert to_tflite.main([*given, "--recipe", "fp32"]) == 143
    assert "manifest.json: fp32; not converted: nothing" in capsys.readouterr().err
    assert [entry.recipe for entry in artifact.read(out).files] == ["fp32"]
