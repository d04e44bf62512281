"""The file beside a checkpoint that keeps how its weights are rounded and what its layers read on average."""

from __future__ import annotations

from pathlib import Path

from .. import _kept_arrays
from .rounding import Rounding

MEAN = "mean of "  # begins the name of what a layer reads on average; the rest is its weight tensor


def beside(checkpoint: Path) -> Path:
    """Where the rounding of a checkpoint's weights is kept."""
    return checkpoint.with_suffix(".rounding.npz")


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
