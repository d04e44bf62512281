"""The file beside a checkpoint that keeps how its weights are rounded and what its layers read on average."""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path

import numpy as np

from edge.errors import InputError
from edge.files import moved_into_place

from .rounding import Rounding

MAX_BYTES = 2**30
MEAN = "mean of "  # begins the name of what a layer reads on average; the rest is its weight tensor


def beside(checkpoint: Path) -> Path:
    """Where the rounding of a checkpoint's weights is kept."""
    return checkpoint.with_suffix(".rounding.npz")


def save(path: Path, rounding: Rounding, *, checkpoint_sha256: str, key: str) -> None:
    arrays = {**rounding.steps, **{MEAN + name: means for name, means in rounding.means.items()}}
    with moved_into_place(path) as unfinished, unfinished.open("wb") as file:
        np.savez_compressed(file, **{f"{key}/{checkpoint_sha256}": np.zeros(0, np.int8)}, **arrays)  # type: ignore[arg-type]


def load(path: Path, *, checkpoint_sha256: str, key: str) -> Rounding | None:
    """The rounding kept for this checkpoint and graph, or None; InputError if the file is no rounding."""
    if not path.is_file():
        return None
    try:
        with zipfile.ZipFile(path) as archive:
            total = sum(entry.file_size for entry in archive.infolist())
        if total > MAX_BYTES:
            raise InputError(f"{path} unpacks to {total} bytes, more than {MAX_BYTES}; remove it")
        with np.load(path, allow_pickle=False) as stored:
            if f"{key}/{checkpoint_sha256}" not in stored.files:
                return None
            arrays = {name: stored[name] for name in stored.files if name != f"{key}/{checkpoint_sha256}"}
    except (zipfile.BadZipFile, zlib.error, ValueError, EOFError, KeyError, OSError) as error:
        raise InputError(f"{path} is no rounding of weights ({error}); remove it and convert again") from error
    means = {name.removeprefix(MEAN): values for name, values in arrays.items() if name.startswith(MEAN)}
    return Rounding({name: values for name, values in arrays.items() if not name.startswith(MEAN)}, means)
