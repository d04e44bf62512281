"""What a command does when something goes wrong: one line, the right exit code, nothing half-done."""

from __future__ import annotations

import argparse
import errno
import os
import tempfile
from pathlib import Path

import pytest

from dermedge.console import entry
from edge.data.selection import listed_for
from edge.errors import GateError, InputError


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (InputError("no photograph at x.jpg"), 2, "no photograph at x.jpg"),
        (GateError("int8 lost too much"), 1, "int8 lost too much"),
        (KeyboardInterrupt(), 130, "interrupted"),
        (ModuleNotFoundError("No module named 'jinja2'", name="jinja2"), 2, "jinja2 is not installed"),
        (OSError(errno.ENOSPC, "No space left on device", "a.bin"), 2, "a.bin: No space left on device"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else None,
)
def test_errors_become_one_line_and_an_exit_code(error, code, words, capsys):
    @entry(argparse.ArgumentParser)
    def main(argv=None):
        raise error

    assert main([]) == code
    shown = capsys.readouterr().err
    assert words in shown
    assert shown.count("\n") == 1


@pytest.mark.parametrize(("flag", "said"), [("--data", "give --data a folder"), ("--photos", "give --photos a folder")])
def test_photographs_are_called_by_the_flag_that_takes_them(flag, said, capsys):
    def parser():
        p = argparse.ArgumentParser()
        p.add_argument(flag)
        return p

    @entry(parser)
    def main(argv=None):
        raise InputError("no data folder; give `photos` a folder")

    assert main([]) == 2 and said in capsys.readouterr().err


def test_our_own_missing_module_is_a_bug_and_not_an_extra():
    @entry(argparse.ArgumentParser)
    def main(argv=None):
        raise ModuleNotFoundError("No module named 'edge.nothing'", name="edge.nothing")

    with pytest.raises(ModuleNotFoundError):
        main([])


def test_a_renamed_folder_is_still_seen():
    """The name of a folder must not decide whether its patients were trained on."""
    part = {"six": {"patients": ["P1"], "images": ["a.png"]}, "isic": {"patients": ["P3"], "images": ["b.png"]}}
    assert listed_for(part, "six") == listed_for(part, "six_copy") == {"patients": ["P1"], "images": ["a.png"]}
    assert listed_for(part, "isic") == {"patients": ["P3"], "images": ["b.png"]}
    assert listed_for(part, "pad_ufes_20") == {"patients": [], "images": []}


def test_temporary_files_of_a_command_go_with_it_and_nobody_elses_do(tmp_path, monkeypatch):
    """A folder that only looks like ours by its name is left, however old it is."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    theirs = tmp_path / "dermedge-build"
    theirs.mkdir()
    (theirs / ".lock").touch()
    os.utime(theirs, (0, 0))
    used = []

    @entry(argparse.ArgumentParser)
    def main(argv=None):
        used.append(Path(tempfile.mkdtemp()))
        return 0

    assert main([]) == 0
    assert used[0].parent.parent == tmp_path and tempfile.tempdir == str(tmp_path)
    assert list(tmp_path.iterdir()) == [theirs]


@pytest.mark.parametrize(("given", "said"), [("--dta", "--dta (did you mean --data?)"), ("--zzz=1", ""), ("--dat", "")])
def test_a_mistyped_flag_is_told_what_may_be_meant(given, said, capsys):
    def parser() -> argparse.ArgumentParser:
        p = argparse.ArgumentParser()
        p.add_argument("--data", required=True)
        return p

    @entry(parser)
    def main(argv=None):
        parser().parse_args(argv)
        return 0

    with pytest.raises(SystemExit) as stopped:
        main([given])
    assert stopped.value.code == 2
    shown = capsys.readouterr().err
    assert shown.endswith(f"{said}\n") if said else "did you mean" not in shown
