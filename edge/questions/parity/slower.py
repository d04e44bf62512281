"""Whether an 8-bit file is slower than its float file in a phone's own library, which old releases make it."""

from __future__ import annotations

from contextlib import closing
from functools import partial
from time import perf_counter

import numpy as np

from edge.build import Build
from edge.manifest import FileEntry
from edge.progress import track
from edge.runtimes.browser import Browser
from edge.runtimes.litert import LiteRT
from edge.runtimes.phone import Refused, choice_of

FLOAT = "fp32"
WARM_UP, ROUNDS = 2, 7
SLOWER = 1.1  # times the float file's time; nearer ones are noise


def times_fp32(build: Build, entry: FileEntry, mode: str, square: np.ndarray) -> float | None:
    """Median over interleaved rounds of the file's time by that of the build's fp32 file, in the library `mode`.

    `square`: uint8 (S, S, 3). None where it says nothing of phones: on an emulated processor, for the fp32 file, and
    in a build without one or with one that this library refuses.
    """
    peers = [
        peer
        for peer in build.manifest.files
        if (peer.format, peer.recipe, peer.answers) == (entry.format, FLOAT, False)
    ]
    if choice_of(mode).emulated or entry.recipe == FLOAT or not peers:
        return None
    open_it = partial(LiteRT, mode=mode)
    try:
        fp32 = open_it(build.path(peers[0]))
    except Refused:
        return None
    with closing(fp32) as peer, closing(open_it(build.path(entry))) as file:
        ratios = []
        for _ in track(range(WARM_UP + ROUNDS), f"time of {entry.recipe} on {mode}", WARM_UP + ROUNDS):
            ratios.append(seconds(file, square) / seconds(peer, square))
    return float(np.median(ratios[WARM_UP:]))


def seconds(runtime: LiteRT, square: np.ndarray) -> float:
    """Of one picture: processor time of the library's process, which other work on this machine does not lengthen."""
    clock = getattr(runtime.engine, "processor_seconds", perf_counter)
    begun = clock()
    runtime.run(square[None])
    if isinstance(runtime.engine, Browser):  # the way to the page and back takes longer than the run
        return runtime.engine.milliseconds / 1000
    return clock() - begun
