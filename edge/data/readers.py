"""Folders of photographs -> PhotoSet: PAD-UFES-20, ISIC Archive and folder-per-class layouts."""

from __future__ import annotations

import csv
import re
from collections import Counter
from dataclasses import replace
from pathlib import Path

from edge.capture import SUFFIXES
from edge.data.table import Photo, PhotoSet
from edge.errors import InputError
from edge.files import MAX_JSON_BYTES, read_json
from edge.labels import PAD_UFES_20, Label, from_json

MAX_PHOTOS = 1_000_000

# doi:10.17632/zr7vgbcyr2.1, counted in the official metadata.csv
PAD_COUNTS = {"ACK": 730, "BCC": 845, "MEL": 52, "NEV": 244, "SCC": 192, "SEK": 235}
PAD_COLUMNS = ("patient_id", "lesion_id", "diagnostic", "img_id")  # of its 26, those that are used
SYNTHETIC_MARK = "SYNTHETIC.txt"  # a file that the synthetic sample carries

# ISIC diagnoses that have a counterpart among the six classes of PAD-UFES-20.
ISIC_TO_PAD = {"melanoma": "MEL", "nevus": "NEV", "seborrheic keratosis": "SEK"}
ISIC_2017_COLUMNS = ("image_id", "melanoma", "seborrheic_keratosis")  # the rest are nevi
MASK_ENDING = "_segmentation.png"
NO_PHOTOS = ("_segmentation", "_superpixels")  # what the ISIC challenges put beside photographs


