"""What processes do with one photograph at a time: reduce it, and write it and its copies as squares."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from threading import Thread
from typing import Protocol, TypeVar

import numpy as np
from PIL import Image

from edge.capture import read_photo
from edge.preprocess import to_input
from edge.progress import track

from .augmented import copy_of

T = TypeVar("T")
R = TypeVar("R")

QUALITY = 95  # of the JPEG files, without reduced colours
CHUNK = 4  # photographs that a process is handed at a time


def reduced(work: tuple[Sequence[Path], int]) -> np.ndarray:
    """uint8 (N, side, side, 3) of photographs: what a model of that input would see."""
    paths, side = work
    return np.stack([to_input(read_photo(path), side) for path in paths])


def write_squares(work: tuple[Path, str, Sequence[tuple[int, Path]], int, int, Path]) -> None:
    """Write the squares of a photograph that are not there yet: source, image id, [(copy, target)], side, seed, aside.

    `aside`: a folder of the same disk for the file that is being written. A process that is killed leaves it there.
    """
    source, name, targets, side, seed, aside = work
    lacking = [(copy, target) for copy, target in targets if not target.exists()]
    if not lacking:
        return
    square = to_input(read_photo(source), side)
    unfinished = aside / f"{os.getpid()}.jpg"
    for copy, target in lacking:
        target.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(copy_of(square, name, copy, seed)).save(unfinished, "JPEG", quality=QUALITY, subsampling=0)
        os.replace(unfinished, target)


class Each(Protocol):
    """Results in the order of `items`; `task` names the work to whoever listens to the progress."""

    def __call__(self, function: Callable[[T], R], items: Sequence[T], task: str, /) -> Iterator[R]: ...


def end_with_parent() -> None:
    """Have this process end when the one that started it was killed: it would wait for work for ever."""
    parent = multiprocessing.parent_process()

    def wait() -> None:
        if parent is not None:
            parent.join()
            signal.raise_signal(signal.SIGTERM)

    Thread(target=wait, daemon=True).start()


@contextmanager
def workers(number: int) -> Iterator[Each]:
    """A function that has so many processes do what it is asked; this one where it is 1."""
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(number, mp_context=context, initializer=end_with_parent) if number > 1 else None

    def each(function: Callable[[T], R], items: Sequence[T], task: str, /) -> Iterator[R]:
        results = pool.map(function, items, chunksize=CHUNK) if pool else map(function, items)
        return track(results, task, len(items))

    try:
        yield each
    finally:
        if pool:  # what is begun is finished, so that no file is half-written
            pool.shutdown(cancel_futures=True)
