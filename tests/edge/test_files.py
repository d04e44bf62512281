"""Files are whole or not there, whatever interrupts the writing."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import pkgutil
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from dermedge.console import Terminated, terminated_like_interrupted
from edge import files
from edge.errors import InputError
from edge.files import moved_into_place, read_json, scratch_in, sha256, size, write_json, write_text


def everything(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*")}


@pytest.mark.parametrize("there", [False, True])
@pytest.mark.parametrize("stop", [RuntimeError("broke"), KeyboardInterrupt(), SystemExit(1)], ids=lambda e: repr(e))
def test_failure_leaves_nothing_and_keeps_the_old(tmp_path, stop, there):
    target = tmp_path / "weights.bin"
    if there:
        target.write_bytes(b"old")
    with pytest.raises(type(stop)), moved_into_place(target) as path:
        path.write_bytes(b"half of the n")
        raise stop
    assert everything(tmp_path) == ({"weights.bin"} if there else set())
    assert not there or target.read_bytes() == b"old"


def test_target_is_old_until_the_block_ends(tmp_path):
    target = tmp_path / "deep" / "er" / "file"
    write_text(target, "old")
    with moved_into_place(target) as path:
        path.write_text("new")
        assert target.read_text() == "old"
        assert path.parent.parent == target.parent  # the same disk, so that the move is one step
    assert target.read_text() == "new"
    assert everything(target.parent) == {"file"}


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES])
def test_write_errors_become_input_errors(tmp_path, number):
    target = tmp_path / "weights.bin"
    target.write_bytes(b"old")
    with pytest.raises(InputError) as caught, moved_into_place(target) as path:
        path.write_bytes(b"half")
        raise OSError(number, os.strerror(number))
    said = str(caught.value)
    assert str(tmp_path) in said
    assert ("the disk is full" in said) == (number in {errno.ENOSPC, errno.EDQUOT})
    assert everything(tmp_path) == {"weights.bin"} and target.read_bytes() == b"old"


def test_really_full_disk(tmp_path):
    """/dev/full answers every write with ENOSPC."""
    if not Path("/dev/full").exists():
        pytest.skip("/dev/full is Linux's")
    with pytest.raises(InputError, match="the disk is full"), scratch_in(tmp_path):
        Path("/dev/full").write_bytes(b"x")


def test_other_os_errors_pass_as_they_are(tmp_path):
    with pytest.raises(FileNotFoundError), moved_into_place(tmp_path / "file") as path:
        path.with_name("no").read_bytes()
    assert not everything(tmp_path)


def test_forgotten_output_is_an_error(tmp_path):
    with pytest.raises(OSError), moved_into_place(tmp_path / "file"):
        pass
    assert not everything(tmp_path)


def test_folder_that_is_a_file(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="cannot write"):
        write_text(tmp_path / "file" / "inside", "x")
    assert everything(tmp_path) == {"file"}


def fill(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)


def test_folder_replaces_folder(tmp_path):
    target = tmp_path / "x.mlpackage"
    fill(target, "old", "sub/old")
    with moved_into_place(target) as path:
        fill(path, "new", "Data/new")
        assert (target / "old").is_file()
    assert everything(tmp_path) == {"x.mlpackage", "x.mlpackage/new", "x.mlpackage/Data", "x.mlpackage/Data/new"}


def test_failed_folder_leaves_the_old_one(tmp_path):
    target = tmp_path / "x.mlpackage"
    fill(target, "old")
    with pytest.raises(KeyboardInterrupt), moved_into_place(target) as path:
        fill(path, "new")
        raise KeyboardInterrupt
    assert everything(tmp_path) == {"x.mlpackage", "x.mlpackage/old"}


@pytest.mark.parametrize("stop", [OSError(errno.ENOSPC, "full"), KeyboardInterrupt()], ids=lambda e: type(e).__name__)
def test_old_folder_comes_back_if_the_move_fails(tmp_path, monkeypatch, stop):
    """The old folder is aside at that moment; the scratch folder that holds it is about to be deleted."""
    target = tmp_path / "x.mlpackage"
    fill(target, "old")
    rename, moves = os.rename, []

    def second_fails(source, destination):
        moves.append((source, destination))
        if len(moves) == 2:
            raise stop
        rename(source, destination)

    monkeypatch.setattr(files.os, "rename", second_fails)
    with pytest.raises((InputError, KeyboardInterrupt)), moved_into_place(target) as path:
        fill(path, "new")
    assert len(moves) == 3
    assert everything(tmp_path) == {"x.mlpackage", "x.mlpackage/old"}


def test_scratch_is_gone_however_it_ends(tmp_path):
    with scratch_in(tmp_path / "out") as work:
        fill(work, "a/b")
    assert everything(tmp_path) == {"out"}


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_json_refuses_what_json_has_not(tmp_path, value):
    """NaN would be written by Python and refused by every browser and phone."""
    write_json(tmp_path / "a.json", {"old": 1})
    with pytest.raises(ValueError):
        write_json(tmp_path / "a.json", {"deep": [{"x": value}]})
    assert json.loads((tmp_path / "a.json").read_text()) == {"old": 1}
    assert everything(tmp_path) == {"a.json"}


def test_json_round_trip(tmp_path):
    value = {"name": "Müller – ×", "list": [1, 2.5, None, True], "z": 1, "a": 2}
    write_json(tmp_path / "a.json", value)
    assert read_json(tmp_path / "a.json", expected="x") == value
    assert list(read_json(tmp_path / "a.json", expected="x")) == list(value)
    assert (tmp_path / "a.json").read_bytes().endswith(b"}\n")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "does not exist"),
        (b"", "is not JSON"),
        (b"{'a': 1}", "is not JSON"),
        (b"\xff\xfe\x00", "is not JSON"),
        (b"[" * 100_000, "is not JSON"),
        (b"[1]", "holds no JSON object"),
        (b'"text"', "holds no JSON object"),
    ],
)
def test_read_json_says_what_was_expected(tmp_path, content, words):
    path = tmp_path / "a.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=words) as caught:
        read_json(path, expected="the manifest of a model")
    assert str(path) in str(caught.value) and "expected the manifest of a model" in str(caught.value)


def test_read_json_of_a_folder(tmp_path):
    with pytest.raises(InputError, match="cannot be read"):
        read_json(tmp_path, expected="x")


def test_read_json_is_bounded(tmp_path, monkeypatch):
    """A huge file is refused by its size, before it is read."""
    path = tmp_path / "a.json"
    with path.open("wb") as file:
        file.truncate(files.MAX_JSON_BYTES + 1)
    monkeypatch.setattr(Path, "read_text", lambda *a, **k: pytest.fail("was read"))
    with pytest.raises(InputError, match="larger than"):
        read_json(path, expected="x")


def test_digests(tmp_path):
    fill(tmp_path / "a", "one", "sub/two")
    assert sha256(tmp_path / "a" / "one") == hashlib.sha256(b"one").hexdigest()
    first = sha256(tmp_path / "a")
    assert size(tmp_path / "a") == len("one") + len("sub/two") and size(tmp_path / "a" / "one") == 3
    fill(tmp_path / "b", "sub/two", "one")
    assert sha256(tmp_path / "b") == first  # the same contents anywhere, whatever was written first
    (tmp_path / "b" / "one").rename(tmp_path / "b" / "uno")
    renamed = sha256(tmp_path / "b")
    (tmp_path / "b" / "uno").write_text("ONE")
    assert len({first, renamed, sha256(tmp_path / "b")}) == 3


def test_what_a_file_manager_leaves_in_a_folder_is_not_part_of_it(tmp_path: Path) -> None:
    """Finder writes .DS_Store into a package that one looks into; it is the same package."""
    folder = tmp_path / "m.mlpackage"
    (folder / "Data").mkdir(parents=True)
    (folder / "Data" / "a").write_bytes(b"1")
    before = sha256(folder), size(folder)
    (folder / ".DS_Store").write_bytes(b"x")
    (folder / "Data" / ".DS_Store").write_bytes(b"x")
    assert (sha256(folder), size(folder)) == before
    (folder / "Data" / "b").write_bytes(b"")
    assert sha256(folder) != before[0]


KILLED = """
import os, sys
from pathlib import Path
from edge.files import scratch_in
with scratch_in(Path(sys.argv[1])) as work:
    (work / "half").write_text("half")
    print(work, flush=True)
    sys.stdin.readline()
    os.kill(os.getpid(), 9)
