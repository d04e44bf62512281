"""Many drawn JPEG files for studies of time and memory; they say nothing of skin."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import cv2
import numpy as np

QUALITY = 90
COARSE = (18, 24)  # rows and columns of the blotches
GRAIN = 14  # levels


def draw_all(paths: Sequence[Path], width: int, height: int, jobs: int) -> None:
    """Soft blotches with grain, each file other ones by its place in `paths`."""
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
        for _ in pool.map(draw_one, ((path, width, height, seed) for seed, path in enumerate(paths)), chunksize=64):
            pass


def draw_one(work: tuple[Path, int, int, int]) -> None:
    path, width, height, seed = work
    rng = np.random.default_rng(seed)
    soft = cv2.resize(rng.integers(40, 220, (*COARSE, 3), np.uint8), (width, height), interpolation=cv2.INTER_CUBIC)
    tile = rng.integers(0, GRAIN, (256, 256, 3), np.uint8)
    grain = np.tile(tile, (-(-height // 256), -(-width // 256), 1))[:height, :width]
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), cv2.add(soft, grain), [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
