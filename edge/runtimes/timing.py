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


def timed_run(runtime: Runtime, images_u8: np.ndarray, *, task: str) -> tuple[Outputs, float]:
    """The answers to uint8 (N, S, S, 3), and the median milliseconds of one image after a warm-up.

    `task` names the work to whoever listens to the progress.
    """
    runtime.run(images_u8[:1])
    parts, times = [], []
    for image in track(images_u8, task, len(images_u8)):
        begun = time.perf_counter()
        parts.append(runtime.run(image[None]))
        times.append(1e3 * (time.perf_counter() - begun))
    return joined(parts), float(np.median(times))
