"""Processes that are told to stop when the one that started them is killed, as Linux can do it."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from collections.abc import Callable

PR_SET_PDEATHSIG = 1  # linux/prctl.h


def ends_with_parent() -> Callable[[], None] | None:
    """What a new process calls before its program, so that it gets SIGTERM when this one ends; None if not on Linux.

    The system takes the end of the thread that started it for the end of its parent: that thread has to wait for it.
    """
    if sys.platform != "linux":
        return None
    library, parent = ctypes.CDLL(None), os.getpid()  # opened here, since little is safe between fork and exec

    def begin() -> None:
        library.prctl(PR_SET_PDEATHSIG, ctypes.c_ulong(signal.SIGTERM))
        if os.getppid() != parent:  # it was killed before
            os.kill(os.getpid(), signal.SIGKILL)  # Python would hold back others until the program has begun

    return begin
