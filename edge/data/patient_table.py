"""The table that says which photographs of class folders are of one patient."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from edge.data.csv_table import known, read_table
from edge.data.listing import NAMES_SHOWN, look_alikes
from edge.data.table import stem
from edge.errors import InputError

PATIENTS = "patients.csv"
PATIENT_TABLE = re.compile(r"patients?(\.(csv|tsv|tab|txt))?", re.IGNORECASE)
FILE_COLUMNS = ("file", "filename", "file_name", "path", "image", "image_id", "image_name", "img_id", "photo")
PATIENT_COLUMNS = ("patient", "patient_id", "patientid", "person", "subject", "subject_id")


def patients_of(folder: Path, tables: list[Path], images: list[str]) -> tuple[dict[str, str], list[str]]:
    """Image -> patient from `patients.csv`, nothing where there is none; and notes."""
    own = [path for path in tables if PATIENT_TABLE.fullmatch(path.name)]
    strange = [
        path for path in folder.iterdir() if path.suffix and PATIENT_TABLE.fullmatch(path.name) and path not in own
    ]
    if strange:
        kind = "a link that leads nowhere" if strange[0].is_symlink() else "no regular file"
        raise InputError(f"{strange[0]} is {kind}; expected a table with the columns file and patient")
    if len(own) > 1:
        raise InputError(f"{own[0]} and {own[1]} are both tables of patients; keep one")
    if not own:
        return {}, [f"no {PATIENTS} in {folder}: every photograph counts as a patient of its own"]
    table, rows = own[0], read_table(own[0])
    file_column = next((name for name in FILE_COLUMNS if name in rows[0]), None)
    patient_columns = [name for name in PATIENT_COLUMNS if name in rows[0]]
    if file_column is None or not patient_columns:
        raise InputError(f"{table} needs the columns file and patient, has {', '.join(rows[0])}")
    patient_column, *others = patient_columns
    if any(row[other] != row[patient_column] for other in others for row in rows):
        raise InputError(f"{table} has the columns {patient_column} and {', '.join(others)}, which differ; keep one")
    find, strangers = finder(table, images), []
    patients: dict[str, str] = {}
    for row in rows:
        image, patient = find(row[file_column]), known(row[patient_column], table)
        if image is None:
            strangers.append(row[file_column])
        elif patient and patients.setdefault(image, patient) != patient:
            raise InputError(f"{table} gives {row[file_column]} to {patients[image]} and to {patient}")
    lacking = [image for image in images if image not in patients]
    if lacking:
        more = f" and {len(lacking) - 1} others" if len(lacking) > 1 else ""
        stray = f"; {len(strangers)} of its rows name no photograph here, first {strangers[0]}" if strangers else ""
        raise InputError(f"{table} has no patient for {lacking[0]}{more}{stray}")
    notes = look_alikes(patients.values())
    if strangers:
        notes.append(
            f"{table} lists {len(strangers)} files that are not here, first {', '.join(strangers[:NAMES_SHOWN])}"
        )
    return patients, notes


def finder(table: Path, images: list[str]) -> Callable[[str], str | None]:
    """A function from what a table calls a file to the image's id; None where no image is meant.

    It may be written for Windows, lack the class's folder or the ending, or differ in capitals, if that is unambiguous.
    """
    exact = set(images)
    loose: dict[str, set[str]] = {}
    by_name: dict[str, list[str]] = {}
    for image in images:
        small = image.casefold()
        by_name.setdefault(small.rpartition("/")[2], []).append(image)
        for form in {small, stem(small), Path(small).name, stem(Path(small).name)}:
            loose.setdefault(form, set()).add(image)

    def find(name: str) -> str | None:
        path = name.replace("\\", "/").removeprefix("./").strip("/")
        if path in exact:
            return path
        small = path.casefold()
        meant = loose.get(small) or loose.get(stem(small))
        if meant is None:  # a path that begins above the folder
            same_name = by_name.get(small.rpartition("/")[2], [])
            ends = [image for image in same_name if small.endswith("/" + image.casefold())]
            meant = set(ends) or None
        if meant is None:
            return None
        if len(meant) > 1:
            raise InputError(f"{table}: {name} may be {' or '.join(sorted(meant)[:2])}; give the path from the folder")
        return next(iter(meant))

    return find
