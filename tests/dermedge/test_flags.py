"""Numbers that no run could use are refused by the name of their flag, before anything is read or run."""

from __future__ import annotations

import subprocess
import sys
from types import SimpleNamespace

import pytest

from dermedge import cli
from dermedge.commands import diagnose, mistakes, parity, robustness, to_coreml, to_tflite, zoo
from edge.errors import InputError, at_least_one
from edge.runtimes.litert import LiteRT
from tests._sources import ROOT


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


@pytest.mark.parametrize(
    "given",
    [
        ["--recipe", "fp32", "--recipe", "int8"],
        ["--recipe", "fp32,int8"],
        ["--recipes", "fp32, int8"],
        ["--recipes=fp32", "--recipe=int8"],
    ],
)
@pytest.mark.parametrize(
    "command", [to_tflite, to_coreml, zoo, robustness, parity], ids=lambda command: command.__name__
)
def test_several_recipes_are_repeated_or_joined_by_commas(command, given):
    args = vars(command.parser().parse_args(given))
    assert ["fp32", "int8"] in [args.get(name) for name in ("recipe", "recipes", "files", "file")]


def test_a_recipe_that_is_mistyped_is_named_with_what_was_meant(capsys):
    with pytest.raises(SystemExit) as stop:
        to_tflite.main(["--recipe", "fp32,int8-dynamc"])
    said = capsys.readouterr().err
    assert stop.value.code == 2 and "'int8-dynamc', did you mean int8-dynamic?" in said and "int8-io" in said


SLIPS = {
    "to-tflite": ["--data", "nowhere"],
    "to-coreml": ["--checkpoint", "nowhere.safetensors"],
    "train": ["--data", ".", "--init", "nowhere.safetensors"],
    "cross-validate": ["--data", "nowhere"],
    "evaluate": ["--data", "nowhere"],
    "fit-answers": ["--data", "nowhere", "--out", "x"],
    "import-upstream": ["--model", "hierattn_xs", "nowhere.pth"],
    "predict": ["pyproject.toml", "--with", "nowhere.tflite"],
    "parity": ["nowhere"],
}


@pytest.mark.parametrize("command", SLIPS)
def test_a_path_that_leads_nowhere_is_named_before_torch_is_loaded(command):
    words = [command, *SLIPS[command]]
    program = (
        "import sys\nsys.modules['torch'] = None\nfrom dermedge.cli import main\nraise SystemExit(main(sys.argv[1:]))"
    )
    done = subprocess.run([sys.executable, "-c", program, *words], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 2 and done.stderr.startswith("error: ") and "nowhere" in done.stderr
