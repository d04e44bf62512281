"""The table of several sets, as it lies on disk, -> PhotoSet.

photographs.csv   a row for each photograph; `file` and `mask` from this folder
photographs.parquet  the same rows, where they are many
labels.json       the classes in output order
also_known_as.csv  what the sets call photographs and patients that several have, where there are any
left_out.csv      what is in no class of these, with the reason
joined.json       which sets, what each of their classes became, what that loses
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from edge.capture import SUFFIXES
from edge.data.answer_columns import AnswersOf
from edge.data.class_labels import LABELS
from edge.data.csv_table import read_table
from edge.data.known_as import KNOWN_AS, with_known_as
from edge.data.table import Photo, PhotoSet
from edge.errors import InputError
from edge.files import MAX_JSON_BYTES, read_json, sha256
from edge.labels import from_json
from edge.nine_questions import QUESTIONS

from . import parquet

TABLE, PARQUET, LEFT_OUT, FACTS = "photographs.csv", "photographs.parquet", "left_out.csv", "joined.json"
SCHEMA = "dermedge/joined/1"
IDS = ("image", "file", "patient_id", "lesion_id", "label", "source_label", "source", "licence", "mask")
SITE = "site"  # a part of the body that is none of the regions that people are asked for; older tables lack it
COLUMNS = (*IDS, *(question.id for question in QUESTIONS), SITE)


def is_joined(folder: Path) -> bool:
    """Whether a folder has the table of several sets."""
    return (folder / FACTS).is_file() and (folder / TABLE).is_file()


def read(folder: Path, *, skip_missing: bool) -> PhotoSet:
    """The set that a table in `folder` joins.

    Raises InputError where a file is none of `write`'s, a class or photograph is there twice or not at all, or
    photographs are missing (`skip_missing` goes on without them).
    """
    stated = read_json(folder / FACTS, expected="facts of joined sets")
    if stated.get("schema") != SCHEMA or not isinstance(stated.get("name"), str):
        raise InputError(f"{folder / FACTS} is not of the form {SCHEMA}; join the sets again with this version")
    classes = from_json(read_json(folder / LABELS, expected="class labels").get("classes"), where=str(folder / LABELS))
    codes = {label.code for label in classes}
    table = folder / TABLE
    unchanged = sha256(table) == stated.get("table_sha256")
    rows = rows_of(folder, stated, unchanged=unchanged)
    lacking = [column for column in IDS if column not in rows[0]]
    if lacking:
        raise InputError(f"{table} lacks the column(s) {', '.join(lacking)} of a table of several sets")
    said, here = AnswersOf(), folder.resolve()
    photos, missing, licences = [], [], dict[str, None]()
    images: set[str] = set()
    for line, row in enumerate(rows, start=2):
        where = f"{table}:{line}"
        if row["label"] not in codes:
            raise InputError(f"{where}: label {row['label']!r:.40} is none of {', '.join(sorted(codes))}")
        for column in ("image", "file", "patient_id", "source"):
            if not row[column]:
                raise InputError(f"{where}: {column} is empty; without it no split is safe")
        if row["image"] in images:
            raise InputError(f"{where}: {row['image']} is there twice; keep one row")
        images.add(row["image"])
        path, mask = (Path(os.path.normpath(here / row[column])) for column in ("file", "mask"))
        if path.suffix.lower() not in SUFFIXES:
            raise InputError(f"{where}: {row['file']:.80} is no photograph by its ending; expected .jpg, .png, .heic …")
        absent = [file for file in ([path, mask] if row["mask"] else [path]) if not file.is_file()]
        if absent:
            missing.append(str(absent[0]))
            continue
        said.add(where, row)  # by row: images may differ in their endings alone
        licences[row["licence"] or "unknown"] = None
        photos.append(
            Photo(
                path, row["image"], row["label"], row["patient_id"], row["source"], mask=mask if row["mask"] else None,
                answers=said.of(where), lesion=row["lesion_id"], site=row.get(SITE, ""),
            )
        )  # fmt: skip
    notes = [*missing_note(table, missing, len(rows), skip_missing=skip_missing), *notes_of(stated), *said.notes()]
    if not unchanged:
        notes.append(f"{table} was changed since the sets were joined")
    names = stated.get("also_known_as")
    if names is None:
        notes.append(
            "joined by an earlier version, which did not keep what sets call the same patient: join them again"
        )
    whole = PhotoSet(
        stated["name"], classes, tuple(photos), synthetic=stated.get("synthetic") is not False,
        licence=", ".join(licences), notes=tuple(notes), joined=True,
    )  # fmt: skip
    if names and not (folder / KNOWN_AS).is_file():
        raise InputError(
            f"{folder} lacks {KNOWN_AS}, without which its patients are not known in other sets; join again"
        )
    return with_known_as(whole, folder / KNOWN_AS) if names else whole


def rows_of(folder: Path, stated: dict[str, Any], *, unchanged: bool) -> list[dict[str, str]]:
    """The rows, of the Parquet file where the CSV was not changed since, else of the CSV.

    InputError for a Parquet file that was changed: its rows would silently not count.
    """
    quick = folder / PARQUET
    if quick.exists() and (not quick.is_file() or sha256(quick) != stated.get("parquet_sha256")):
        raise InputError(
            f"{quick} is not the one that was written with {TABLE}: it was changed or damaged. Join the sets again, or "
            f"remove it to read {TABLE}"
        )
    if unchanged and quick.exists() and (parquet.is_installed() or (folder / TABLE).stat().st_size > MAX_JSON_BYTES):
        return parquet.read(quick)
    return read_table(folder / TABLE)


def missing_note(table: Path, missing: Sequence[str], rows: int, *, skip_missing: bool) -> list[str]:
    if not missing:
        return []
    text = f"{len(missing)} of the {rows} photographs in {table} or their masks are missing, first {missing[0]}"
    if not skip_missing or len(missing) == rows:
        raise InputError(
            f"{text}. The table names files where they lay: put them there again, join the sets anew, or go on without "
            "them with `skip_unreadable`"
        )
    return [text]


def notes_of(stated: dict[str, Any]) -> list[str]:
    """What joining said, in two lines at most."""
    try:
        left_out = sum(int(item["photographs"]) for item in stated["left_out"])
        mixed = [f"{item['source_label']} of {item['source']} in {item['label']}" for item in stated["mapping"]
                 if item["kind"] == "mixes"]  # fmt: skip
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise InputError(f"{FACTS} does not say what became of each class; join the sets again") from error
    notes = [f"left out when the sets were joined: {left_out} photographs ({LEFT_OUT} says why)"] if left_out else []
    return notes + ([f"classes that are mixed: {', '.join(mixed)}"] if mixed else [])
