"""Locks between processes: one at a time, and none that outlives its holder."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from edge.errors import InputError
from edge.locks import Lock, alone_in, refused_company
from tests._sources import ROOT

HOLDER = """
import sys
from pathlib import Path
from edge.locks import Lock
lock = Lock(Path(sys.argv[1]))
print(lock.take(), flush=True)
sys.stdin.readline()
"""
WAITER = """
import sys
from pathlib import Path
from edge.locks import alone_in
with alone_in(Path(sys.argv[1])):
    print("in")
"""
COMPANION = """
import logging, sys
from pathlib import Path
from edge.locks import alone_at_first
logging.basicConfig(level=logging.INFO)
with alone_at_first(Path(sys.argv[1]), name="lock", waiting="somebody reads"):
    print("in", flush=True)
    sys.stdin.readline()
"""
COUNTER = """
import logging, sys
from pathlib import Path
from edge import locks
locks.WAIT_S = 0.001
logging.disable()
count = Path(sys.argv[1]) / "count"
for _ in range(40):
    with locks.alone_in(count.parent):
        count.write_text(str(int(count.read_text()) + 1))
"""


def process(program: str, folder: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", program, str(folder)]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True, cwd=ROOT)


def test_a_killed_holder_lets_go(tmp_path: Path) -> None:
    holder = process(HOLDER, tmp_path)
    assert holder.stdout is not None and holder.stdout.readline() == "True\n"
    lock = Lock(tmp_path)
    assert not lock.take()
    holder.kill()
    holder.communicate()
    assert lock.take() and not Lock(tmp_path).take()
    lock.free()
    assert not list(tmp_path.iterdir())


def test_no_two_are_in_at_once_although_the_file_comes_and_goes(tmp_path: Path) -> None:
    (tmp_path / "count").write_text("0")
    assert [other.communicate()[1] for other in [process(COUNTER, tmp_path) for _ in range(3)]] == ["", "", ""]
    assert (tmp_path / "count").read_text() == "120"
    assert [path.name for path in tmp_path.iterdir()] == ["count"]


def test_who_waits_says_so(tmp_path: Path, messages: list[str]) -> None:
    holder = process(HOLDER, tmp_path)
    assert holder.stdout is not None and holder.stdout.readline() == "True\n"
    waiter = process(WAITER, tmp_path)
    with pytest.raises(subprocess.TimeoutExpired):
        waiter.wait(1)
    holder.communicate("\n")
    said, warned = waiter.communicate()
    assert said == "in\n" and "another process is writing into" in warned
    with alone_in(tmp_path):
        pass
    assert not messages  # nobody to wait for


def test_who_waited_for_the_first_one_is_in_beside_the_others(tmp_path: Path) -> None:
    """Two that came while the first one read are both in before either leaves."""
    first = process(COMPANION, tmp_path)
    assert first.stdout is not None and first.stdout.readline() == "in\n"
    others = [process(COMPANION, tmp_path) for _ in range(2)]
    for other in others:
        assert other.stderr is not None and "somebody reads" in other.stderr.readline()
    first.communicate("\n")
    for other in others:
        assert other.stdout is not None and other.stdout.readline() == "in\n"
    for other in others:
        other.communicate("\n")
    assert not list(tmp_path.iterdir())


def test_a_place_without_room_for_a_lock_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match=r"cannot write .*file"), alone_in(tmp_path / "file"):
        pass


def test_company_is_refused_while_it_lasts(tmp_path: Path) -> None:
    with refused_company(tmp_path / "run", "training"):
        with (
            pytest.raises(InputError, match=r"another process is training in .*run; wait until it has finished"),
            refused_company(tmp_path / "run", "training"),
        ):
            pass
        assert (tmp_path / "run").is_dir()
    with refused_company(tmp_path / "run", "training"):
        pass
    assert not list((tmp_path / "run").iterdir())
