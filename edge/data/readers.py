"""Folders of photographs -> PhotoSet: PAD-UFES-20 and folder-per-class layouts, those of ISIC, and masks beside any."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace
from pathlib import Path

from edge.data.identity import archive_id
from edge.data.isic import CHALLENGE_FOLDER, read_archive, read_challenge
from edge.data.listing import (
    aside,
    find_photo,
    holds_photos,
    index_photos,
    left_aside,
    look_alikes,
    photos_below,
    plain,
    read_table,
    refuse_doubles,
    refuse_missing,
)
from edge.data.table import UNKNOWN, Photo, PhotoSet
from edge.errors import InputError
from edge.files import read_json
from edge.labels import PAD_UFES_20, Label, from_json

# doi:10.17632/zr7vgbcyr2.1, counted in the official metadata.csv
PAD_COUNTS = {"ACK": 730, "BCC": 845, "MEL": 52, "NEV": 244, "SCC": 192, "SEK": 235}
PAD_COLUMNS = ("patient_id", "lesion_id", "diagnostic", "img_id")  # of its 26, those that are used
SYNTHETIC_MARK = "SYNTHETIC.txt"  # a file that the synthetic sample carries

MASK_ENDING = "_segmentation.png"
PATIENTS = "patients.csv"
TABLES = {".csv", ".tsv", ".tab", ".xlsx", ".xls", ".parquet"}
NO_CLASS_FOLDER = re.compile(  # parts of a set, and what stands beside photographs
    r"(train|training|test|testing|val|valid|validation|holdout|all|data|images?|imgs?|photos|masks?|segmentations?"
    r"|ground_?truths?|labels|superpixels)([-_ ]?(set|data|images?|input|groundtruth|masks?))?([-_ ]?part)?[-_ ]?\d*"
    r"|.*_(images?|imgs)_part_\d+|part[-_ ]?\d+|fold[-_ ]?\d+",
    re.IGNORECASE,
)


def check_there(folder: Path) -> None:
    """InputError if there is no such folder."""
    if not folder.is_dir():
        raise InputError(f"no data folder at {folder}; give `photos` a folder of photographs (docs/your_own_model.md)")


def open_photos(folder: Path, *, skip_missing: bool = False, unlabelled: bool = False) -> PhotoSet:
    """Read the set in `folder`, whichever of the known layouts it has.

    * `metadata.csv` with `img_id` and `diagnostic`: PAD-UFES-20, the official layout or any nesting of it
    * `metadata.csv` with `isic_id` and `diagnosis`, or today's `diagnosis_1` to `diagnosis_5`: an ISIC Archive download
    * the tables of the ISIC challenges of 2016 to 2020, of SIIM and of HAM10000, at the top or in the folder that they
      unpack to
    * sub-folders that hold photographs, also in folders of their own: one class each
    * a folder that holds `pad_ufes_20/`: that one
    * photographs with masks and no class at all, as of ISIC 2018, task 1: only with `unlabelled`; `classes` is empty

    A file `<image>_segmentation.png` anywhere below is the mask of that image's lesion, as in the ISIC challenges.

    Raises InputError where there is none of these, where there are no classes, or where images of the table are
    missing (`skip_missing` goes on without them).
    """
    folder = Path(folder)
    check_there(folder)
    photos = with_masks(read_set(folder, skip_missing=skip_missing), folder)
    if not photos.classes and not unlabelled:
        raise InputError(
            f"{folder} has photographs and masks, but no classes: neither a table nor a folder per class. They can "
            "teach masks in training, beside a set that has classes: docs/multi_task.md says how"
        )
    return photos


def read_set(folder: Path, *, skip_missing: bool) -> PhotoSet:
    """The set in `folder`, without masks."""
    table = folder / "metadata.csv"
    if table.is_file():
        columns = read_table(table)[0].keys()
        if "img_id" in columns and "diagnostic" in columns:
            return read_pad_ufes(folder, skip_missing=skip_missing)
        if "isic_id" in columns and {"diagnosis", "diagnosis_1"} & columns:
            return read_archive(folder, skip_missing=skip_missing)
        raise InputError(
            f"{table} has the columns {', '.join(list(columns)[:8])}…; expected PAD-UFES-20's (img_id, diagnostic, "
            "patient_id, lesion_id) or the ISIC Archive's (isic_id, diagnosis)"
        )
    if (folder / "pad_ufes_20" / "metadata.csv").is_file():
        return read_pad_ufes(folder / "pad_ufes_20", skip_missing=skip_missing)
    challenge = read_challenge(folder, skip_missing=skip_missing)
    if challenge is not None:
        return challenge
    classes = class_folders(folder)
    if len(classes) < 2 and (unlabelled := read_unlabelled(folder)):
        return unlabelled
    if classes:
        return read_class_folders(folder)
    raise InputError(
        f"{folder} has neither a metadata.csv (PAD-UFES-20 or ISIC Archive layout) nor sub-folders with photographs, "
        "one per class; see docs/your_own_model.md"
    )


def with_masks(photos: PhotoSet, folder: Path) -> PhotoSet:
    """The set with the masks that lie anywhere below its folder.

    A mask belongs to the photograph of its name in the same folder, else to the only one of that name. Raises
    InputError where two masks belong to one photograph, or where it is ambiguous to which photograph a mask belongs.
    """
    masks_by_name = masks_below(folder)
    if not masks_by_name:
        return photos
    folders: dict[str, set[Path]] = {}  # of the photographs of a name
    for photo in photos.photos:
        folders.setdefault(photo.path.stem, set()).add(photo.path.parent)
    masked = []
    for photo in photos.photos:
        name, masks = photo.path.stem, masks_by_name.get(photo.path.stem, [])
        own = [path for path in masks if path.parent == photo.path.parent]
        loose = [path for path in masks if path.parent not in folders[name]]
        if loose and not own and len(folders[name]) > 1:
            raise InputError(
                f"{loose[0]} may be of any of {len(folders[name])} photographs called {name}; "
                "put each mask beside its photograph"
            )
        if len([*own, *loose]) > 1:
            raise InputError(f"two masks are of {name}: {[*own, *loose][0]} and {[*own, *loose][1]}; remove one")
        masked.append(replace(photo, mask=next(iter([*own, *loose]), None)))
    count = sum(photo.mask is not None for photo in masked)
    note = f"{count} of {len(masked)} photographs have a mask"
    return replace(photos, photos=tuple(masked), notes=(*photos.notes, note))


def masks_below(folder: Path) -> dict[str, list[Path]]:
    """Photograph's name without its suffix -> the masks of that name, also where their suffix is in capitals."""
    masks: dict[str, list[Path]] = {}
    for path in sorted(folder.rglob("*")):
        if path.name.lower().endswith(MASK_ENDING):
            masks.setdefault(path.name[: -len(MASK_ENDING)], []).append(path)
    return masks


