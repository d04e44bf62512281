"""The sets that a run learns from: the one that it is judged on, and what others add to it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from edge.data.copies import same_bytes
from edge.data.identity import photo_keys
from edge.data.readers import open_photos
from edge.data.table import PhotoSet
from edge.errors import InputError

Source = Path | str | PhotoSet  # a folder of photographs, or the set that was read from one


def open_sets(
    data: Source, also: Sequence[Source] = (), *, masks: bool = False, skip_missing: bool = False
) -> list[PhotoSet]:
    """The sets in order, all with the classes of the first. `masks`: whether the network learns any.

    Of a photograph that two sets have (`edge.data.identity`, or the same bytes) the later one loses its copy.
    Raises InputError where classes differ, where a set without classes would teach nothing, or one is left empty.
    """
    first = open_set(data, skip_missing=skip_missing)
    sets = [first]
    seen = {key for photo in first.photos for key in photo_keys(photo)}
    for source in also:
        whole = open_set(source, skip_missing=skip_missing, unlabelled=masks)
        if whole.classes and whole.classes != first.classes:
            raise InputError(f"{whole.name} has the classes {whole.codes}, {first.name} has {first.codes}")
        own = {photo.path for photo in whole.photos}
        copied = {
            path
            for group in same_bytes([photo.path for part in sets for photo in part.photos] + sorted(own))
            if not own.issuperset(group)
            for path in group
        }
        new = tuple(photo for photo in whole.photos if not photo_keys(photo) & seen and photo.path not in copied)
        if not new:
            raise InputError(
                f"every photograph of `also` {name_of(source)} is in {name_of(data)} or another `also` as well; "
                "leave it out"
            )
        notes = whole.notes
        if len(new) < len(whole):
            left_out = len(whole) - len(new)
            notes = (*notes, f"left out of {whole.name}: {left_out} photographs that another set has, too")
        seen |= {key for photo in new for key in photo_keys(photo)}
        sets.append(replace(whole, photos=new, classes=first.classes, notes=notes))
    return sets


def open_set(source: Source, *, skip_missing: bool = False, unlabelled: bool = False) -> PhotoSet:
    """The set itself where one comes, else the one in the folder."""
    if not isinstance(source, PhotoSet):
        return open_photos(Path(source), skip_missing=skip_missing, unlabelled=unlabelled)
    if not source.classes and not unlabelled:
        raise InputError(f"{source.name} has no classes; it can teach masks, to a network that learns them, as `also`")
    return source


def name_of(source: Source) -> str:
    return source.name if isinstance(source, PhotoSet) else str(source)


def check_masks(sets: Sequence[PhotoSet], model: str) -> None:
    """InputError where a network that learns masks would have none."""
    if not any(photo.mask for photos in sets for photo in photos.photos):
        raise InputError(
            f"{model} learns masks, and none of the photographs has one; put <image>_segmentation.png below "
            "`photos` or `also` (docs/multi_task.md), or choose another `model`"
        )
