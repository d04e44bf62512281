"""The sets that a run learns from: --data, and what --also adds to it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from edge.data import isic
from edge.data.readers import open_photos
from edge.data.table import PhotoSet
from edge.errors import InputError


def open_sets(data: Path, also: Sequence[Path], *, masks: bool, skip_missing: bool = False) -> list[PhotoSet]:
    """The sets in order, all with the classes of the first. `masks`: whether the network learns any.

    An ISIC id is one photograph wherever it lies: of what an earlier set has, a later one loses its copy, lest a run
    learn from what it keeps apart. Raises InputError where classes differ, where a set without classes would teach
    nothing, and where a set is left empty.
    """
    sets = [open_photos(data, skip_missing=skip_missing)]
    seen = ids_of(sets[0])
    for path in also:
        extra = open_photos(path, skip_missing=skip_missing, unlabelled=masks)
        if extra.classes and extra.classes != sets[0].classes:
            raise InputError(f"{extra.name} has the classes {extra.codes}, {sets[0].name} has {sets[0].codes}")
        new = tuple(photo for photo in extra.photos if photo.image_id not in seen)
        found = replace(extra, photos=new, classes=sets[0].classes)
        if not found.photos:
            raise InputError(f"every photograph of --also {path} is in {data} or another --also as well; leave it out")
        if len(found) < len(extra):
            note = f"left out of {extra.name}: {len(extra) - len(found)} photographs that another set has, too"
            found = replace(found, notes=(*found.notes, note))
        seen |= ids_of(found)
        sets.append(found)
    return sets


def ids_of(photos: PhotoSet) -> set[str]:
    """The ids that mean the same photograph in every set."""
    return {photo.image_id for photo in photos.photos if isic.ID.fullmatch(photo.image_id)}
