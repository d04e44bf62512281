"""How long another program may take before it counts as hung, and what is said then."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

from edge.errors import InputError

PROBE_S = 300.0  # for a program that says in seconds whether it starts, on a busy machine or an emulated processor
INSTALL_S = 3600.0  # for pip or npm; gigabytes over a slow line


@contextmanager
def in_time(program: str) -> Iterator[None]:
    """InputError that names the program where `subprocess.run` in this block reached its `timeout` and ended it."""
    try:
        yield
    except subprocess.TimeoutExpired as error:
        raise InputError(f"{program} did not finish within {error.timeout:.0f} s; try again") from error
