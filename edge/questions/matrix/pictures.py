"""The pictures that files are run on: any folder's, or the photographs at hand, or drawn ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edge.capture import SUFFIXES, read_photo
from edge.data.selection import find_sets
from edge.errors import InputError
from edge.preprocess import to_input
from edge.progress import track


@dataclass(frozen=True)
class Pictures:
    """Paths of pictures, and what to say of them."""

    name: str
    paths: tuple[Path, ...]
    synthetic: bool
    note: str


def pictures_in(folder: Path | None, count: int) -> Pictures:
    """At most `count` pictures, spread evenly over the sorted names; InputError where there is none.

    `folder` None: the photographs in the folder that DERMEDGE_PHOTOS names, else the synthetic sample.
    """
    if folder is None:
        photos = find_sets(None)[0]
        paths = sorted(photo.path for photo in photos.photos)
        note = "; ".join(photos.notes)
        return Pictures(photos.name, spread(paths, count), photos.synthetic, note)
    if not folder.is_dir():
        raise InputError(f"{folder} is no folder; the pictures are in a folder with pictures")
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file())
    if not paths:
        raise InputError(f"{folder} holds no picture; known endings are {', '.join(sorted(SUFFIXES))}")
    return Pictures(folder.resolve().name, spread(paths, count), False, f"{len(paths)} pictures in the folder")


def spread(paths: Sequence[Path], count: int) -> tuple[Path, ...]:
    chosen = np.unique(np.linspace(0, len(paths) - 1, min(count, len(paths))).round().astype(int))
    return tuple(paths[number] for number in chosen)


def read(pictures: Pictures, height: int, width: int) -> np.ndarray:
    """uint8 (N, height, width, 3): the square crop of each, scaled to the longer side; of that the middle."""
    side = max(height, width)
    top, left = (side - height) // 2, (side - width) // 2
    squares = [
        to_input(read_photo(path), side)[top : top + height, left : left + width]
        for path in track(pictures.paths, f"reading {pictures.name}", len(pictures.paths))
    ]
    return np.stack(squares)
