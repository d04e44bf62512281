"""What training runs wrote of the photographs that they never saw, brought together with the photographs themselves."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from edge.checkpoint import Checkpoint
from edge.data.table import PhotoSet
from edge.errors import InputError
from train._answer_figures import IMAGE, KINDS
from train._folder import UNSEEN, WITH_ANSWERS

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Unseen:
    """Photographs with the logits of the run that never saw their patients, all in the same order."""

    photos: PhotoSet  # with the checkpoint's classes
    logits: dict[str, Floats]  # kind of `train/_answer_figures.py` -> (N, K), calibrated; `image` is always there
    folds: int  # that the logits are of

    @property
    def targets(self) -> npt.NDArray[np.int64]:
        return np.array(self.photos.targets)

    @property
    def patients(self) -> list[str]:
        return self.photos.patients

    @property
    def answers(self) -> npt.NDArray[np.int64]:
        """The class that the picture alone gives, (N,)."""
        return self.logits[IMAGE].argmax(axis=1)


def unseen_of(folders: Sequence[Path], checkpoint: Checkpoint, sets: Sequence[PhotoSet]) -> Unseen:
    """The rows of runs' folders with the photographs of that set of `sets` that has them all.

    Logits with answers are there where every run wrote some. Raises InputError for a photograph that no set has or two
    runs have, and for rows of other classes than the checkpoint's.
    """
    codes = [label.code for label in checkpoint.labels]
    tables = {UNSEEN: {"logit": IMAGE}}
    if all((folder / WITH_ANSWERS).is_file() for folder in folders):
        tables[WITH_ANSWERS] = {kind: kind for kind in KINDS if kind != IMAGE}
    rows: dict[str, tuple[str, str]] = {}  # image -> patient and class
    numbers: dict[str, dict[str, list[float]]] = {}  # kind -> image -> logits
    for folder in folders:
        for table, kinds in tables.items():
            for row in rows_of(folder / table):
                image = row["image"]
                if table == UNSEEN and image in rows:
                    raise InputError(f"{image} is unseen in two runs, in {folder} again; expected folds of one split")
                rows.setdefault(image, (row["patient"], row["label"]))
                for column, kind in kinds.items():
                    numbers.setdefault(kind, {})[image] = logits_in(row, column, codes, folder / table)
    photos = photographs_of(rows, sets, checkpoint)
    images = [photo.image_id for photo in photos.photos]
    logits = {kind: np.array([by_image[image] for image in images]) for kind, by_image in numbers.items()}
    return Unseen(photos, logits, len(folders))


def rows_of(path: Path) -> list[dict[str, str]]:
    if not path.is_file():
        raise InputError(f"{path} is not there; training writes it into the folder of a finished run")
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def logits_in(row: dict[str, str], column: str, codes: Sequence[str], path: Path) -> list[float]:
    names = [f"{column}_{code}" for code in codes]
    missing = [name for name in names if name not in row]
    if missing:
        raise InputError(f"{path} has no column {missing[0]}; expected logits of the classes {', '.join(codes)}")
    return [float(row[name]) for name in names]


def photographs_of(rows: dict[str, tuple[str, str]], sets: Sequence[PhotoSet], checkpoint: Checkpoint) -> PhotoSet:
    """The photographs of these images, of the set that has most of them; InputError unless it has them all."""
    by_image = [{photo.image_id: photo for photo in photos.photos} for photos in sets]
    place = max(range(len(sets)), key=lambda n: len(rows.keys() & by_image[n].keys()))
    missing = sorted(rows.keys() - by_image[place].keys())
    if missing:
        raise InputError(
            f"{len(missing)} of the {len(rows)} photographs that the run judged are not in {sets[place].name}, first "
            f"{missing[0]}; give --data the photographs of the training"
        )
    own = [by_image[place][image] for image in rows]
    changed = [photo.image_id for photo in own if (photo.patient, photo.label) != rows[photo.image_id]]
    if changed:
        raise InputError(
            f"{changed[0]} and {len(changed) - 1} others have another patient or class in {sets[place].name} than in "
            "the run; give --data the photographs of the training"
        )
    return replace(sets[place], photos=tuple(own), classes=checkpoint.labels)
