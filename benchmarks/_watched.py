"""What a command and its processes take: time, and memory by the account of Linux."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from edge.errors import InputError

TICK_S = 0.1
MB = 2**20


@dataclass(frozen=True)
class Watched:
    """One run of the command."""

    seconds: float
    processor_seconds: float  # of all its processes that it waited for
    most_bytes: int  # anonymous and shared memory of all its processes together, at the worst moment that was seen
    upper_bytes: int  # sum of the most that each process ever had in memory, pages of files included
    processes: int
    killed: bool


def watched(command: Sequence[str], *, until: Callable[[], bool] | None = None, codes: Sequence[int] = (0,)) -> Watched:
    """Run it in a session of its own, and kill that as soon as `until` is true.

    Raises InputError where it ends by itself with a code that is none of `codes`, and without /proc.
    """
    if not Path("/proc/self/status").is_file():
        raise InputError("memory is read from /proc, which Linux has")
    start, before, most, upper, killed = time.monotonic(), processor_seconds(), 0, dict[int, int](), False
    process = subprocess.Popen(command, start_new_session=True, stdout=subprocess.DEVNULL)
    try:
        while process.poll() is None:
            held = 0
            for pid in session(process.pid):
                fields = status(pid)
                held += fields.get("RssAnon", 0) + fields.get("RssShmem", 0)
                upper[pid] = max(upper.get(pid, 0), fields.get("VmHWM", 0))
            most = max(most, held)
            if until is not None and until():
                killed = True
                break
            time.sleep(TICK_S)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    if process.returncode not in codes and not killed:
        raise InputError(f"the command failed with {process.returncode}; see what it printed above")
    seconds = time.monotonic() - start
    return Watched(seconds, processor_seconds() - before, most, sum(upper.values()), len(upper), killed)


def processor_seconds() -> float:
    """Of all processes that this one has waited for."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def session(leader: int) -> list[int]:
    """The processes of a session."""
    own = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                fields = (folder / "stat").read_text().rpartition(")")[2].split()  # the name may have blanks
            except OSError:
                continue
            if int(fields[3]) == leader:
                own.append(int(folder.name))
    return own


def status(pid: int) -> dict[str, int]:
    """Fields of /proc/PID/status that are in kB, in bytes; none of a process that has ended."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return {}
    fields = (line.split() for line in lines if line.endswith(" kB"))
    return {name.rstrip(":"): int(value) * 1024 for name, value, _ in fields}