def read_pad_ufes(folder: Path, *, skip_missing: bool = False) -> PhotoSet:
    """PAD-UFES-20: `metadata.csv` (official columns) and the images anywhere below the folder."""
    table = folder / "metadata.csv"
    rows = read_table(table)
    lacking = [column for column in PAD_COLUMNS if column not in rows[0]]
    if lacking:
        raise InputError(f"{table} lacks the column(s) {', '.join(lacking)} of PAD-UFES-20")
    known = {label.code for label in PAD_UFES_20}
    index = index_photos(folder)
    photos, missing = [], []
    for line, row in enumerate(rows, start=2):
        if row["diagnostic"] not in known:
            raise InputError(f"{table}:{line}: diagnostic {row['diagnostic']!r} is none of {', '.join(sorted(known))}")
        if not row["patient_id"]:
            raise InputError(f"{table}:{line}: patient_id is empty; without it no split is safe")
        path = find_photo(index, row["img_id"])
        if path is None:
            missing.append(row["img_id"])
        else:
            photos.append(Photo(path, row["img_id"], row["diagnostic"], row["patient_id"], "pad_ufes_20"))
    refuse_doubles(table, photos)
    notes = refuse_missing(table, missing, len(rows), skip_missing=skip_missing)
    notes += look_alikes(photo.patient for photo in photos)
    if (folder / SYNTHETIC_MARK).is_file():
        drawn = tuple(Photo(p.path, p.image_id, p.label, p.patient, "synthetic") for p in photos)
        return PhotoSet(
            "synthetic sample", PAD_UFES_20, drawn, synthetic=True, licence="Apache-2.0 (drawn)", notes=tuple(notes)
        )
    counts = Counter(row["diagnostic"] for row in rows)
    short = [f"{code} {counts[code]} of {PAD_COUNTS[code]}" for code in PAD_COUNTS if counts[code] != PAD_COUNTS[code]]
    if short:
        notes.append(f"the table has {len(rows)} of the official {sum(PAD_COUNTS.values())} rows: {', '.join(short)}")
    return PhotoSet("PAD-UFES-20", PAD_UFES_20, tuple(photos), licence="CC BY 4.0", notes=tuple(notes))


