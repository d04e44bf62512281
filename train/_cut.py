"""Which photographs train, which are held back for the temperature, and which stay unseen."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from edge.data.identity import names_of, patient_keys
from edge.data.splits import check_disjoint, cut, patient_folds
from edge.data.table import UNKNOWN, PhotoSet
from edge.errors import InputError

from ._options import Split

ROLES = ("train", "held_back", "unseen")


@dataclass(frozen=True)
class Cut:
    train: PhotoSet
    held_back: PhotoSet  # training's own look at patients it does not learn from: curves and temperature
    unseen: PhotoSet  # for later judgement only


def cut_photos(photos: PhotoSet, split: Split) -> Cut:
    """One fold stays unseen, and a share of the other patients is held back.

    Deterministic by the split's seed. Raises InputError where a part would be empty or a class would have no
    photograph left to learn from.
    """
    split.check()
    unseen, rest = own_fold(photos, split) if photos.prepared and photos.prepared.sound else outer_fold(photos, split)
    inner_folds = round(1 / split.held_back)
    try:
        inner = patient_folds(rest.targets, rest.patients, folds=inner_folds, seed=split.seed + 1)
    except InputError as error:
        raise InputError(
            f"{photos.name}, `held_back` {split.held_back:g} is one part of {inner_folds}: {error}"
        ) from error
    aside, train = cut(rest, inner == 0)
    aside, unseen = aside.natural(), unseen.natural()
    check_disjoint(train, aside, unseen)
    present = {photo.label for photo in photos.photos} - {UNKNOWN}
    absent = sorted(code for code in present if train.counts[code] == 0)
    if absent:
        raise InputError(f"no photograph of {', '.join(absent)} is left to train on; add photographs or drop the class")
    return Cut(train, aside, unseen)


def outer_fold(photos: PhotoSet, split: Split) -> tuple[PhotoSet, PhotoSet]:
    """The fold that stays unseen, and the rest; InputError where there are too few patients."""
    try:
        outer = patient_folds(photos.targets, photos.patients, folds=split.folds, seed=split.seed)
    except InputError as error:
        raise InputError(f"{photos.name}, `folds` {split.folds}: {error}") from error
    return cut(photos, outer == split.fold)


def own_fold(photos: PhotoSet, split: Split) -> tuple[PhotoSet, PhotoSet]:
    """Test and training part of a fold that the set itself has; what was made for other folds is in neither.

    Raises InputError where `folds` is another number than the set's.
    """
    folds = photos.prepared
    assert folds is not None
    if split.folds != len(folds.test):
        raise InputError(
            f"{photos.name} was balanced in {len(folds.test)} folds, and `folds` is {split.folds}; give the set's own "
            "number"
        )
    test, train = folds.test[split.fold], folds.train[split.fold]
    parts = photos.where(lambda p: p.image_id in test), photos.where(lambda p: p.image_id in train)
    if not all(part.photos for part in parts):
        raise InputError(f"{photos.name}: fold {split.fold} has nothing to learn from, or nothing to judge")
    return parts


def cut_sets(sets: Sequence[PhotoSet], split: Split) -> list[Cut]:
    """`cut_photos` of each set, no patient in two parts of any; masks are judged on the unseen part of every set.

    Who is in two sets stays in the part of the earlier one; what a later set has of them in another part is left out.
    Raises InputError where nothing would be left to learn from.
    """
    cuts: list[Cut] = []
    earlier = {role: set[str]() for role in ROLES}
    for photos in sets:
        whole = cut_photos(photos, split)
        parts = {}
        for role in ROLES:
            others = set[str]().union(*(keys for other, keys in earlier.items() if other != role))
            parts[role] = getattr(whole, role).where(lambda photo, others=others: not patient_keys(photo) & others)
        if not parts["train"].photos:
            raise InputError(f"every patient of {photos.name} is kept apart in another set; leave it out of `also`")
        for role, part in parts.items():
            earlier[role] |= {key for photo in part.photos for key in patient_keys(photo)}
        cuts.append(Cut(**parts))
    return cuts


def by_domain(parts: Iterable[PhotoSet]) -> dict[str, dict[str, list[str]]]:
    """What a checkpoint says of the same part of several sets: data set -> patients and images, sorted.

    Photographs and patients that other sets have too are there under all their names.
    """
    listed: dict[str, tuple[set[str], set[str]]] = {}
    for photo in (photo for part in parts for photo in part.photos):
        for domain, image, patient in names_of(photo):
            patients, images = listed.setdefault(domain, (set(), set()))
            patients |= {patient} - {""}
            images |= {image} - {""}
    return {domain: {"patients": sorted(own[0]), "images": sorted(own[1])} for domain, own in listed.items()}
