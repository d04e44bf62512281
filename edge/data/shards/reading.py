"""A folder of shards -> PhotoSet, row by row: the photographs themselves stay where they are."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from edge.data.answer_columns import AnswersOf
from edge.data.class_labels import LABELS
from edge.data.known_as import KNOWN_AS, with_known_as
from edge.data.listing import MAX_PHOTOS
from edge.data.table import Photo, PhotoSet
from edge.errors import InputError
from edge.files import read_json, sha256
from edge.labels import from_json
from edge.preprocess import MAX_INPUT_SIDE
from edge.shards import AGAIN, MASKS, MEMBERS, member_name, members_of, shard_name

from .layout import COLUMNS, FACTS, IDS, INDEX, MASKED, NOT_IN_ALL, SCHEMA, TABLES, digest_key

MAX_INDEX = 2**30  # bytes; a row of ISIC has about 100


def read(folder: Path) -> PhotoSet:
    """The set in the shards of `folder`.

    Raises InputError where a table is none of those that were written with the shards, or a shard is missing or has
    another size. What lies in the shards is compared with its digest whenever it is read.
    """
    folder = folder.resolve()
    stated = read_json(folder / FACTS, expected="facts of a set in shards")
    if stated.get("schema") not in (SCHEMA, MASKED) or not isinstance(stated.get("name"), str):
        raise InputError(f"{folder / FACTS} is not of the form {SCHEMA} or {MASKED}; {AGAIN}")
    for name in TABLES:
        own = sha256(folder / name) if (folder / name).is_file() else None
        if own != stated.get(digest_key(name)) or (own is None and name not in NOT_IN_ALL):
            raise InputError(f"{folder / name} is not the one that was written with the shards; {AGAIN}")
    notes = stated.get("notes")
    if not isinstance(notes, list) or not all(isinstance(note, str) for note in notes):
        raise InputError(f"{folder / FACTS}: `notes` is a list of texts, got {type(notes).__name__}; {AGAIN}")
    side = stated.get("side")
    if type(side) is not int or not 1 <= side <= MAX_INPUT_SIDE:
        raise InputError(f"{folder / FACTS}: `side` is 1 to {MAX_INPUT_SIDE} pixels, got {side!r}; {AGAIN}")
    squares = f"in shards, as JPEG of squares of {side} pixels"
    classes = from_json(read_json(folder / LABELS, expected="class labels").get("classes"), where=str(folder / LABELS))
    codes = {label.code: label.code for label in classes}  # one text for all photographs of a class
    members = members_of(folder, MEMBERS)
    check_shards(folder, stated, members)
    masks = masks_of(folder, members) if stated["schema"] == MASKED else None
    said, images, sources = AnswersOf(), set[str](), dict[str, str]()
    tars = [folder / shard_name(number) for number in range(len(stated["shards"]))]
    photos = []
    for number, row in enumerate(rows_of(folder / INDEX)):
        where = f"{folder / INDEX}:{number + 2}"
        image, patient, lesion, label, source = row[:IDS]
        if label not in codes or not image or not patient or not source or image in images:
            raise InputError(f"{where}: expected another image, a patient, a source and a known label; {AGAIN}")
        images.add(image)
        if any(row[IDS:]):
            said.add(where, dict(zip(COLUMNS[IDS:], row[IDS:], strict=True)))
        tar = tars[members[number]["shard"]]
        photos.append(
            Photo(
                tar / member_name(number), image, codes[label], patient, sources.setdefault(source, source),
                mask=tar / member_name(number, "png") if masks is not None and masks[number] else None,
                answers=said.of(where), lesion=lesion, site=row[-1],
            )
        )  # fmt: skip
        if number + 1 > min(len(members), MAX_PHOTOS):
            break
    if len(photos) != len(members):
        raise InputError(f"{folder / INDEX} has {len(photos)} rows and {MEMBERS} {len(members)}; {AGAIN}")
    whole = PhotoSet(
        stated["name"], classes, tuple(photos), synthetic=stated.get("synthetic") is not False,
        licence=str(stated.get("licence", "unknown")), notes=(squares, *notes, *said.notes()),
        official=stated.get("official") is True, altered=str(stated.get("altered", "")),
        joined=stated.get("joined") is True, packed_side=side,
    )  # fmt: skip
    return with_known_as(whole, folder / KNOWN_AS) if (folder / KNOWN_AS).is_file() else whole


def masks_of(folder: Path, members: np.ndarray) -> np.ndarray:
    """Which of the photographs have a mask, bool (N,); InputError for a table of masks that is of other shards."""
    masks = members_of(folder, MASKS)
    if len(masks) != len(members) or not np.array_equal(masks["shard"], members["shard"]):
        raise InputError(f"{folder / MASKS} is of other photographs than {MEMBERS}; {AGAIN}")
    return masks["size"] > 0


def check_shards(folder: Path, stated: dict[str, Any], members: np.ndarray) -> None:
    """InputError for a shard that is not there or has another size, and for members beyond the shards."""
    sizes = stated.get("shards")
    if not isinstance(sizes, list) or not all(isinstance(size, int) for size in sizes):
        raise InputError(f"{folder / FACTS} does not list the shards; {AGAIN}")
    for number, size in enumerate(sizes):
        path = folder / shard_name(number)
        if not path.is_file() or path.stat().st_size != size:
            raise InputError(f"{path} is missing, or has not the {size} bytes that it was written with; {AGAIN}")
    if not 0 < len(members) <= MAX_PHOTOS or members["shard"].max() >= len(sizes):
        raise InputError(f"{folder / MEMBERS} lists {len(members)} photographs in {len(sizes)} shards; {AGAIN}")


def rows_of(path: Path) -> Iterator[list[str]]:
    """The fields of each row, one row at a time; InputError for a table with other columns."""
    if path.stat().st_size > MAX_INDEX:
        raise InputError(f"{path} is larger than {MAX_INDEX} bytes; {AGAIN}")
    with path.open(encoding="utf-8", newline="") as file:
        rows = csv.reader(file)
        try:
            if tuple(next(rows, ())) != COLUMNS:
                raise InputError(f"{path} has other columns than {', '.join(COLUMNS)}; {AGAIN}")
            for row in rows:
                if len(row) != len(COLUMNS):
                    raise InputError(f"{path} has a row of {len(row)} fields; {AGAIN}")
                yield row
        except (csv.Error, UnicodeDecodeError) as error:
            raise InputError(f"{path} is no table ({error}); {AGAIN}") from error
