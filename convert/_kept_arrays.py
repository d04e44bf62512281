"""Arrays that were measured for one checkpoint and graph, in a file beside the weights. The same for all formats."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from edge.errors import InputError
from edge.files import moved_into_place

MAX_BYTES = 2**30


def save(path: Path, arrays: Mapping[str, np.ndarray], *, checkpoint_sha256: str, key: str) -> None:
    with moved_into_place(path) as unfinished, unfinished.open("wb") as file:
        np.savez_compressed(file, **{f"{key}/{checkpoint_sha256}": np.zeros(0, np.int8)}, **arrays)  # type: ignore[arg-type]


def load(path: Path, *, checkpoint_sha256: str, key: str) -> dict[str, np.ndarray] | None:
    """The arrays kept for this checkpoint and graph, or None; InputError if the file is no rounding."""
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
            return {name: stored[name] for name in stored.files if name != f"{key}/{checkpoint_sha256}"}
    except (zipfile.BadZipFile, zlib.error, ValueError, EOFError, KeyError, OSError) as error:
        raise InputError(f"{path} is no rounding of weights ({error}); remove it and convert again") from error
