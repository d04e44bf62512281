"""Folders of photographs -> PhotoSet: PAD-UFES-20 and folder-per-class layouts, those of ISIC, and masks beside any."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path

from edge.data.answer_columns import AnswersOf
from edge.data.class_folders import class_folders, packed, read_class_folders, slug
from edge.data.class_labels import labels_file
from edge.data.copies import without_copies
from edge.data.csv_table import ENDINGS, NOT_READ, header, known, read_table
from edge.data.groups import names_groups
from edge.data.identity import archive_id
from edge.data.isic import CHALLENGE_FOLDER, DOMAINS, kind_of, read_isic
from edge.data.joined.reading import is_joined
from edge.data.joined.reading import read as read_joined
from edge.data.listing import (
    MASK_ENDING,
    Contents,
    aside,
    contents_of,
    index_photos,
    look_alikes,
    names_of,
    notes_on,
    refuse_doubles,
    refuse_missing,
)
from edge.data.official import altered, is_official
from edge.data.patient_table import PATIENT_TABLE, PATIENTS
from edge.data.prepared.parts import files_of, is_prepared, with_folds
from edge.data.shards.layout import is_sharded
from edge.data.shards.reading import read as read_sharded
from edge.data.table import UNKNOWN, Photo, PhotoSet
from edge.data.zipped import by_given_names, given_names, is_zip, readable
from edge.errors import InputError
from edge.labels import PAD_UFES_20

PAD_COLUMNS = ("patient_id", "lesion_id", "diagnostic", "img_id")  # of its 26, those that are used
SYNTHETIC_MARK = "SYNTHETIC.txt"  # a file that the synthetic sample carries
FIRST_SETS = ("pad_ufes_20", "isic")  # of a folder that holds several sets; the others by the alphabet
MAX_DEPTH = 3  # of a set below the folder that was given: archives unpack to a folder in a folder


def check_there(folder: Path) -> None:
    """InputError if there is no such folder, nor a zip file."""
    if not folder.is_dir() and not is_zip(folder):
        raise InputError(f"no data folder at {folder}; give `photos` a folder of photographs (docs/your_own_model.md)")


@dataclass(frozen=True)
class Tables:
    """The tables at the top of a folder."""

    pad: list[Path]
    isic: dict[str, list[Path]]  # kind -> tables that give images their classes
    others: list[Path]

    @property
    def classes(self) -> list[Path]:
        return [*self.pad, *(path for listed in self.isic.values() for path in listed)]


def tables_of(folder: Path) -> Tables:
    """By their columns, whatever they are called; those of an ISIC challenge also in the folder that they unpack to."""
    pad: list[Path] = []
    isic: dict[str, list[Path]] = {}
    others: list[Path] = []
    inside = (path for pattern in ("*/*.csv", "*/*/*.csv") for path in folder.glob(pattern))
    unpacked = (path for path in inside if CHALLENGE_FOLDER.match(path.relative_to(folder).parts[0]))
    for path in sorted({*folder.iterdir(), *unpacked}):
        ending = path.suffix.lower()
        if ending not in {*ENDINGS, *NOT_READ} or not path.is_file() or aside(path.name):
            continue
        if ending in NOT_READ:
            others.append(path)
        elif {"img_id", "diagnostic"} <= set(header(path)):
            pad.append(path)
        elif kind := kind_of(path):
            isic.setdefault(kind, []).append(path)
        elif ending not in {".txt", ""} or names_groups(path) or PATIENT_TABLE.fullmatch(path.name):
            others.append(path)
    return Tables(pad, isic, others)


def open_photos(folder: str | Path, *, skip_missing: bool = False, unlabelled: bool = False) -> PhotoSet:
    """Read the set in `folder`, whichever of the known layouts it has (docs/your_own_model.md lists them).

    * a table with `img_id` and `diagnostic`: PAD-UFES-20, the official layout or any nesting of it
    * a table with `isic_id` and `diagnosis`, or today's `diagnosis_1` to `diagnosis_5`: an ISIC Archive download
    * the tables of the ISIC challenges of 2016 to 2020, of SIIM and of HAM10000, at the top or in the folder that they
      unpack to
    * the table that `dermedge join-sets` wrote
    * the shards that `dermedge prepare --shards` wrote
    * sub-folders that hold photographs, also in folders of their own: one class each
    * a folder in which one of these lies, up to three folders deep
    * photographs with masks and no class at all, as of ISIC 2018, task 1: only with `unlabelled`; `classes` is empty

    A file `<image>_segmentation.png` anywhere below is the mask of that image's lesion, as in the ISIC challenges.
    What is left out is named in `notes`, a line for each reason. Zip files are read like folders (`edge.data.zipped`).

    Raises InputError where there is none of these or several sets, where there are no classes, where the same bytes
    have two classes, or where images of the table are missing (`skip_missing` goes on without them).
    """
    folder = Path(folder)
    inside = sets_in(folder)
    if len(inside) > 1:
        raise InputError(
            f"{folder} holds {len(inside)} sets of photographs: "
            f"{', '.join(path.name for path in inside)}; give one of them, or put what belongs together into one "
            "folder with one table"
        )
    return open_one(inside[0], skip_missing=skip_missing, unlabelled=unlabelled)


def sets_in(folder: Path) -> list[Path]:
    """The folder itself where it is a set, else the sets that lie in it, of which a table or labels.json tells.

    A zip file stands for the folder that it was packed from, also one in the folder. Raises InputError where there is
    no such folder, where a zip file cannot be trusted, or class folders stand beside a set.
    """
    check_there(folder)
    with by_given_names():
        return sets_below(readable(folder))


def sets_below(folder: Path) -> list[Path]:
    """As `sets_in`, of a folder whose zip files are unpacked."""
    inside = below(folder, MAX_DEPTH)
    if not inside:
        return [folder]
    others = [
        child.name
        for child in sorted(folder.iterdir())
        if child.is_dir()
        and not aside(child.name)
        and not any(child in (path, *path.parents) for path in inside)
        and contents_of(child).photos
    ]
    if others:
        raise InputError(
            f"{folder} holds the set {inside[0].relative_to(folder)} and beside it, with photographs, the folder(s) "
            f"{', '.join(others[:3])}; give one of them"
        )
    return inside


def below(folder: Path, depth: int) -> list[Path]:
    """Sets in sub-folders of a folder that is none by a table of its own, those of FIRST_SETS first."""
    if (
        depth == 0
        or is_joined(folder)
        or is_sharded(folder)
        or tables_of(folder).classes
        or (folder / "metadata.csv").is_file()
        or labels_file(folder)
    ):
        return []
    children = [
        child
        for child in folder.iterdir()
        if child.is_dir() and not aside(child.name) and not CHALLENGE_FOLDER.match(child.name)
    ]
    ranks = {name: number for number, name in enumerate(FIRST_SETS)}
    sets: list[Path] = []
    for child in sorted(children, key=lambda path: (ranks.get(path.name, len(ranks)), path.name)):
        own = tables_of(child).classes or labels_file(child)
        sets += (
            [child]
            if is_joined(child) or is_sharded(child) or (own and contents_of(child).photos)
            else below(child, depth - 1)
        )
    return sets


def open_one(folder: Path, *, skip_missing: bool = False, unlabelled: bool = False) -> PhotoSet:
    """The set whose own folder this is."""
    with by_given_names():
        photos = read_whole(folder, skip_missing=skip_missing, unlabelled=unlabelled)
    notes = tuple(map(given_names, photos.notes))
    return replace(photos, notes=notes, altered=given_names(photos.altered))


def read_whole(folder: Path, *, skip_missing: bool, unlabelled: bool) -> PhotoSet:
    """The set with its masks, without copies, and with notes on everything that is left out."""
    if is_joined(folder):
        return read_joined(folder, skip_missing=skip_missing)
    if is_sharded(folder):
        return read_sharded(folder)
    contents = contents_of(folder)
    photos = with_masks(read_set(contents, skip_missing=skip_missing), contents)
    if is_prepared(folder):
        photos = with_folds(photos, folder)
    if not photos.classes and not unlabelled:
        raise InputError(
            f"{folder} has photographs and masks, but no classes: neither a table nor a folder per class. They can "
            "teach masks in training, beside a set that has classes: docs/multi_task.md says how"
        )
    if photos.domain in DOMAINS or photos.domain == "pad_ufes_20":
        photos = photos.with_notes(look_alikes({photo.patient.removeprefix("isic:") for photo in photos.photos}))
    tables = tables_of(folder)
    otherwise = "photographs that no table gives a class" if tables.classes else "photographs in no class's folder"
    if not photos.classes:
        otherwise = "photographs without class or mask"
    photos = photos.with_notes(beside_table(photos, folder) if tables.classes else [])
    files = [path for photo in photos.photos for path in (photo.path, photo.mask) if path is not None]
    used = [*files, *tables.classes, *tables.others, *files_of(folder)]
    once, copies = without_copies(photos.photos, photos.name)
    return replace(photos, photos=once).with_notes([*notes_on(contents, used=used, otherwise=otherwise), *copies])


def beside_table(photos: PhotoSet, folder: Path) -> list[str]:
    """Notes on what says something else of the classes than the table, which counts."""
    codes = {code.casefold(): code for code in photos.codes}
    said = [(photo, codes.get(photo.path.parent.name.casefold())) for photo in photos.photos]
    others = [(photo, code) for photo, code in said if code not in {None, photo.label}]
    notes = (
        [f"{labels.name} is not read beside a table that gives the classes"] if (labels := labels_file(folder)) else []
    )
    if others:
        photo, code = others[0]
        notes.append(
            f"photographs that lie in the folder of another class than the table's, which counts: {len(others)}, first "
            f"{photo.image_id}, {photo.label} in the table and in {code}"
        )
    return notes


def read_set(contents: Contents, *, skip_missing: bool) -> PhotoSet:
    """The set in the folder, without masks."""
    folder, tables = contents.folder, tables_of(contents.folder)
    if tables.pad and tables.isic:
        raise InputError(f"{tables.classes[0]} and {tables.classes[-1]} are of two sets; give each a folder of its own")
    if tables.classes:
        read = tables.classes
        if tables.pad:
            table = next((path for path in tables.pad if path.name == "metadata.csv"), tables.pad[0])
            if len(tables.pad) > 1 and table.name != "metadata.csv":
                raise InputError(f"{tables.pad[0]} and {tables.pad[1]} both have the columns of PAD-UFES-20; keep one")
            photos, read = read_pad_ufes(table, contents, skip_missing=skip_missing), [table]
        else:
            photos = read_isic(folder, tables.isic, tables.others, contents, skip_missing=skip_missing)
            read = [*read, *filter(names_groups, tables.others)]
        rest = [path.name for path in [*tables.classes, *tables.others] if path not in read]
        return photos.with_notes(
            [f"tables that are not read: {', '.join(rest[:5])}{', …' * (len(rest) > 5)}"] if rest else []
        )
    table = folder / "metadata.csv"
    if table.is_file():
        columns = list(read_table(table)[0])
        raise InputError(
            f"{table} has the columns {', '.join(columns[:8])}…; expected PAD-UFES-20's (img_id, diagnostic, "
            "patient_id, lesion_id), the ISIC Archive's (isic_id, diagnosis) or those of an ISIC challenge. A table of "
            f"patients beside class folders is called {PATIENTS} (docs/data_sets.md)"
        )
    classes = class_folders(contents)
    if len(classes) < 2 and (unlabelled := read_unlabelled(contents)):
        return unlabelled
    if classes:
        return read_class_folders(contents, tables.others)
    raise InputError(
        f"{folder} has neither a metadata.csv (PAD-UFES-20 or ISIC Archive layout) nor sub-folders with photographs, "
        f"one per class; see docs/data_sets.md{not_read(contents, tables.others)}{packed(contents)}{left_out(contents)}"
    )


def not_read(contents: Contents, tables: list[Path]) -> str:
    """The tables that lie there and are none of those that are known."""
    unread = [*tables, *contents.tables]
    return f"; {names_of(unread, contents.folder)} has the columns of none that is read" if unread else ""


def left_out(contents: Contents) -> str:
    """What lies there and is no photograph of a class, in a few words."""
    lines = notes_on(contents, used=contents.tables, otherwise="photographs in no folder of a class")
    return "".join(f"; {line}" for line in lines[:3])


def with_masks(photos: PhotoSet, contents: Contents) -> PhotoSet:
    """The set with the masks that lie anywhere below its folder.

    A mask belongs to the photograph of its name in the same folder, else to the only one of that name. Raises
    InputError where two masks belong to one photograph, or where it is ambiguous to which photograph a mask belongs.
    """
    masks_by_name = masks_of(contents)
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
    return replace(photos, photos=tuple(masked)).with_notes([f"{count} of {len(masked)} photographs have a mask"])


def masks_of(contents: Contents) -> dict[str, list[Path]]:
    """Photograph's name without its suffix -> the masks of that name, also where their suffix is in capitals."""
    masks: dict[str, list[Path]] = {}
    for path in contents.masks:
        masks.setdefault(path.name[: -len(MASK_ENDING)], []).append(path)
    return masks


