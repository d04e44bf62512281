"""The table of names that other sets have for the photographs and people of a set that was made of them.

A row without an image says whom the set calls `patient_id` elsewhere; one with an image, what it is called there.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from edge.data.csv_table import read_table
from edge.data.rows import write_rows
from edge.data.table import Photo, PhotoSet
from edge.errors import InputError

KNOWN_AS = "also_known_as.csv"
Name = tuple[str, str, str]  # as in `Photo.also_known_as`
COLUMNS = ("patient_id", "image", "source", "source_patient_id", "source_image")


def write_known_as(target: Path, photos: Iterable[Photo]) -> int:
    """Write what `also_known_as` of the photographs says, and nothing where that is nothing; the number of rows."""
    rows = {
        (photo.patient, photo.image_id if image else "", source, patient, image)
        for photo in photos
        for source, image, patient in photo.also_known_as
    }
    if rows:
        write_rows(target, COLUMNS, sorted(rows))
    return len(rows)


def with_known_as(photos: PhotoSet, table: Path) -> PhotoSet:
    """The set with the names in a table of `write_known_as`; InputError for another table."""
    rows = read_table(table)
    lacking = [column for column in COLUMNS if column not in rows[0]]
    if lacking:
        raise InputError(f"{table} lacks the column(s) {', '.join(lacking)}; make the set again")
    people, images = defaultdict[str, set[Name]](set), defaultdict[str, set[Name]](set)
    for line, row in enumerate(rows, start=2):
        name = row["source"], row["source_image"], row["source_patient_id"]
        needed = [row["image"] and name[1]] if row["image"] or name[1] else [row["patient_id"], name[2]]
        if not all([*needed, name[0]]):
            raise InputError(f"{table}:{line} has a field empty that tells who is who; make the set again")
        names = images[row["image"]] if row["image"] else people[row["patient_id"]]
        names.add(name)
    named = (
        replace(
            photo, also_known_as=tuple(sorted(people.get(photo.patient, set()) | images.get(photo.image_id, set())))
        )
        for photo in photos.photos
    )
    return replace(photos, photos=tuple(named))
