"""Several ways of doing one task, timed round by round in one process, so that a slow moment affects all of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from edge.progress import track

WARM_UP = 3  # rounds that do not count
Way = Callable[[np.ndarray], object]


def timed(ways: Mapping[str, Way], image: np.ndarray, rounds: int, doing: str) -> dict[str, list[float]]:
    """Milliseconds of each way in every round that counts."""
    times: dict[str, list[float]] = {name: [] for name in ways}
    for number in track(range(WARM_UP + rounds), doing, WARM_UP + rounds):
        for name, way in ways.items():
            begun = time.perf_counter()
            way(image)
            if number >= WARM_UP:
                times[name].append(1e3 * (time.perf_counter() - begun))
    return times


def summary(times: Sequence[float], peer: Sequence[float]) -> dict[str, float]:
    """Median, half the distance of the quartiles, and the ratio to the peer's median."""
    low, middle, high = np.percentile(times, [25, 50, 75])
    return {"ms": float(middle), "spread": float(high - low) / 2, "ratio": float(middle / np.median(peer))}
