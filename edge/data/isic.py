"""Photographs of the ISIC Archive and of the ISIC challenges -> PhotoSet."""

from __future__ import annotations

import csv
import re
from collections import Counter
from pathlib import Path

from edge.data.listing import find_photo, index_photos, read_lines, read_table, refuse_doubles, refuse_missing
from edge.data.table import Photo, PhotoSet
from edge.errors import InputError
from edge.labels import PAD_UFES_20, Label

# An id means the same photograph in all of them.
DOMAINS = ("isic", "isic_2016", "isic_2017", "isic_2018", "isic_2019", "isic_2020", "isic_masks")
CHALLENGE_FOLDER = re.compile(r"ISIC[-_]?20\d\d")  # such a folder is not that of a class

# ISIC diagnoses that have a counterpart among the six classes of PAD-UFES-20.
ISIC_TO_PAD = {"melanoma": "MEL", "nevus": "NEV", "seborrheic keratosis": "SEK"}
COLUMNS_2017 = ("image_id", "melanoma", "seborrheic_keratosis")  # the rest are nevi

# Columns of the tables of 2018 (task 3, HAM10000) and 2019, one of them 1 in each row.
ONE_HOT = (
    Label("MEL", "melanoma", malignant=True),
    Label("NV", "nevus", malignant=False),
    Label("BCC", "basal cell carcinoma", malignant=True),
    Label("AKIEC", "actinic keratosis or intraepithelial carcinoma", malignant=True),  # carcinoma in situ is among them
    Label("AK", "actinic keratosis", malignant=False),
    Label("BKL", "benign keratosis", malignant=False),
    Label("DF", "dermatofibroma", malignant=False),
    Label("VASC", "vascular lesion", malignant=False),
    Label("SCC", "squamous cell carcinoma", malignant=True),
)
NO_CLASS = "UNK"  # of 2019
COLUMNS_ONE_HOT = ("image", "MEL", "NV", "BCC", "BKL")
COLUMNS_GROUPS = ("image", "lesion_id")
COLUMNS_HAM10000 = ("image_id", "lesion_id", "dx")  # Kaggle's and the Dataverse's table; dx is a code of ONE_HOT
COLUMNS_2020 = ("image_name", "patient_id", "benign_malignant")  # also SIIM's
TWO_CLASSES = (Label("BEN", "benign lesion", malignant=False), Label("MEL", "melanoma", malignant=True))
TWO_WORDS = {"benign": "BEN", "malignant": "MEL"}  # of 2016 and 2020, whose malignant lesions are melanomas
LEVELS = tuple(f"diagnosis_{level}" for level in range(5, 0, -1))  # of today's archive, the most exact first
PUBLISHED = {"isic_2018": 10_015, "isic_2019": 25_331}  # rows of the training tables
LICENCES = {"isic_2018": "CC BY-NC 4.0", "isic_2019": "CC BY-NC 4.0"}  # some say share-alike of HAM10000, too


def read_archive(folder: Path, *, skip_missing: bool = False) -> PhotoSet:
    """An ISIC Archive download, diagnoses mapped to the classes of PAD-UFES-20; others are left out and counted.

    The archive rarely names patients. Groups are, in this order: `patient_id`, `lesion_id`, the `block`
    column of a `provenance.csv`, the image itself.
    """
    table = folder / "metadata.csv"
    rows = read_table(table)
    index = index_photos(folder)
    blocks = {}
    if (folder / "provenance.csv").is_file():
        blocks = {row["isic_id"]: row.get("block", "") for row in read_table(folder / "provenance.csv")}
    photos, missing, other = [], [], Counter[str]()
    for row in rows:
        name, diagnosis = row["isic_id"], diagnosis_of(row)
        if diagnosis not in ISIC_TO_PAD:
            other[diagnosis or "no diagnosis"] += 1
            continue
        path = find_photo(index, name)
        if path is None:
            missing.append(name)
            continue
        group = row.get("patient_id") or row.get("lesion_id") or blocks.get(name) or name
        photos.append(Photo(path, name, ISIC_TO_PAD[diagnosis], f"isic:{group}", "isic"))
    if not photos and not missing:
        raise InputError(f"{table} has no diagnosis among {', '.join(ISIC_TO_PAD)}")
    refuse_doubles(table, photos)
    notes = refuse_missing(table, missing, len(photos) + len(missing), skip_missing=skip_missing)
    if other:
        notes.append(f"left out, no such class: {', '.join(f'{n} {name}' for name, n in other.most_common(5))}")
    licences = sorted({row.get("copyright_license") or "unknown" for row in rows})
    return PhotoSet("ISIC dermoscopy", PAD_UFES_20, tuple(photos), licence=", ".join(licences), notes=tuple(notes))


