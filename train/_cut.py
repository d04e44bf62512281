"""Which photographs train, which are held back for the temperature, and which stay unseen."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from edge.data.identity import patient_key
from edge.data.splits import check_disjoint, cut, patient_folds
from edge.data.table import UNKNOWN, PhotoSet
from edge.errors import InputError

ROLES = ("train", "held_back", "unseen")


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
    try:
        outer = patient_folds(photos.targets, photos.patients, folds=folds, seed=seed)
    except InputError as error:
        raise InputError(f"{photos.name}, --folds {folds}: {error}") from error
    unseen, rest = cut(photos, outer == fold)
    inner_folds = round(1 / held_back)
    try:
        inner = patient_folds(rest.targets, rest.patients, folds=inner_folds, seed=seed + 1)
    except InputError as error:
        raise InputError(f"{photos.name}, --held-back {held_back:g} is one part of {inner_folds}: {error}") from error
    aside, train = cut(rest, inner == 0)
    check_disjoint(train, aside, unseen)
    present = {photo.label for photo in photos.photos} - {UNKNOWN}
    absent = sorted(code for code in present if train.counts[code] == 0)
    if absent:
        raise InputError(f"no photograph of {', '.join(absent)} is left to train on; add photographs or drop the class")
    return Cut(train, aside, unseen)


def cut_sets(sets: Sequence[PhotoSet], *, folds: int, fold: int, held_back: float, seed: int) -> list[Cut]:
    """`cut_photos` of each set, no patient in two parts of any. A set without a class is learned from as a whole.

    Who is in two sets stays in the part of the earlier one; what a later set has of them in another part is left out.
    Raises InputError where nothing would be left to learn from.
    """
    cuts: list[Cut] = []
    earlier = {role: set[str]() for role in ROLES}
    for photos in sets:
        if any(photo.label != UNKNOWN for photo in photos.photos):
            one = cut_photos(photos, folds=folds, fold=fold, held_back=held_back, seed=seed)
        else:  # nothing is judged on it
            nobody = replace(photos, photos=())
            one = Cut(photos, nobody, nobody)
        parts = {}
        for role in ROLES:
            others = set[str]().union(*(keys for other, keys in earlier.items() if other != role))
            parts[role] = getattr(one, role).where(lambda photo, others=others: patient_key(photo) not in others)
        if not parts["train"].photos:
            raise InputError(f"every patient of {photos.name} is kept apart in another set; leave it out of --also")
        for role, part in parts.items():
            earlier[role] |= {patient_key(photo) for photo in part.photos}
        cuts.append(Cut(**parts))
    return cuts


def by_domain(parts: Iterable[PhotoSet]) -> dict[str, dict[str, list[str]]]:
    """What a checkpoint says of the same part of several sets: data set -> patients and images, sorted."""
    found: dict[str, list[PhotoSet]] = {}
    for part in parts:
        if part.photos:
            found.setdefault(part.photos[0].domain, []).append(part)
    return {domain: ids(*some) for domain, some in found.items()}


def ids(*parts: PhotoSet) -> dict[str, list[str]]:
    """Patients and images, sorted."""
    return {
        "patients": sorted({patient for part in parts for patient in part.patients}),
        "images": sorted(photo.image_id for part in parts for photo in part.photos),
    }
