"""The joined rows -> the folder that `reading` reads."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from edge.data.answer_columns import shown
from edge.data.class_labels import LABELS
from edge.data.known_as import KNOWN_AS, write_known_as
from edge.data.rows import write_rows
from edge.errors import InputError
from edge.files import moved_into_place, sha256, write_json
from edge.labels import to_json
from edge.nine_questions import QUESTIONS
from edge.questionnaire import Answer

from . import parquet
from .join import Joined, Row
from .reading import COLUMNS, FACTS, LEFT_OUT, PARQUET, SCHEMA, TABLE, is_joined

PARQUET_FROM = 100_000  # rows, from which the table is written as Parquet, too


def write(joined: Joined, folder: Path) -> None:
    """Write all files, the whole folder at once; what was there is replaced.

    Raises InputError where the folder has other files, and for more than PARQUET_FROM rows without pyarrow.
    """
    folder = folder.resolve()
    if folder.exists() and not is_joined(folder) and any(folder.iterdir()):
        raise InputError(f"{folder} has other files in it; give a new folder for the table")
    large = len(joined.rows) > PARQUET_FROM
    if large:
        parquet.check_installed(folder / PARQUET)
    with moved_into_place(folder) as new:
        new.mkdir()
        rows = [fields(row, folder) for row in joined.rows]
        write_rows(new / TABLE, COLUMNS, rows)
        if large:
            parquet.write(new / PARQUET, COLUMNS, rows)
        write_rows(
            new / LEFT_OUT,
            ("image", "source", "source_label", "reason"),
            [(row.photo.image_id, row.photo.domain, row.source_label, row.reason) for row in joined.left_out],
        )
        names = write_known_as(new / KNOWN_AS, (row.photo for row in joined.rows))
        write_json(new / LABELS, {"classes": to_json(joined.classes)})
        digests = {"table_sha256": sha256(new / TABLE)} | ({"parquet_sha256": sha256(new / PARQUET)} if large else {})
        write_json(new / FACTS, facts(joined) | {"also_known_as": names} | digests)


def fields(row: Row, folder: Path) -> list[str]:
    """Of a row of TABLE in `folder`, in the order of COLUMNS."""
    photo = row.photo
    ids = [
        photo.image_id, from_folder(photo.path, folder), photo.patient, photo.lesion, photo.label, row.source_label,
        photo.domain, row.licence, from_folder(photo.mask, folder) if photo.mask else "",
    ]  # fmt: skip
    return [*ids, *(field(photo.answers.get(question.id)) for question in QUESTIONS), photo.site]


def field(answer: Answer | None) -> str:
    """As tables have it: an answer, or nothing where it was not given."""
    return "" if answer is None else repr(answer) if isinstance(answer, float) else shown(answer)


def from_folder(path: Path, folder: Path) -> str:
    """The path from the table's folder, so that both can be moved together; Windows' other drives have none."""
    path = path.parent.resolve() / path.name  # a link itself stays, as its ending says what it is
    try:
        return Path(os.path.relpath(path, folder)).as_posix()
    except ValueError:
        return path.as_posix()


def facts(joined: Joined) -> dict[str, Any]:
    """What joined.json says beside digests and numbers of files."""
    return {
        "schema": SCHEMA,
        "name": joined.name,
        "classes_of": joined.target,
        "synthetic": joined.synthetic,
        "photographs": len(joined.rows),
        "classes": joined.counts,
        "sets": [
            {
                "name": photos.name,
                "source": photos.domain,
                "photographs": len(photos),
                "licence": photos.licence,
                "official": photos.official,
                "altered": photos.altered,
                "notes": list(photos.notes),
            }
            for photos in joined.sets
        ],
        "mapping": [
            {
                "set": pair.source,
                "source": pair.domain,
                "source_label": pair.label.code,
                "photographs": pair.photographs,
                "label": pair.becomes.code or None,
                "kind": pair.becomes.kind,
                "why": pair.becomes.why,
            }
            for pair in joined.pairs
        ],
        "left_out": [
            {"source": source, "source_label": label, "reason": reason, "photographs": number}
            for (source, label, reason), number in joined.reasons.items()
        ],
    }
