"""Photographs below a folder by name, rows of tables, and the checks that the two fit together."""

from __future__ import annotations

import csv
from collections import Counter
from pathlib import Path

from edge.capture import SUFFIXES
from edge.data.table import Photo
from edge.errors import InputError
from edge.files import MAX_JSON_BYTES

MAX_PHOTOS = 1_000_000
NO_PHOTOS = ("_segmentation", "_superpixels")  # what the ISIC challenges put beside photographs


def is_photo(path: Path) -> bool:
    return path.suffix.lower() in SUFFIXES and not path.stem.lower().endswith(NO_PHOTOS)


def holds_photos(folder: Path) -> bool:
    return any(is_photo(path) for path in folder.iterdir())


def read_table(path: Path) -> list[dict[str, str]]:
    """The rows of a CSV file with a header; InputError if it is empty, too large, ragged or not text."""
    if path.stat().st_size > MAX_JSON_BYTES:
        raise InputError(f"{path} is larger than {MAX_JSON_BYTES} bytes; expected a table of photographs")
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = list(csv.DictReader(file))
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path} is not a CSV table: {error}") from error
    if not rows:
        raise InputError(f"{path} has no rows")
    if any(None in row or None in row.values() for row in rows):
        raise InputError(f"{path}: a row has more or fewer fields than the header; was the file cut off?")
    return rows


def index_photos(folder: Path) -> dict[str, Path]:
    """Every photograph below `folder` by file name; InputError if two share one."""
    index: dict[str, Path] = {}
    for path in sorted(folder.rglob("*")):
        if is_photo(path) and path.is_file():
            if path.name in index:
                raise InputError(f"two files are called {path.name}: {index[path.name]} and {path}; remove one")
            index[path.name] = path
            if len(index) > MAX_PHOTOS:
                raise InputError(f"more than {MAX_PHOTOS} photographs below {folder}")
    return index


def find_photo(index: dict[str, Path], name: str) -> Path | None:
    """The file of an id, which may lack its suffix or carry that of the format before re-encoding."""
    if name in index:
        return index[name]
    stem = name.rsplit(".", 1)[0] if Path(name).suffix.lower() in SUFFIXES else name
    endings = [ending for suffix in sorted(SUFFIXES) for ending in (suffix, suffix.upper())]
    return next((index[stem + ending] for ending in endings if stem + ending in index), None)


def refuse_missing(table: Path, missing: list[str], rows: int, *, skip_missing: bool) -> list[str]:
    """A note on the images that are missing; InputError unless they may be."""
    if not missing:
        return []
    text = f"{len(missing)} of the {rows} images in {table} are missing, first {', '.join(missing[:3])}"
    if not skip_missing or len(missing) == rows:
        raise InputError(f"{text}. Put them below {table.parent}, or go on without them with `skip_unreadable`")
    return [text]


def refuse_doubles(table: Path, photos: list[Photo]) -> None:
    names = ([photo.image_id for photo in photos], [photo.path.name for photo in photos])  # a.png and a.jpg: one file
    double = [name for listed in names for name, count in Counter(listed).items() if count > 1]
    if double:
        raise InputError(f"{table} lists {double[0]} {'and others ' if len(double) > 1 else ''}more than once")
