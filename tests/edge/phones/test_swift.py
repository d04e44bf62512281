"""Swift for the iOS app's code: what is missing is named, with the command that brings it."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge.errors import InputError
from edge.phones import NotSetUp, swift
from tests._phones import needs_swift


def test_without_swift_the_command_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DERMEDGE_PHONES", str(tmp_path))
    assert not swift.is_set_up()
    with pytest.raises(NotSetUp, match="run `dermedge setup swift` first"):
        swift.run(["swift", "--version"], sources=tmp_path)


def test_a_machine_that_debian_has_no_swift_for(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DERMEDGE_PHONES", str(tmp_path))
    monkeypatch.setattr("platform.machine", lambda: "s390x")
    with pytest.raises(InputError, match="no Swift for s390x"):
        swift.set_up()
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    monkeypatch.setattr("shutil.which", lambda name: None)
    with pytest.raises(InputError, match="no unshare"):
        swift.set_up()
    assert not any(path.name.startswith("swift") for path in tmp_path.iterdir())


@needs_swift
def test_a_process_sees_its_sources_and_leaves_no_mount(tmp_path: Path) -> None:
    (tmp_path / "note").write_text("here")
    done = swift.run(
        ["bash", "-c", "cat /sources/note; echo $ASKED; test -r /proc/self/status; exit 7"],
        sources=tmp_path, environment={"ASKED": "yes"},
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (7, "hereyes\n")
    assert str(swift.folder()) not in Path("/proc/mounts").read_text()
