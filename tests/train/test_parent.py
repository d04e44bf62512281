"""A fold ends with the search that started it, so that no two train in one folder."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from tests._sources import ROOT
from train._parent import ending_with_parent

PARENT = """
import subprocess, sys
from train._parent import ending_with_parent
child = subprocess.Popen(ending_with_parent([sys.executable, "-c", sys.argv[1]]))
child.wait()
"""
CHILD = "import time; print('begun', flush=True); time.sleep(60)"


@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not tell a process that its parent is gone")
def test_a_process_ends_when_the_one_that_started_it_is_killed() -> None:
    command = [sys.executable, "-c", PARENT, CHILD]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as parent:
        assert parent.stdout is not None and parent.stdout.readline() == "begun\n"
        parent.kill()
        assert parent.communicate(timeout=20) == ("", None)  # the child has its standard output, too


@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not tell a process that its parent is gone")
def test_the_command_gets_its_arguments_and_environment_and_gives_its_exit_code() -> None:
    program = "import os, sys; print(sys.argv[1:], os.environ['MINE'], sys.flags.isolated); sys.exit(3)"
    command = ending_with_parent([sys.executable, "-c", program, "--flag", "two words"])
    done = subprocess.run(command, env={**os.environ, "MINE": "kept"}, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (3, "['--flag', 'two words'] kept 0\n", "")


@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not tell a process that its parent is gone")
def test_it_does_not_begin_where_its_parent_is_gone_already() -> None:
    command = ending_with_parent([sys.executable, "-c", "print('begun')"])
    command[command.index(str(os.getpid()))] = "1"  # as if another process had adopted it
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (-signal.SIGKILL, "")


@pytest.mark.skipif(not hasattr(os, "register_at_fork"), reason="forks are of POSIX")
def test_no_process_is_forked_for_it(tmp_path) -> None:
    """JAX, which a conversion loads, warns of every fork, and a fork of a process with threads may hang."""
    from train._fold_runs import FoldRun, train_fold

    forked = []
    os.register_at_fork(before=lambda: forked.append(True))
    children: list[subprocess.Popen[bytes]] = []
    assert train_fold(FoldRun("none", ("--no-such-flag",), tmp_path / "fold"), {}, force=False, children=children) == 2
    assert len(children) == 1 and not forked
