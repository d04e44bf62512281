"""Photographs below a folder by name, rows of tables, and the checks that the two fit together."""

from __future__ import annotations

import csv
import unicodedata
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from edge.capture import SUFFIXES
from edge.data.table import Photo
from edge.errors import InputError
from edge.files import MAX_JSON_BYTES

MAX_PHOTOS = 1_000_000
NO_PHOTOS = ("_segmentation", "_superpixels")  # what the ISIC challenges put beside photographs
SIDE_FOLDERS = {"@eaDir", "__MACOSX"}  # of a Synology drive, and of a Mac's archives
NO_PICTURES = {".csv", ".json", ".txt", ".md", ".pdf", ".html", ".db", ".ini"}  # that nobody takes for a photograph


def is_photo(path: Path) -> bool:
    return path.suffix.lower() in SUFFIXES and not path.stem.lower().endswith(NO_PHOTOS) and not aside(path.name)


def aside(name: str) -> bool:
    """Whether a file or folder is hidden, or what a Mac or a network drive puts beside files of the same name."""
    return name.startswith(".") or name in SIDE_FOLDERS


def photos_below(folder: Path) -> list[Path]:
    """Every photograph below a folder, sorted; those in hidden and side folders are left out."""
    return [
        path
        for path in sorted(folder.rglob("*"))
        if is_photo(path) and path.is_file() and not any(map(aside, path.relative_to(folder).parts[:-1]))
    ]


def holds_photos(folder: Path) -> bool:
    return bool(photos_below(folder))


def left_aside(folder: Path, read: Iterable[Path]) -> list[str]:
    """Notes on the files below a folder that are no photographs for us, by their ending; nothing goes unsaid."""
    known = set(read)
    rest = [
        path
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path not in known and path.suffix.lower() not in NO_PICTURES and not aside(path.name)
    ]
    endings = Counter(ending_of(path) for path in rest)
    return [f"left out: {', '.join(f'{n} {ending}' for ending, n in endings.most_common())}"] if endings else []


def ending_of(path: Path) -> str:
    """What kind of file is left out, in words."""
    for ending in NO_PHOTOS:
        if path.stem.lower().endswith(ending):
            return f"*{ending}{path.suffix.lower()}"
    if path.suffix.lower() in SUFFIXES:
        return f"{path.suffix.lower()} in hidden or side folders"
    return f"{path.suffix.lower() or 'files without ending'} (not a format that is read)"


def plain(text: str) -> str:
    """A table's field without the spaces around it, and in one form of Unicode: ids are compared by their letters."""
    return unicodedata.normalize("NFC", text.strip())


def look_alikes(ids: Iterable[str]) -> list[str]:
    """A note on ids that differ in capitals alone: they count as different, and are often the same."""
    forms: dict[str, set[str]] = {}
    for name in ids:
        forms.setdefault(name.casefold(), set()).add(name)
    alike = [" and ".join(sorted(names)) for names in forms.values() if len(names) > 1]
    return [f"ids that differ in capitals alone count as different: {'; '.join(sorted(alike)[:3])}"] if alike else []


def read_table(path: Path) -> list[dict[str, str]]:
    """The rows of a CSV file with a header; InputError if it is empty, too large, ragged or not text."""
    names, *rows = read_lines(path)
    if not rows:
        raise InputError(f"{path} has no rows")
    if any(len(row) != len(names) for row in rows):
        raise InputError(f"{path}: a row has more or fewer fields than the header; was the file cut off?")
    return [dict(zip(names, row, strict=True)) for row in rows]


def read_lines(path: Path) -> list[list[str]]:
    """The fields of each line of a CSV file that is not empty, header included; InputError as `read_table`."""
    if path.stat().st_size > MAX_JSON_BYTES:
        raise InputError(f"{path} is larger than {MAX_JSON_BYTES} bytes; expected a table of photographs")
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            lines = [[plain(field) for field in line] for line in csv.reader(file) if line]
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path} is not a CSV table: {error}") from error
    if not lines:
        raise InputError(f"{path} has no rows")
    return lines


def index_photos(folder: Path) -> dict[str, Path]:
    """Every photograph below `folder` by file name; InputError if two share one."""
    index: dict[str, Path] = {}
    for path in photos_below(folder):
        name = plain(path.name)
        if name in index:
            raise InputError(f"two files are called {name}: {index[name]} and {path}; remove one")
        index[name] = path
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
