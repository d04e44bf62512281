"""A fold ends with the search that started it, so that no two train in one folder."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests._sources import ROOT

PARENT = """
import subprocess, sys
from train._parent import ends_with_parent
child = subprocess.Popen([sys.executable, "-c", sys.argv[1]], preexec_fn=ends_with_parent())
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