"""


def test_what_a_killed_process_left_is_removed_and_what_a_living_one_uses_is_not(tmp_path):
    other = subprocess.Popen(
        [sys.executable, "-c", KILLED, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    work = Path(other.stdout.readline().strip())
    files.remove_leftovers(tmp_path)
    assert (work / "half").is_file()
    other.communicate("\n")
    assert other.returncode == -9 and (work / "half").is_file()
    files._looked_over.clear()  # a process looks once
    with scratch_in(tmp_path):
        assert not work.exists()
    assert not everything(tmp_path)


def test_a_folder_that_was_set_aside_when_its_process_was_killed_comes_back(tmp_path):
    fill(tmp_path / f"{files.SCRATCH}x" / f"x.mlpackage{files.ASIDE}", "old")
    (tmp_path / f"{files.SCRATCH}x" / ".lock").touch()
    files.remove_leftovers(tmp_path)
    assert everything(tmp_path) == {"x.mlpackage", "x.mlpackage/old"}


@pytest.mark.parametrize("moment", ["tempfile.mkdtemp", "edge.locks.Lock.take", "edge.locks.Lock.free"])
def test_a_signal_at_any_moment_leaves_nothing_unfinished(tmp_path, monkeypatch, moment):
    """SIGTERM while the folder is being made, or removed: that it is ours is known by then, so it goes."""
    module, _, name = moment.rpartition(".")
    owner = pkgutil.resolve_name(module)
    step = getattr(owner, name)

    def with_a_signal(*arguments, **named):
        result = step(*arguments, **named)
        signal.raise_signal(signal.SIGTERM)
        return result

    monkeypatch.setattr(owner, name, with_a_signal)
    with pytest.raises(Terminated), terminated_like_interrupted(), scratch_in(tmp_path):
        pass
    assert not list(tmp_path.iterdir())


def test_a_place_that_cannot_be_written_is_known_before_and_nothing_is_made_there(tmp_path):
    files.check_writable(tmp_path / "deep" / "er")
    assert not everything(tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match=r"cannot write .*file/inside"):
        files.check_writable(tmp_path / "file" / "inside")


def test_a_name_that_is_no_text_is_written_as_an_escape(tmp_path):
    """As a lone surrogate stands in JSON, so that the name comes back."""
    name = os.fsdecode(b"caf\xe9.jpg")
    write_json(tmp_path / "names.json", {"photo": name})
    assert (tmp_path / "names.json").read_bytes() == b'{\n  "photo": "caf\\udce9.jpg"\n}\n'
    assert read_json(tmp_path / "names.json", expected="names") == {"photo": name}


def test_a_folder_that_was_copied_onto_a_full_disk_is_told_in_words(tmp_path):
    """As coremltools does: the error of `shutil.copytree` holds a list of tuples."""
    copied = [("a", str(tmp_path / "b"), f"[Errno {errno.ENOSPC}] {os.strerror(errno.ENOSPC)}")]
    with pytest.raises(InputError, match="the disk is full") as caught, scratch_in(tmp_path):
        raise shutil.Error(copied)
    assert "[(" not in str(caught.value)
    with pytest.raises(InputError, match="Permission denied") as caught, scratch_in(tmp_path):
        raise shutil.Error([("a", "b", "[Errno 13] Permission denied")])
    assert "[(" not in str(caught.value)


def test_a_name_that_is_twice_in_a_json_object_is_refused(tmp_path):
    """A parser would keep one of {"malignant": true, "malignant": false}."""
    (tmp_path / "x.json").write_text('{"a": {"b": 1, "b": 2}}')
    with pytest.raises(InputError, match="'b' is there twice in one object"):
        read_json(tmp_path / "x.json", expected="x")
