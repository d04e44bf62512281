"""How long a file takes, here: milliseconds of this host, never a phone's."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from functools import partial

import numpy as np

from edge.progress import track
from edge.runtimes import Outputs, Runtime, joined

COARSE = sys.platform == "win32"  # where a process's time is counted in ticks of 16 ms, longer than an image takes
ROUNDS = 15  # of two files in turn
FEWEST_ROUNDS, ENOUGH_S = 5, 1.0  # slow files take fewer: no more rounds after so many seconds


def cores() -> int:
    """How many cores this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def timed_run(
    runtime: Runtime,
    images_u8: np.ndarray,
    *,
    task: str,
    answers: np.ndarray | None = None,
    own_process: bool = False,
) -> tuple[Outputs, float]:
    """What is said of uint8 (N, S, S, 3), and the median milliseconds of one image after a warm-up.

    `answers`: the second input, float32 (N, Q). `task` names the work to whoever listens to the progress.
    `own_process`: the runtime computes in this process, so that the time in which other programs had the processor can
    be left out: an image then takes its processor time where that is less than the time by the clock.
    """
    runtime.run(images_u8[:1])
    parts, times = [], []
    for number, image in enumerate(track(images_u8, task, len(images_u8))):
        second = None if answers is None else answers[number : number + 1]
        begun = clocks()
        parts.append(runtime.run(image[None], second))
        times.append(1e3 * seconds_since(begun, own_process=own_process))
    return joined(parts), float(np.median(times))


def ratio_in_turn(run: Callable[[int], object], other: Callable[[int], object], *, own_process: bool = False) -> float:
    """Time of `run` by that of `other`, which take turns, so that what else the machine does falls on both.

    The median over the rounds. Both get the round's number, and are called once before. `own_process`: as above.
    """
    ratios: list[float] = []
    for warm_up in (run, other):
        warm_up(0)
    first = time.perf_counter()
    for number in range(ROUNDS):
        times = []
        for call in (run, other):
            begun = clocks()
            call(number)
            times.append(seconds_since(begun, own_process=own_process))
        ratios.append(times[0] / max(times[1], 1e-9))
        if len(ratios) >= FEWEST_ROUNDS and time.perf_counter() - first > ENOUGH_S:
            break
    return float(np.median(ratios))


def time_ratio(runtime: Runtime, other: Runtime, images_u8: np.ndarray, *, own_process: bool = False) -> float:
    """Time of an image in one file by that in `other`, in turn; uint8 (N, S, S, 3), one after the other."""

    def run(file: Runtime, number: int) -> None:
        file.run(images_u8[number % len(images_u8)][None])

    return ratio_in_turn(partial(run, runtime), partial(run, other), own_process=own_process)


def clocks() -> tuple[float, float]:
    """Seconds by the clock, and of this process on the processor."""
    return time.perf_counter(), time.process_time()


def seconds_since(begun: tuple[float, float], *, own_process: bool) -> float:
    clock, processor = (now - then for now, then in zip(clocks(), begun, strict=True))
    return min(processor, clock) if own_process and not COARSE else clock
