"""Numbers that no run could use are refused by the name of their flag, before anything is read or run."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from dermedge import cli
from dermedge.commands import diagnose, mistakes, parity, robustness, zoo
from edge.errors import InputError, at_least_one
from edge.runtimes.litert import LiteRT


@pytest.fixture
def nothing_read(monkeypatch, tmp_path):
    """An opened build with nothing in it."""
    monkeypatch.setattr("edge.build.open_build", lambda folder, checkpoint: SimpleNamespace(folder=tmp_path))


@pytest.mark.parametrize("flag", ["--threads", "--images"])
@pytest.mark.parametrize("command", [parity, mistakes, robustness], ids=lambda command: command.__name__)
def test_commands_on_a_build_folder(command, flag, nothing_read, capsys):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("edge.questions.robustness.measure.compared", lambda build, files: [])
        patch.setattr("edge.build.Build.chosen", lambda build, names: [])
        assert command.main(["build", flag, "0"]) == 2
    assert f"{flag} is at least 1, got 0" in capsys.readouterr().err


@pytest.mark.parametrize("flag", ["--threads", "--images"])
def test_simulate_is_parity_that_only_looks(flag, nothing_read, capsys):
    """The old name still works, and says what it is called now."""
    assert cli.main(["simulate", "build", flag, "0"]) == 2
    said = capsys.readouterr().err
    assert "`dermedge simulate` is now `dermedge parity --simulate`" in said and f"{flag} is at least 1, got 0" in said


@pytest.mark.parametrize("both", [["--simulate", "--layers"], ["--layers", "--simulate"]])
def test_looking_and_looking_inside_are_two_questions(both):
    with pytest.raises(SystemExit) as stop:
        parity.main(["build", *both])
    assert stop.value.code == 2


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
