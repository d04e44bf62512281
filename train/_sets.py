"""The sets that a run learns from: --data, and what --also adds to it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from edge.data.identity import photo_key
from edge.data.readers import open_photos
from edge.data.table import PhotoSet
from edge.errors import InputError
from edge.models import gives_masks


def open_sets(data: Path, also: Sequence[Path], *, masks: bool, skip_missing: bool = False) -> list[PhotoSet]:
    """The sets in order, all with the classes of the first. `masks`: whether the network learns any.

    Of a photograph that two sets have (`edge.data.identity`) the later one loses its copy. Raises InputError where
    classes differ, where a set without classes would teach nothing, and where a set is left empty.
    """
    sets = [open_photos(data, skip_missing=skip_missing)]
    seen = {photo_key(photo) for photo in sets[0].photos}
    for path in also:
        extra = open_photos(path, skip_missing=skip_missing, unlabelled=masks)
        if extra.classes and extra.classes != sets[0].classes:
            raise InputError(f"{extra.name} has the classes {extra.codes}, {sets[0].name} has {sets[0].codes}")
        new = tuple(photo for photo in extra.photos if photo_key(photo) not in seen)
        found = replace(extra, photos=new, classes=sets[0].classes)
        if not found.photos:
            raise InputError(f"every photograph of --also {path} is in {data} or another --also as well; leave it out")
        if len(found) < len(extra):
            note = f"left out of {extra.name}: {len(extra) - len(found)} photographs that another set has, too"
            found = replace(found, notes=(*found.notes, note))
        seen |= {photo_key(photo) for photo in new}
        sets.append(found)
    return sets


def check_masks(sets: Sequence[PhotoSet], model: str) -> None:
    """InputError where a network that learns masks would have none."""
    if gives_masks(model) and not any(photo.mask for photos in sets for photo in photos.photos):
        raise InputError(
            f"{model} learns masks, and none of the photographs has one; put <image>_segmentation.png below "
            "--data or --also (docs/multi_task.md), or choose another --model"
        )
