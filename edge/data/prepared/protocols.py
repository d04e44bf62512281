"""Which photographs and copies are in which fold: as published, and soundly."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from edge.data.splits import patient_folds
from edge.data.table import PhotoSet
from edge.files import moved_into_place
from edge.progress import track

from .forest import quiet
from .hardness import chances, easiest

Item = tuple[int, int]  # place of a photograph in its set, and the number of its copy; 0: itself


@dataclass(frozen=True)
class Fold:
    train: tuple[Item, ...]
    test: tuple[Item, ...]


def published(
    photos: PhotoSet, pixels: np.ndarray, *, per_class: int, folds: int, seed: int, folder: Path, jobs: int = 1
) -> list[Fold]:
    """All classes are cut down and filled up to `per_class` first; then photographs, with their copies, go into folds.

    `pixels`: uint8 (N, ...) of the photographs, by which hardness is told; what was told is kept in `folder`. Patients
    are in several folds.
    """
    from sklearn.model_selection import StratifiedKFold

    targets = np.array(photos.targets)
    own = kept(folder / "chances.npy", partial(chances, pixels, targets, None, seed=seed, jobs=jobs))
    items = balanced(photos, np.arange(len(photos)), own, per_class=per_class, seed=seed)
    originals = sorted({place for place, _ in items})
    fold_of: dict[int, int] = {}
    splitter = StratifiedKFold(folds, shuffle=True, random_state=seed)
    with quiet():
        for fold, (_, judged) in enumerate(splitter.split(originals, targets[originals])):
            fold_of |= {originals[row]: fold for row in judged}
    return [
        Fold(
            tuple(item for item in items if fold_of[item[0]] != fold),
            tuple(item for item in items if fold_of[item[0]] == fold),
        )
        for fold in range(folds)
    ]


def sound(
    photos: PhotoSet, pixels: np.ndarray, *, per_class: int, folds: int, seed: int, folder: Path, jobs: int = 1
) -> list[Fold]:
    """Patients go into folds first; the training part of each is balanced by itself, its test part stays as it is.

    A class of a training part has as many as in one of `published`: `per_class` without a fold's share. The other
    arguments are those of `published`.
    """
    targets = np.array(photos.targets)
    fold_of = patient_folds(photos.targets, photos.patients, folds=folds, seed=seed)
    wanted = per_class * (folds - 1) // folds
    result = []
    for fold in track(range(folds), "balancing the training part of each fold", folds):
        learned = np.flatnonzero(fold_of != fold)
        own = np.zeros(len(photos))
        if Counter(targets[learned].tolist()).most_common(1)[0][1] > wanted:  # else nothing is left out
            groups = [photos.patients[place] for place in learned]
            told = partial(chances, pixels[learned], targets[learned], groups, seed=seed, jobs=jobs)
            own[learned] = kept(folder / f"chances{fold}.npy", told)
        train = balanced(photos, learned, own, per_class=wanted, seed=seed)
        result.append(Fold(tuple(train), tuple((int(place), 0) for place in np.flatnonzero(fold_of == fold))))
    return result


def kept(path: Path, compute: Callable[[], np.ndarray]) -> np.ndarray:
    """What `compute` gives, from `path` where it was computed before."""
    if not path.is_file():
        with moved_into_place(path) as new, new.open("wb") as file:
            np.save(file, compute(), allow_pickle=False)
    return np.load(path, allow_pickle=False)


def balanced(photos: PhotoSet, places: np.ndarray, own: np.ndarray, *, per_class: int, seed: int) -> list[Item]:
    """`per_class` of each class among `places`: the easiest by `own` (N,), or all and copies of some at random."""
    targets, names = np.array(photos.targets), [photo.image_id for photo in photos.photos]
    rng = np.random.default_rng(seed)
    items: list[Item] = []
    for target in range(len(photos.classes)):
        members = [int(place) for place in places if targets[place] == target]
        if len(members) > per_class:
            kept = easiest(own[members], [names[place] for place in members], per_class)
            items += [(members[row], 0) for row in kept]
            continue
        items += [(place, 0) for place in members]
        if members:
            items += copies(members, per_class - len(members), rng)
    return items


def copies(members: Sequence[int], number: int, rng: np.random.Generator) -> list[Item]:
    drawn = Counter[int]()
    items = []
    for place in rng.choice(members, number).tolist():
        drawn[place] += 1
        items.append((place, drawn[place]))
    return items