def diagnosis_of(row: dict[str, str]) -> str:
    """A row's diagnosis in the words of ISIC_TO_PAD where it has one, else in the archive's own.

    Today's downloads have up to five levels from `diagnosis_1`, as Malignant, to the most exact, as Melanoma in situ.
    """
    if "diagnosis" in row:
        return row["diagnosis"]
    levels = [row[level].lower() for level in LEVELS if row.get(level)]
    for level in levels:
        for known in ISIC_TO_PAD:
            if level == known or level.startswith((f"{known} ", f"{known},")):
                return known
    return levels[0] if levels else ""


def read_challenge(folder: Path, *, skip_missing: bool = False) -> PhotoSet | None:
    """Tables of an ISIC challenge in `folder` or its own folders one below, images anywhere; None without tables."""
    below = (path for path in folder.glob("*/*.csv") if CHALLENGE_FOLDER.match(path.parent.name))
    named = {*folder.glob("*.csv"), *folder.glob("HAM10000_metadata*"), *below}  # the Dataverse's has no ending
    tables = [(path, header(path)) for path in sorted(named) if path.is_file()]

    def with_columns(columns: tuple[str, ...]) -> list[Path]:
        return [path for path, names in tables if set(columns) <= set(names)]

    early, truth = with_columns(COLUMNS_2017), with_columns(COLUMNS_ONE_HOT)
    lesions, patients = with_columns(COLUMNS_HAM10000), with_columns(COLUMNS_2020)
    first = [path for path, names in tables if len(names) == 2 and names[1] in TWO_WORDS]
    kinds = [kind[0] for kind in (early, truth, lesions, patients, first) if kind]
    if len(kinds) > 1:
        raise InputError(f"{kinds[0]} and {kinds[1]} are of two challenges; give each a folder of its own")
    if early:
        return read_2017(folder, early, skip_missing=skip_missing)
    if truth:
        return read_one_hot(folder, truth, with_columns(COLUMNS_GROUPS), skip_missing=skip_missing)
    if lesions:
        return read_ham10000(folder, lesions, skip_missing=skip_missing)
    if patients:
        rows = [row for table in patients for row in read_table(table)]
        return read_two_classes(folder, patients[0], rows, "isic_2020", skip_missing=skip_missing)
    if first:
        pairs = read_lines(first[0])  # its table has no header
        rows = [{"image_name": line[0], "benign_malignant": line[-1]} for line in pairs]
        return read_two_classes(folder, first[0], rows, "isic_2016", skip_missing=skip_missing)
    return None


def header(path: Path) -> list[str]:
    with path.open(encoding="utf-8-sig", errors="replace") as file:
        return next(csv.reader([file.readline(1000)]), [])


def read_2017(folder: Path, tables: list[Path], *, skip_missing: bool = False) -> PhotoSet:
    """The ISIC 2017 challenge, with the classes of PAD-UFES-20.

    Neither patients nor lesions are named: every image is a group of its own.
    """
    index = index_photos(folder)
    photos, missing, rows = [], [], 0
    for table in tables:
        for line, row in enumerate(read_table(table), start=2):
            rows += 1
            melanoma, keratosis = numbers(row, COLUMNS_2017[1:])
            if (melanoma, keratosis) not in {(0.0, 0.0), (1.0, 0.0), (0.0, 1.0)}:
                raise InputError(f"{table}:{line}: melanoma and seborrheic_keratosis are 0 or 1, and not 1 at once")
            name = row["image_id"]
            path = find_photo(index, name)
            if path is None:
                missing.append(name)
            else:
                code = "MEL" if melanoma else "SEK" if keratosis else "NEV"
                photos.append(Photo(path, name, code, f"isic:{name}", "isic_2017"))
    refuse_doubles(tables[0], photos)
    notes = refuse_missing(tables[0], missing, rows, skip_missing=skip_missing)
    notes.append("no patients are named: every photograph counts as a patient of its own")
    return PhotoSet("ISIC 2017", PAD_UFES_20, tuple(photos), licence="unknown", notes=tuple(notes))


