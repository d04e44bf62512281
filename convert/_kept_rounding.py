"""How the weights of a network are rounded together: steps from the nearest number, kept in a file beside a checkpoint.

The same for every format that keeps steps and means; each has its own grid and its own names of weights.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from . import _kept_arrays

MEAN = "mean of "  # begins the name of what a layer reads on average; the rest is its weight tensor
Steps = Mapping[str, np.ndarray]  # weight tensor -> int8, how many grid points away from the nearest
Means = Mapping[str, np.ndarray]  # weight tensor -> float32 (G, K): what the weights are multiplied with, on average


@dataclass(frozen=True)
class Rounding:
    steps: Steps
    means: Means = field(default_factory=dict)  # empty of what was kept before biases were corrected: they stay


def save(path: Path, rounding: Rounding, *, checkpoint_sha256: str, key: str) -> None:
    arrays = {**rounding.steps, **{MEAN + name: means for name, means in rounding.means.items()}}
    _kept_arrays.save(path, arrays, checkpoint_sha256=checkpoint_sha256, key=key)


def load(path: Path, *, checkpoint_sha256: str, key: str) -> Rounding | None:
    """The rounding kept for this checkpoint and graph, or None; InputError if the file is no rounding."""
    arrays = _kept_arrays.load(path, checkpoint_sha256=checkpoint_sha256, key=key)
    if arrays is None:
        return None
    means = {name.removeprefix(MEAN): values for name, values in arrays.items() if name.startswith(MEAN)}
    return Rounding({name: values for name, values in arrays.items() if not name.startswith(MEAN)}, means)
