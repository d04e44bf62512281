"""What there is in a data set and how its patient-level folds come out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edge.data.near_copies import notes_on_near_copies
from edge.data.splits import patient_folds
from edge.data.squares import load_squares
from edge.data.table import PhotoSet
from edge.labels import Label
from edge.progress import Listener, listening

from ._sets import Source, open_set


@dataclass(frozen=True)
class ClassCount:
    label: Label
    images: int
    by_fold: tuple[int, ...]  # images in each fold


@dataclass(frozen=True)
class Overview:
    photos: PhotoSet  # those that could be read
    patients: int
    folds: int
    classes: tuple[ClassCount, ...]
    sha256: str


def overview(
    data: Source,
    *,
    folds: int = 5,
    seed: int = 0,
    side: int = 256,
    skip_unreadable: bool = False,
    on_progress: Listener | None = None,
) -> Overview:
    """Read a set, whose squares of `side` pixels are cached on the way, and count.

    Raises InputError where it is none, cannot be read, or has fewer patients than `folds`.
    """
    with listening(on_progress):
        photos = open_set(data, skip_missing=skip_unreadable)
        photos, squares = load_squares(photos, side, skip_unreadable=skip_unreadable, enlarged=True)
        photos = photos.with_notes(notes_on_near_copies(photos.photos, squares, side))
        fold_of, targets = patient_folds(photos.targets, photos.patients, folds=folds, seed=seed), photos.targets
        return Overview(
            photos,
            len(set(photos.patients)),
            folds,
            tuple(
                count(label, np.array(targets) == number, fold_of, folds) for number, label in enumerate(photos.classes)
            ),
            photos.sha256(),
        )


def count(label: Label, own: np.ndarray, fold_of: np.ndarray, folds: int) -> ClassCount:
    """`own` is bool (N,), `fold_of` the fold of each photograph (N,)."""
    return ClassCount(label, int(own.sum()), tuple(int((own & (fold_of == fold)).sum()) for fold in range(folds)))
