"""Maven fetches Android's library, says by name what it has not, and does not hold a set-up up for ever."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge.errors import InputError
from edge.phones import maven


def pretend(folder: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    program = folder / "mvn"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")


def test_maven_that_hangs_is_ended_and_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(tmp_path, monkeypatch, "exec sleep 60")
    monkeypatch.setattr(maven, "INSTALL_S", 0.3)
    with pytest.raises(InputError, match=r"mvn, which fetches org\.tensorflow:net:1\.0:aar, did not finish within 0 s"):
        maven.downloaded("net", "1.0", tmp_path)


def test_what_maven_has_not_is_named_with_its_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(tmp_path, monkeypatch, "echo '[ERROR] nowhere to be seen'; exit 1")
    with pytest.raises(InputError, match=r"no org\.tensorflow:net:1\.0:aar for us \(\[ERROR\] nowhere"):
        maven.downloaded("net", "1.0", tmp_path)


def test_the_archive_is_where_maven_put_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(tmp_path, monkeypatch, "touch net-1.0.aar")
    assert maven.downloaded("net", "1.0", tmp_path) == tmp_path / "net-1.0.aar"