def class_folders(folder: Path) -> list[str]:
    """The names of sub-folders with photographs, but for hidden ones and those of an ISIC challenge."""
    children = (
        child
        for child in folder.iterdir()
        if child.is_dir() and not CHALLENGE_FOLDER.match(child.name) and not aside(child.name)
    )
    return sorted(child.name for child in children if holds_photos(child))


def refuse_no_classes(folder: Path, codes: list[str]) -> None:
    """InputError where folders are parts of a set or masks, or a table beside them would go unread."""
    parts = [name for name in codes if NO_CLASS_FOLDER.fullmatch(name)]
    if parts:
        raise InputError(
            f"{folder} has the folder(s) {', '.join(parts)}, which are parts of a set and no classes; give a folder "
            "per class, or a table that is read (docs/your_own_model.md)"
        )
    tables = sorted(path.name for path in folder.iterdir() if path.suffix.lower() in TABLES and path.name != PATIENTS)
    if tables:
        raise InputError(
            f"{folder} has class folders, and {tables[0]} beside them that nobody here reads; if it tells of patients, "
            f"bring it into the form of {PATIENTS} (columns file, patient), else move it elsewhere"
        )


def read_unlabelled(folder: Path) -> PhotoSet | None:
    """Photographs with a mask and without a class, as of ISIC 2018, task 1; None where there are no masks."""
    masked = masks_below(folder)
    index = index_photos(folder)
    known = [path for path in index.values() if path.stem in masked]
    if not known:
        return None
    archive = all(archive_id(path.name) for path in known)
    domain = "isic_masks" if archive else slug(folder.resolve().name)
    photos = (Photo(path, path.stem, UNKNOWN, f"isic:{path.stem}" if archive else path.stem, domain) for path in known)
    notes = ["no classes: these photographs teach masks alone, and each counts as a patient of its own"]
    if len(known) < len(index):
        notes.append(f"left out: {len(index) - len(known)} photographs without class or mask")
    return PhotoSet(folder.resolve().name, (), tuple(photos), notes=tuple(notes))


def read_class_folders(folder: Path) -> PhotoSet:
    """One sub-folder per class, named by its code.

    Two optional files: `labels.json`, a {"classes": [{code, name, malignant}, …]} in output order (default:
    the folders in alphabetical order, malignancy unknown); `patients.csv` with the columns `file` (relative to
    the folder) and `patient` (default: every photograph is a patient of its own, which is noted).
    """
    codes = class_folders(folder)
    refuse_no_classes(folder, codes)
    notes = []
    labels_file = folder / "labels.json"
    if labels_file.is_file():
        classes = from_json(read_json(labels_file, expected="class labels").get("classes"), where=str(labels_file))
        unknown = sorted(set(codes) - {label.code for label in classes})
        if unknown:
            raise InputError(f"{labels_file} does not name the class folder(s) {', '.join(unknown)}")
    else:
        classes = tuple(
            next((known for known in PAD_UFES_20 if known.code == name), Label(name, name, malignant=None))
            for name in codes
        )
        notes.append(
            f"no labels.json in {folder}: classes in alphabetical order, malignancy unknown but for known codes"
        )
    if len(classes) < 2:
        raise InputError(f"{folder} has one class folder ({', '.join(codes)}); a classifier needs at least 2")
    patients: dict[str, str] = {}
    table = folder / PATIENTS
    if table.is_file():
        rows = read_table(table)
        if not {"file", "patient"} <= rows[0].keys():
            raise InputError(f"{table} needs the columns file and patient, has {', '.join(rows[0])}")
        for row in rows:
            if patients.setdefault(row["file"], row["patient"]) != row["patient"]:
                raise InputError(f"{table} gives {row['file']} to {patients[row['file']]} and to {row['patient']}")
        notes += look_alikes(patients.values())
    else:
        notes.append(f"no patients.csv in {folder}: every photograph counts as a patient of its own")
    photos = []
    for name in codes:
        for path in photos_below(folder / name):
            image_id = plain(path.relative_to(folder).as_posix())
            if patients and not patients.get(image_id):
                raise InputError(f"{table} has no patient for {image_id}")
            photos.append(Photo(path, image_id, name, patients.get(image_id, image_id), slug(folder.resolve().name)))
    notes += left_aside(folder, [photo.path for photo in photos])
    return PhotoSet(folder.resolve().name, classes, tuple(photos), notes=tuple(notes))


def slug(text: str) -> str:
    return re.sub(r"\W+", "_", text).strip("_").lower() or "photos"
