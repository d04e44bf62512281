"""Which photographs train, which are held back for the temperature, and which stay unseen."""

from __future__ import annotations

from dataclasses import dataclass

from edge.data.splits import check_disjoint, cut, patient_folds
from edge.data.table import UNKNOWN, PhotoSet
from edge.errors import InputError


@dataclass(frozen=True)
class Cut:
    train: PhotoSet
    held_back: PhotoSet  # training's own look at patients it does not learn from: curves and temperature
    unseen: PhotoSet  # for later judgement only


def check_split(*, folds: int, fold: int, held_back: float) -> None:
    """InputError for numbers that cut no set, whatever is in it."""
    if folds < 2:
        raise InputError(f"--folds is at least 2, got {folds}")
    if not 0 <= fold < folds:
        raise InputError(f"--fold is 0 to {folds - 1}, got {fold}")
    if not 0.02 <= held_back <= 0.5:
        raise InputError(f"--held-back is a share between 0.02 and 0.5, got {held_back}")


def cut_photos(photos: PhotoSet, *, folds: int, fold: int, held_back: float, seed: int) -> Cut:
    """Fold `fold` of `folds` stays unseen, a share `held_back` of the other patients is held back.

    Deterministic by seed. Raises InputError where a part would be empty or a class would have no
    photograph left to learn from.
    """
    check_split(folds=folds, fold=fold, held_back=held_back)
    outer = patient_folds(photos.targets, photos.patients, folds=folds, seed=seed)
    unseen, rest = cut(photos, outer == fold)
    inner = patient_folds(rest.targets, rest.patients, folds=round(1 / held_back), seed=seed + 1)
    aside, train = cut(rest, inner == 0)
    check_disjoint(train, aside, unseen)
    present = {photo.label for photo in photos.photos} - {UNKNOWN}
    absent = sorted(code for code in present if train.counts[code] == 0)
    if absent:
        raise InputError(f"no photograph of {', '.join(absent)} is left to train on; add photographs or drop the class")
    return Cut(train, aside, unseen)


def ids(photos: PhotoSet) -> dict[str, list[str]]:
    """What a checkpoint says of a part: patients and images, sorted."""
    return {
        "patients": sorted(set(photos.patients)),
        "images": sorted(photo.image_id for photo in photos.photos),
    }
