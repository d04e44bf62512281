"""Files of the same bytes: in one set they are one photograph, and in two classes at least one label is wrong."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path

from edge.data.table import Photo
from edge.errors import InputError
from edge.shards import content_of, digest_of, is_member, row_of

SAMPLE_BYTES = 4096  # at the end of a file, where pictures differ most; the whole is read only where these are equal
BLOCK_BYTES = 2**20
NAMES_SHOWN = 3


def same_bytes(paths: Iterable[Path]) -> list[list[Path]]:
    """Groups of two and more files with equal contents, in the order given.

    Few are read: sizes are compared first, then the last 4 KiB, and the whole file only where both are equal.
    """
    by_size = grouped(paths, size_of)
    ends = [group for same in by_size for group in grouped(same, last_bytes)]
    return [group for same in ends for group in grouped(same, digest)]


def grouped(paths: Iterable[Path], key) -> list[list[Path]]:
    groups: dict[object, list[Path]] = {}
    for path in paths:
        groups.setdefault(key(path), []).append(path)
    return [group for group in groups.values() if len(group) > 1]


def size_of(path: Path) -> int:
    return int(row_of(path)["size"]) if is_member(path) else path.stat().st_size


def last_bytes(path: Path) -> bytes:
    if is_member(path):
        return content_of(path)[-SAMPLE_BYTES:]
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - SAMPLE_BYTES))
        return file.read(SAMPLE_BYTES)


def digest(path: Path) -> bytes:
    value = hashlib.sha256()
    if is_member(path):
        return bytes.fromhex(digest_of(path))
    with path.open("rb") as file:
        while block := file.read(BLOCK_BYTES):
            value.update(block)
    return value.digest()


def without_copies(photos: tuple[Photo, ...], name: str) -> tuple[tuple[Photo, ...], list[str]]:
    """Each photograph once, the first of its copies, and a note that names the others.

    Raises InputError where the same bytes have two classes. Two patients of one photograph are named in the note.
    """
    by_path = {photo.path: photo for photo in photos}
    groups = [[by_path[path] for path in group] for group in same_bytes(by_path)]
    torn = [group for group in groups if len({photo.label for photo in group}) > 1]
    if torn:
        pairs = "; ".join(
            " and ".join(f"{photo.image_id} ({photo.label or 'no class'})" for photo in two_classes(group))
            for group in torn[:NAMES_SHOWN]
        )
        raise InputError(
            f"{name}: {len(torn)} photograph{'s are' if len(torn) > 1 else ' is'} in two classes, byte for byte: "
            f"{pairs}{'; …' if len(torn) > NAMES_SHOWN else ''}. Decide for one class and remove the other copy"
        )
    further = {photo.path: group[0] for group in groups for photo in group[1:]}
    if not further:
        return photos, []
    first = [f"{by_path[path].image_id} is {kept.image_id}" for path, kept in list(further.items())[:NAMES_SHOWN]]
    notes = [
        f"left out: {len(further)} further copies of a photograph, byte for byte: {', '.join(first)}"
        f"{', …' if len(further) > NAMES_SHOWN else ''}"
    ]
    named = [known for group in groups if len(known := patients_known(group)) > 1]
    if named:
        two = " and ".join(sorted(named[0])[:2])
        notes.append(f"{len(named)} of these are listed for several patients, first for {two}; the first copy counts")
    return tuple(photo for photo in photos if photo.path not in further), notes


def patients_known(group: list[Photo]) -> set[str]:
    """Those of photographs whose patient is more than the photograph itself."""
    return {photo.patient for photo in group if not photo.patient.endswith(photo.image_id)}


def two_classes(group: list[Photo]) -> list[Photo]:
    """The first two photographs of different classes."""
    return [group[0], next(photo for photo in group if photo.label != group[0].label)]