def read_one_hot(folder: Path, truth: list[Path], groups: list[Path], *, skip_missing: bool = False) -> PhotoSet:
    """ISIC 2018 task 3 (HAM10000) or ISIC 2019, with the classes of their own tables; a lesion is a group.

    A row of no known class (`UNK`) is left out and counted.
    """
    columns = header(truth[0])
    classes = tuple(label for label in ONE_HOT if label.code in columns)
    codes = [label.code for label in classes]
    domain = "isic_2018" if "AKIEC" in columns else "isic_2019"
    lesions = {row["image"]: row["lesion_id"] for table in groups for row in read_table(table) if row["lesion_id"]}
    index = index_photos(folder)
    photos, missing, unknown, rows = [], [], 0, 0
    for table in truth:
        for line, row in enumerate(read_table(table), start=2):
            rows += 1
            shares = numbers(row, [*codes, *([NO_CLASS] if NO_CLASS in columns else [])])
            if sorted(shares) != [0.0] * (len(shares) - 1) + [1.0]:
                raise InputError(f"{table}:{line}: one of {', '.join(codes)} is 1 and the others are 0")
            if shares.index(1.0) == len(codes):
                unknown += 1
                continue
            name = row["image"]
            path = find_photo(index, name)
            if path is None:
                missing.append(name)
                continue
            group = f"isic:{lesions.get(name, name)}"
            photos.append(Photo(path, name, codes[shares.index(1.0)], group, domain))
    refuse_doubles(truth[0], photos)
    notes = refuse_missing(truth[0], missing, rows, skip_missing=skip_missing)
    if unknown:
        notes.append(f"left out, no such class: {unknown} {NO_CLASS}")
    if rows != PUBLISHED[domain]:
        notes.append(f"{rows} rows; the challenge's training table has {PUBLISHED[domain]}")
    alone = sum(photo.image_id not in lesions for photo in photos)
    if alone:
        notes.append(f"no lesion is named for {alone} photographs: each counts as a patient of its own")
    name = f"ISIC {domain[-4:]}"
    return PhotoSet(name, classes, tuple(photos), licence=LICENCES[domain], notes=tuple(notes))


def read_ham10000(folder: Path, tables: list[Path], *, skip_missing: bool = False) -> PhotoSet:
    """HAM10000 with its own table: seven classes from `dx`, a lesion is a group; images in any folders below."""
    known = {label.code: label for label in ONE_HOT if label.code not in {"AK", "SCC"}}
    index = index_photos(folder)
    photos, missing, rows = [], [], 0
    for table in tables:
        for line, row in enumerate(read_table(table), start=2):
            rows += 1
            code, name = row["dx"].upper(), row["image_id"]
            if code not in known:
                raise InputError(f"{table}:{line}: dx {row['dx']!r} is none of {', '.join(c.lower() for c in known)}")
            path = find_photo(index, name)
            if path is None:
                missing.append(name)
            else:
                photos.append(Photo(path, name, code, f"isic:{row['lesion_id'] or name}", "isic_2018"))
    refuse_doubles(tables[0], photos)
    notes = refuse_missing(tables[0], missing, rows, skip_missing=skip_missing)
    if rows != PUBLISHED["isic_2018"]:
        notes.append(f"{rows} rows; HAM10000 has {PUBLISHED['isic_2018']}")
    licence = LICENCES["isic_2018"]
    return PhotoSet("HAM10000", tuple(known.values()), tuple(photos), licence=licence, notes=tuple(notes))


def read_two_classes(
    folder: Path, table: Path, rows: list[dict[str, str]], domain: str, *, skip_missing: bool = False
) -> PhotoSet:
    """The ISIC challenges of 2016 and 2020 (SIIM): melanoma or benign; patients, where the table has them."""
    index = index_photos(folder)
    photos, missing = [], []
    for line, row in enumerate(rows, start=1):
        name, word = row["image_name"], row["benign_malignant"]
        if word not in TWO_WORDS:
            raise InputError(f"{table}: row {line}: expected benign or malignant, got {word!r:.40}")
        path = find_photo(index, name)
        if path is None:
            missing.append(name)
        else:
            photos.append(Photo(path, name, TWO_WORDS[word], f"isic:{row.get('patient_id') or name}", domain))
    refuse_doubles(table, photos)
    notes = refuse_missing(table, missing, len(rows), skip_missing=skip_missing)
    if not any(row.get("patient_id") for row in rows):
        notes.append("no patients are named: every photograph counts as a patient of its own")
    return PhotoSet(f"ISIC {domain[-4:]}", TWO_CLASSES, tuple(photos), licence="CC BY-NC 4.0", notes=tuple(notes))


def numbers(row: dict[str, str], columns: tuple[str, ...] | list[str]) -> list[float]:
    """The row's numbers; all -1 where one is not a number, or where a table lacks a column that the first has."""
    try:
        return [float(row[column]) for column in columns]
    except (ValueError, KeyError):
        return [-1.0] * len(columns)
