"""Processes that are told to stop when the one that started them is killed, as Linux can do it.

Started as a file it becomes the command that it is handed. `preexec_fn` would do without that step, and forks: that may
hang where other threads run, and libraries that notice a fork complain of it.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from collections.abc import Sequence

PR_SET_PDEATHSIG = 1  # linux/prctl.h


def ending_with_parent(command: Sequence[str]) -> list[str]:
    """The command, as one whose process gets SIGTERM when this one ends; as it is where the system is not Linux.

    The system takes the end of the thread that started it for the end of its parent: that thread has to wait for it.
    """
    if sys.platform != "linux":
        return list(command)
    return [sys.executable, "-I", "-S", __file__, str(os.getpid()), *command]


def become(parent: int, command: Sequence[str]) -> None:
    """Run the command in place of this process, if `parent` is still the one that started it."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, ctypes.c_ulong(signal.SIGTERM))
    if os.getppid() != parent:  # it was killed before
        os.kill(os.getpid(), signal.SIGKILL)  # whatever signals it was told to ignore
    os.execv(command[0], list(command))


if __name__ == "__main__":
    become(int(sys.argv[1]), sys.argv[2:])