def read_pad_ufes(table: Path, contents: Contents, *, skip_missing: bool) -> PhotoSet:
    """PAD-UFES-20: its table (official columns) and the images anywhere below the folder."""
    rows = read_table(table)
    lacking = [column for column in PAD_COLUMNS if column not in rows[0]]
    if lacking:
        raise InputError(f"{table} lacks the column(s) {', '.join(lacking)} of PAD-UFES-20")
    codes = {label.code for label in PAD_UFES_20}
    index = index_photos(contents)
    said = AnswersOf()
    photos, missing = [], []
    for line, row in enumerate(rows, start=2):
        code = row["diagnostic"].upper()
        if code not in codes:
            raise InputError(f"{table}:{line}: diagnostic {row['diagnostic']!r} is none of {', '.join(sorted(codes))}")
        if not known(row["patient_id"], table):
            raise InputError(f"{table}:{line}: patient_id is empty; without it no split is safe")
        path = index.find(row["img_id"])
        if path is None:
            missing.append(row["img_id"])
        else:
            image = row["img_id"]
            said.add(image, row)
            lesion = known(row["lesion_id"], table)
            photos.append(
                Photo(
                    path, image, code, row["patient_id"], "pad_ufes_20", answers=said.of(image),
                    lesion=f"{row['patient_id']}/{lesion}" if lesion else "",
                )
            )  # fmt: skip
    refuse_doubles([table], photos)
    notes = [*refuse_missing(table, missing, len(rows), contents, skip_missing=skip_missing), *said.notes()]
    if (contents.folder / SYNTHETIC_MARK).is_file():
        drawn = tuple(replace(photo, domain="synthetic") for photo in photos)
        return PhotoSet(
            "synthetic sample", PAD_UFES_20, drawn, synthetic=True, licence="Apache-2.0 (drawn)", notes=tuple(notes)
        )
    counts = Counter(row["diagnostic"].upper() for row in rows)
    apart = altered("pad_ufes_20", counts)
    notes += [apart] if apart else []
    return PhotoSet(
        "PAD-UFES-20", PAD_UFES_20, tuple(photos), licence="CC BY 4.0", notes=tuple(notes), altered=apart,
        official=is_official("pad_ufes_20", counts, len(rows)),
    )  # fmt: skip


def read_unlabelled(contents: Contents) -> PhotoSet | None:
    """Photographs with a mask and without a class, as of ISIC 2018, task 1; None where there are no masks."""
    masked = masks_of(contents)
    index = index_photos(contents)
    pictures = [path for path in index.by_name.values() if path.stem in masked]
    twins = next((paths for paths in index.same_names.values() if paths[0].stem in masked), None)
    if twins:
        raise InputError(f"two files are called {twins[0].name}: {twins[0]} and {twins[1]}; remove one")
    if not pictures:
        return None
    name = contents.folder.resolve().name
    archive = all(archive_id(path.name) for path in pictures)
    domain = "isic_masks" if archive else slug(name)
    photos = (
        Photo(path, path.stem, UNKNOWN, f"isic:{path.stem}" if archive else path.stem, domain) for path in pictures
    )
    notes = ("no classes: these photographs teach masks alone, and each counts as a patient of its own",)
    return PhotoSet(name, (), tuple(photos), notes=notes)
