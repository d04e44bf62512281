"""The pictures that files are run on: any folder's, or the photographs at hand, or drawn ones."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edge import artifact
from edge.build import open_build
from edge.capture import SUFFIXES, read_photo
from edge.data.identity import patient_key
from edge.data.selection import Photographs, find_sets, unseen
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


def photographs_in(data: Photographs, count: int, folders: Iterable[Path]) -> Pictures:
    """As `pictures_in`, of data sets: no augmented copies, and nobody whom a network saw of which `folders` tell.

    `folders`: where the files lie, with our manifest or without. Raises InputError where a set cannot be read, or one
    of the networks saw everybody in it.
    """
    folders = set(folders)
    ours = sorted(folder for folder in folders if (folder / artifact.MANIFEST).is_file())
    sets = [part.natural() for part in find_sets(data)]
    for checkpoint in [open_build(folder).checkpoint for folder in ours]:
        sets = [unseen(part, checkpoint) for part in sets]
    photos = [photo for part in sets for photo in part.photos]
    if not photos:
        raise InputError("no photograph is left to look at: the networks saw every patient, or the sets are empty")
    note = f"{len(photos)} photographs of {len({patient_key(photo) for photo in photos})} patients"
    if ours:
        note += f" that no network of {', '.join(folder.name for folder in ours)} saw"
    if len(ours) < len(folders):
        note += "; which of them taught the other networks is not known" if ours else "; who taught it is not known"
    return Pictures(
        " + ".join(part.name for part in sets),
        spread([photo.path for photo in photos], count),
        any(part.synthetic for part in sets),
        "; ".join([note, *(text for part in sets for text in part.notes)]),
    )


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
