"""Memory that training frees and takes again in the next step stays with the process meanwhile.

glibc gives blocks above 32 MiB back to the system when they are freed, and the end of its heap when enough of it is
free; the system clears every page before it hands it out again. A step of hierattn_xs at 256 pixels in float32, 16
photographs, spent a third of its processor time on that (x86-64, glibc 2.36; docs/training.md, Speed).
"""

from __future__ import annotations

import ctypes
import os
from contextlib import AbstractContextManager

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, M_MMAP_MAX = -1, -3, -4  # of glibc's malloc.h
NEVER = -1  # as mallopt(3) has it for the trim threshold
# glibc adapts the first two to the blocks that it sees, until it is told one of them; these are where that ends with
# blocks as large as those of training
USUAL = {M_MMAP_MAX: 65536, M_MMAP_THRESHOLD: 32 * 2**20, M_TRIM_THRESHOLD: 64 * 2**20}
OWN_SETTINGS = ("MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_", "MALLOC_MMAP_MAX_")  # of who starts the process


class KeptMemory(AbstractContextManager):
    """In this block nothing that is freed goes back to the system; at its end, what is free does.

    Only with glibc, and where the environment has no settings of its own for it; elsewhere nothing happens. Blocks may
    lie inside one another: the outermost counts.
    """

    _depth = 0

    def __init__(self) -> None:
        self.libc = None if is_set_by_user() else glibc()

    def __enter__(self) -> KeptMemory:
        if self.libc and not KeptMemory._depth:
            self.libc.mallopt(M_MMAP_MAX, 0)
            self.libc.mallopt(M_TRIM_THRESHOLD, NEVER)
        KeptMemory._depth += 1
        return self

    def __exit__(self, *exception: object) -> None:
        KeptMemory._depth -= 1
        if self.libc and not KeptMemory._depth:
            for setting, value in USUAL.items():
                self.libc.mallopt(setting, value)
            self.libc.malloc_trim(0)


def is_set_by_user() -> bool:
    return any(name in os.environ for name in OWN_SETTINGS) or "glibc.malloc" in os.environ.get("GLIBC_TUNABLES", "")


def glibc() -> ctypes.CDLL | None:
    """The C library of this process, where it is glibc."""
    try:
        libc = ctypes.CDLL(None)
    except (OSError, TypeError):
        return None
    return libc if hasattr(libc, "gnu_get_libc_version") else None