def open_photos(folder: Path, *, skip_missing: bool = False) -> PhotoSet:
    """Read the set in `folder`, whichever of the known layouts it has.

    * `metadata.csv` with `img_id` and `diagnostic`: PAD-UFES-20, the official layout or any nesting of it
    * `metadata.csv` with `isic_id` and `diagnosis`: an ISIC Archive download
    * a CSV file with `image_id`, `melanoma` and `seborrheic_keratosis`: the ISIC 2017 challenge
    * sub-folders that hold photographs: one class each
    * a folder that holds `pad_ufes_20/`: that one

    A file `<image>_segmentation.png` anywhere below is the mask of that image's lesion, as in the ISIC challenges.

    Raises InputError where there is none of these, or where images of the table are missing
    (`skip_missing` goes on without them).
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(f"no data folder at {folder}; give --data a folder of photographs (docs/your_own_model.md)")
    return with_masks(read_set(folder, skip_missing=skip_missing), folder)


def read_set(folder: Path, *, skip_missing: bool) -> PhotoSet:
    """The set in `folder`, without masks."""
    table = folder / "metadata.csv"
    if table.is_file():
        columns = read_table(table)[0].keys()
        if "img_id" in columns and "diagnostic" in columns:
            return read_pad_ufes(folder, skip_missing=skip_missing)
        if "isic_id" in columns and "diagnosis" in columns:
            return read_isic(folder, skip_missing=skip_missing)
        raise InputError(
            f"{table} has the columns {', '.join(list(columns)[:8])}…; expected PAD-UFES-20's (img_id, diagnostic, "
            "patient_id, lesion_id) or the ISIC Archive's (isic_id, diagnosis)"
        )
    challenge = isic_2017_table(folder)
    if challenge is not None:
        return read_isic_2017(challenge, skip_missing=skip_missing)
    if (folder / "pad_ufes_20" / "metadata.csv").is_file():
        return read_pad_ufes(folder / "pad_ufes_20", skip_missing=skip_missing)
    if any(child.is_dir() and holds_photos(child) for child in folder.iterdir()):
        return read_class_folders(folder)
    raise InputError(
        f"{folder} has neither a metadata.csv (PAD-UFES-20 or ISIC Archive layout) nor sub-folders with photographs, "
        "one per class; see docs/your_own_model.md"
    )


def with_masks(photos: PhotoSet, folder: Path) -> PhotoSet:
    """The set with the masks that lie anywhere below its folder; InputError if two are of one image."""
    found: dict[str, Path] = {}
    for path in sorted(folder.rglob(f"*{MASK_ENDING}")):
        stem = path.name.removesuffix(MASK_ENDING)
        if stem in found:
            raise InputError(f"two masks are of {stem}: {found[stem]} and {path}; remove one")
        found[stem] = path
    if not found:
        return photos
    masked = tuple(replace(photo, mask=found.get(photo.path.stem)) for photo in photos.photos)
    count = sum(photo.mask is not None for photo in masked)
    return replace(photos, photos=masked, notes=(*photos.notes, f"{count} of {len(masked)} photographs have a mask"))


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
        raise InputError(f"{text}. Put them below {table.parent}, or go on without them with --skip-unreadable")
    return [text]


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


def refuse_doubles(table: Path, photos: list[Photo]) -> None:
    names = ([photo.image_id for photo in photos], [photo.path.name for photo in photos])  # a.png and a.jpg: one file
    double = [name for listed in names for name, count in Counter(listed).items() if count > 1]
    if double:
        raise InputError(f"{table} lists {double[0]} {'and others ' if len(double) > 1 else ''}more than once")


def read_isic(folder: Path, *, skip_missing: bool = False) -> PhotoSet:
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
        name = row["isic_id"]
        if row["diagnosis"] not in ISIC_TO_PAD:
            other[row["diagnosis"] or "no diagnosis"] += 1
            continue
        path = find_photo(index, name)
        if path is None:
            missing.append(name)
            continue
        group = row.get("patient_id") or row.get("lesion_id") or blocks.get(name) or name
        photos.append(Photo(path, name, ISIC_TO_PAD[row["diagnosis"]], f"isic:{group}", "isic"))
    if not photos and not missing:
        raise InputError(f"{table} has no diagnosis among {', '.join(ISIC_TO_PAD)}")
    refuse_doubles(table, photos)
    notes = refuse_missing(table, missing, len(photos) + len(missing), skip_missing=skip_missing)
    if other:
        notes.append(f"left out, no such class: {', '.join(f'{n} {name}' for name, n in other.most_common(5))}")
    licences = sorted({row.get("copyright_license") or "unknown" for row in rows})
    return PhotoSet("ISIC dermoscopy", PAD_UFES_20, tuple(photos), licence=", ".join(licences), notes=tuple(notes))


def isic_2017_table(folder: Path) -> Path | None:
    """The file with the diagnoses of ISIC 2017, by its header."""
    for path in sorted(folder.glob("*.csv")):
        with path.open(encoding="utf-8-sig", errors="replace") as file:
            if set(ISIC_2017_COLUMNS) <= set(file.readline(1000).strip().split(",")):
                return path
    return None


def read_isic_2017(table: Path, *, skip_missing: bool = False) -> PhotoSet:
    """The ISIC 2017 challenge: its table of diagnoses, images and masks anywhere below; classes of PAD-UFES-20.

    Neither patients nor lesions are named: every image is a group of its own.
    """
    index = index_photos(table.parent)
    photos, missing = [], []
    rows = read_table(table)
    for line, row in enumerate(rows, start=2):
        try:
            melanoma, keratosis = (float(row[column]) for column in ISIC_2017_COLUMNS[1:])
        except ValueError:
            melanoma = keratosis = -1.0
        if (melanoma, keratosis) not in {(0.0, 0.0), (1.0, 0.0), (0.0, 1.0)}:
            raise InputError(f"{table}:{line}: melanoma and seborrheic_keratosis are 0 or 1, and not 1 at once")
        name = row["image_id"]
        path = find_photo(index, name)
        if path is None:
            missing.append(name)
        else:
            code = "MEL" if melanoma else "SEK" if keratosis else "NEV"
            photos.append(Photo(path, name, code, f"isic:{name}", "isic_2017"))
    refuse_doubles(table, photos)
    notes = refuse_missing(table, missing, len(rows), skip_missing=skip_missing)
    notes.append("no patients are named: every photograph counts as a patient of its own")
    return PhotoSet("ISIC 2017", PAD_UFES_20, tuple(photos), licence="unknown", notes=tuple(notes))


def read_class_folders(folder: Path) -> PhotoSet:
    """One sub-folder per class, named by its code.

    Two optional files: `labels.json`, a {"classes": [{code, name, malignant}, …]} in output order (default:
    the folders in alphabetical order, none malignant); `patients.csv` with the columns `file` (relative to
    the folder) and `patient` (default: every photograph is a patient of its own, which is noted).
    """
    found = sorted(child.name for child in folder.iterdir() if child.is_dir() and holds_photos(child))
    notes = []
    labels_file = folder / "labels.json"
    if labels_file.is_file():
        classes = from_json(read_json(labels_file, what="class labels").get("classes"), where=str(labels_file))
        unknown = sorted(set(found) - {label.code for label in classes})
        if unknown:
            raise InputError(f"{labels_file} does not name the class folder(s) {', '.join(unknown)}")
    else:
        classes = tuple(
            next((known for known in PAD_UFES_20 if known.code == name), Label(name, name, malignant=False))
            for name in found
        )
        notes.append(f"no labels.json in {folder}: classes in alphabetical order, malignancy only of known codes")
    if len(classes) < 2:
        raise InputError(f"{folder} has one class folder ({', '.join(found)}); a classifier needs at least 2")
    patients = {}
    table = folder / "patients.csv"
    if table.is_file():
        rows = read_table(table)
        if not {"file", "patient"} <= rows[0].keys():
            raise InputError(f"{table} needs the columns file and patient, has {', '.join(rows[0])}")
        patients = {row["file"]: row["patient"] for row in rows}
    else:
        notes.append(f"no patients.csv in {folder}: every photograph counts as a patient of its own")
    photos = []
    for name in found:
        for path in sorted((folder / name).iterdir()):
            if not is_photo(path):
                continue
            image_id = path.relative_to(folder).as_posix()
            if patients and not patients.get(image_id):
                raise InputError(f"{table} has no patient for {image_id}")
            photos.append(Photo(path, image_id, name, patients.get(image_id, image_id), slug(folder.resolve().name)))
    return PhotoSet(folder.resolve().name, classes, tuple(photos), notes=tuple(notes))


def slug(text: str) -> str:
    return re.sub(r"\W+", "_", text).strip("_").lower() or "photos"
