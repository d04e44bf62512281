"""Numbers that no run could use are refused by the name of their flag, before anything is read or run."""

from __future__ import annotations

import pytest

from dermedge.commands import diagnose, mistakes, parity, robustness, simulate, zoo
from edge.errors import InputError, at_least_one
from edge.runtimes.litert import LiteRT


@pytest.mark.parametrize("flag", ["--threads", "--images"])
@pytest.mark.parametrize("command", [simulate, parity, mistakes, robustness], ids=lambda command: command.__name__)
def test_commands_on_a_build_folder(command, flag, monkeypatch, capsys):
    monkeypatch.setattr(
        "edge.questions.parity.run.open_build", lambda folder, checkpoint: None
    )  # nothing to read there
    assert command.main(["build", flag, "0"]) == 2
    assert f"{flag} is at least 1, got 0" in capsys.readouterr().err


def test_diagnose(tmp_path, capsys):
    given = ["--model", str(tmp_path), "--photo", "p.jpg", "--phone-output", "0.5,0.5"]
    assert diagnose.main([*given, "--threads", "0"]) == 2
    assert "--threads is at least 1, got 0" in capsys.readouterr().err


@pytest.mark.parametrize("flag", ["--side", "--limit"])
def test_zoo(flag, tmp_path, capsys):
    assert zoo.main([flag, "0", "--out", str(tmp_path)]) == 2
    assert flag in capsys.readouterr().err


def test_what_was_not_given_is_not_refused():
    at_least_one(images=None, threads=1)


def test_a_file_without_threads(tmp_path):
    """The library's own check, for who opens a file without a command."""
    with pytest.raises(InputError, match="at least one thread, got 0"):
        LiteRT(tmp_path / "x.tflite", threads=0)
