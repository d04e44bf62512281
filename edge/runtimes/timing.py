"""How long a file takes, here: milliseconds of this host, never a phone's."""

from __future__ import annotations

import os
import time

import numpy as np

from edge.progress import track
from edge.runtimes import Outputs, Runtime, joined


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
        begun, begun_processor = time.perf_counter(), time.process_time()
        parts.append(runtime.run(image[None], second))
        processor, clock = time.process_time() - begun_processor, time.perf_counter() - begun
        times.append(1e3 * (min(processor, clock) if own_process else clock))
    return joined(parts), float(np.median(times))
