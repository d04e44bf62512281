"""Times and memory: every file in a process of its own, one inference of each per round."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from edge.errors import InputError
from edge.progress import track

WARM_UP = 5  # rounds that are not counted
WORKER = Path(__file__).with_name("worker.py")


@dataclass
class Measured:
    """What one file took with one number of threads."""

    milliseconds: list[float] = field(default_factory=list)  # one per round
    memory_before: int = 0  # bytes, high-water mark of the process before it opened the file
    memory: int = 0  # bytes, likewise at its end


def timed(files: Mapping[str, Path], threads: int, rounds: int) -> dict[str, Measured]:
    """Every file in every round, in the same order, with a progress bar.

    Interleaved, so that a machine that slows down slows all of them down.
    """
    pipe = subprocess.PIPE
    workers = {
        name: subprocess.Popen([sys.executable, WORKER, path, str(threads)], stdin=pipe, stdout=pipe, text=True)
        for name, path in files.items()
    }
    measured = {name: Measured() for name in files}
    try:
        for number in track(range(rounds + WARM_UP), f"rounds, {threads} thread(s)", rounds + WARM_UP):
            for name, process in workers.items():
                milliseconds = once(name, process)
                if number >= WARM_UP:
                    measured[name].milliseconds.append(milliseconds)
    finally:  # closes their input, at which they say what memory they took, and end
        last = {name: process.communicate()[0].split() for name, process in workers.items()}
    for name, words in last.items():
        measured[name].memory_before, measured[name].memory = (int(word) for word in words)
    return measured


def once(name: str, process: subprocess.Popen[str]) -> float:
    """Milliseconds of one inference."""
    assert process.stdin and process.stdout
    try:
        process.stdin.write("\n")
        process.stdin.flush()
        return float(process.stdout.readline())
    except (BrokenPipeError, ValueError) as error:
        raise InputError(f"{name}: the process that runs this file ended; its last words are in the log") from error
