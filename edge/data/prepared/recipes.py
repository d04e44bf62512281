"""The balanced sets that published figures come from: how many photographs of which classes, in how many folds."""

from __future__ import annotations

from dataclasses import dataclass

from edge.data.isic import ONE_HOT
from edge.data.table import PhotoSet
from edge.errors import InputError, did_you_mean
from edge.labels import PAD_UFES_20


@dataclass(frozen=True)
class BalancedSet:
    """Both are of HierAttn (IEEE JBHI 28(2), 2024), made before the split and without regard to patients."""

    source: str  # the set that it is made of
    codes: tuple[str, ...]  # its classes
    per_class: int
    folds: int


BALANCED = {
    "ihpad3000": BalancedSet("PAD-UFES-20", tuple(label.code for label in PAD_UFES_20), 500, 10),
    "ihisic20000": BalancedSet("ISIC 2019", tuple(label.code for label in ONE_HOT if label.code != "AKIEC"), 2500, 10),
}


def balanced_set(name: str, photos: PhotoSet) -> BalancedSet:
    """The recipe of that name; InputError where there is none, or `photos` have other classes than it is made of."""
    if name not in BALANCED:
        raise InputError(f"no recipe {name}{did_you_mean(name, BALANCED)}; there are {', '.join(BALANCED)}")
    wanted = BALANCED[name]
    if set(photos.codes) != set(wanted.codes):
        raise InputError(
            f"{name} is made of {wanted.source} with the classes {', '.join(wanted.codes)}; {photos.name} has "
            f"{', '.join(photos.codes)}"
        )
    lacking = [code for code in wanted.codes if not photos.counts[code]]
    if lacking:
        raise InputError(f"{photos.name} has no photograph of {', '.join(lacking)}; {name} has as many of each class")
    return wanted
