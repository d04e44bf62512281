"""Splits in which no patient is on both sides."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence

import numpy as np

from edge.data.table import PhotoSet
from edge.errors import InputError


def patient_folds(targets: Sequence[int], patients: Sequence[str], *, folds: int, seed: int) -> np.ndarray:
    """The fold (0 .. folds-1) of each photograph, int64 (N,): stratified by class, a patient in one fold only.

    Raises InputError with fewer patients than folds, or no class with as many photographs.
    """
    from sklearn.model_selection import StratifiedGroupKFold

    if folds < 2 or len(set(patients)) < folds:
        raise InputError(
            f"cannot cut {len(set(patients))} patients into {folds} folds; need at least 2 folds and as many patients"
        )
    if not 0 <= seed < 2**32:
        raise InputError(f"a seed is 0 to {2**32 - 1}, got {seed}")
    _, labels = np.unique(np.asarray(targets), return_inverse=True)  # from 0, also where classes are unknown (-1)
    if np.bincount(labels).max() < folds:
        raise InputError(f"no class has {folds} photographs, one for each fold; add photographs or lower `folds`")
    fold_of = np.full(len(labels), -1, dtype=np.int64)
    splitter = StratifiedGroupKFold(n_splits=folds, shuffle=True, random_state=seed)
    with warnings.catch_warnings():  # a class with fewer photographs than folds is missing in some, as expected
        warnings.filterwarnings("ignore", "The least populated class", UserWarning)
        for fold, (_, chosen) in enumerate(splitter.split(np.zeros(len(labels)), labels, groups=np.asarray(patients))):
            fold_of[chosen] = fold
    return fold_of


def cut(photos: PhotoSet, chosen: Iterable[bool]) -> tuple[PhotoSet, PhotoSet]:
    """(chosen, rest), after `check_disjoint`."""
    flags = dict(zip((photo.image_id for photo in photos.photos), chosen, strict=True))
    inside = photos.where(lambda photo: bool(flags[photo.image_id]))
    outside = photos.where(lambda photo: not flags[photo.image_id])
    check_disjoint(inside, outside)
    return inside, outside


def check_disjoint(*parts: PhotoSet) -> None:
    """InputError if a patient of one part is in another one too."""
    seen: dict[str, int] = {}
    for number, part in enumerate(parts):
        for patient in set(part.patients):
            if seen.setdefault(patient, number) != number:
                raise InputError(
                    f"patient {patient} is on both sides of a split of {part.name}; "
                    "a model judged on it would have seen the answer. Split by patient."
                )
