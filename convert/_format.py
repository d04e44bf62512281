"""What a file format has to bring, and what is known of a file once it was judged."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from edge.checkpoint import Checkpoint
from edge.data.table import PhotoSet
from edge.runtimes import Found, joined


@dataclass(frozen=True)
class Source:
    """What is converted and what the files are judged on."""

    checkpoint: Checkpoint
    photos: PhotoSet
    images: np.ndarray  # uint8 (N, S, S, 3) RGB
    reference: Found  # what the float32 torch model says of the images
    data: Path | None  # where --data pointed
    path: Path  # of the checkpoint's weights
    folder: Path  # that is written to
    skip_unreadable: bool = False
    measure_again: bool = False  # what was kept of earlier measurements is not used
    fine_tune: int = 0  # epochs for palettes (Core ML)


@dataclass(frozen=True)
class Judged:
    """One converted file and what was found."""

    recipe: str
    path: Path
    rejected: bool  # a binding gate failed
    verdict: str  # pass, fail, inconclusive, reported; of a file that cannot be run here: checked
    parity: dict | None = None  # the manifest's `parity`
    milliseconds: float | None = None  # on this host, median, one thread
    remarks: tuple[str, ...] = ()  # what fell short, in words
    audit: dict | None = None  # the manifest's `audit`
    fine_tuned: dict | None = None  # the manifest's `fine_tuned`
    self_test: Found | None = None  # what it says of the self-test images


class Format(Protocol):
    suffix: str

    def entry(self, recipe: str) -> dict:
        """`format` and `input` of the manifest."""

    def prepare(self, source: Source, recipes: list[str]) -> str:
        """What all recipes share, done once; returns a line for the screen."""

    def convert(self, source: Source, recipe: str, target: Path, manifest: dict) -> None:
        """Write one recipe to `target`."""

    def judge(self, source: Source, recipe: str, path: Path, test_images: np.ndarray, *, strict: bool) -> Judged:
        """Open what was written and compare it with the model."""


class Runtime(Protocol):
    def run_all(self, images_u8: np.ndarray) -> Found: ...


def timed_run(runtime: Runtime, images: np.ndarray) -> tuple[Found, float]:
    """The answers, and the median milliseconds of one image after a warm-up. This host's, not a phone's."""
    runtime.run_all(images[:1])
    rows, times = [], []
    for image in images:
        begun = time.perf_counter()
        rows.append(runtime.run_all(image[None]))
        times.append(1e3 * (time.perf_counter() - begun))
    return joined(rows), float(np.median(times))
