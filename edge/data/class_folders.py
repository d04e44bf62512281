"""A folder per class, with `labels.json` and a table of patients beside them -> PhotoSet."""

from __future__ import annotations

import re
from pathlib import Path

from edge.capture import SUFFIXES
from edge.data.answer_table import ANSWER_TABLE, ANSWERS, answers_of
from edge.data.class_labels import LABELS, labels_file, labels_of
from edge.data.csv_table import AS_CSV, NOT_READ, plain
from edge.data.isic import CHALLENGE_FOLDER
from edge.data.listing import BROKEN, EMPTY, NAMES_SHOWN, NOT_UNPACKED, Contents, aside, names_of, notes_on
from edge.data.patient_table import PATIENT_TABLE, PATIENTS, patients_of
from edge.data.prepared.parts import files_of
from edge.data.table import Photo, PhotoSet
from edge.data.zipped import zips_read_in
from edge.errors import InputError
from edge.labels import Label
from edge.paths import printable

NO_CLASS_FOLDER = re.compile(  # parts of a set, what stands beside photographs, folders of cameras and of patients
    r"(train|train[-_ ]?val|training|test|testing|val|valid|validation|dev|holdout|all|data|images?|imgs?|photos"
    r"|pictures|masks?|segmentations?|ground_?truths?|labels|superpixels|thumb(nail)?s"
    r"|aug(ment(ed|ations?))?|backups?|(pre)?processed|resized|cropped|originals?|raw)"
    r"([-_ ]?(set|data|images?|input|groundtruth|masks?))?([-_ ]?part)?[-_ ]?\d*"
    r"|.*[-_ ](images?|imgs)_part_\d+|part[-_ ]?\d+|(k[-_ ]?)?fold[-_ ]?\d+|split[-_ ]?\d+"
    r"|_?(un(labell?ed|sorted|classified|tagged)|to[-_ ]?(sort|do|check)|inbox|te?mp|old|duplicates?"
    r"|rejected|excluded|deleted|trash)|(new|untitled)[-_ ]folder.*|neuer ordner.*|nouveau dossier.*"
    r"|runs?|build|report_files|tensorboard|dcim|camera( roll)?|\d{3}(apple|canon|_?nikon|media|andro|_pana)"
    r"|(patient|pat|pt|subject|case|lesion|visit|session|person|day|date)[-_ ]?(id[-_ ]?)?\d+"
    r"|\d{4}[-_.]\d\d[-_.]\d\d.*",
    re.IGNORECASE,
)
COPY = re.compile(
    r"(.+?)( ?-? ?\b(copy|kopie|copie|copia)\b( ?\(?\d+\)?)?| ?\(\d+\))", re.IGNORECASE
)  # by file managers
PICTURES = {  # that are not read, and would be photographs if they were converted
    ".tif", ".tiff", ".bmp", ".gif", ".jfif", ".jpe", ".jp2", ".avif", ".jxl", ".dng", ".cr2", ".cr3", ".nef", ".arw",
    ".raf", ".orf", ".rw2", ".dcm", ".psd", ".ppm", ".tga",
}  # fmt: skip


def class_folders(contents: Contents) -> dict[str, list[Path]]:
    """Sub-folders with photographs and what they hold, sorted; none of an ISIC challenge's, none hidden."""
    folders: dict[str, list[Path]] = {}
    for path in contents.photos:
        top, *rest = path.relative_to(contents.folder).parts
        if rest and not CHALLENGE_FOLDER.match(top):
            folders.setdefault(top, []).append(path)
    return dict(sorted(folders.items()))


def read_class_folders(contents: Contents, tables: list[Path]) -> PhotoSet:
    """One sub-folder per class, named by its code; photographs in folders of their own below count with it.

    Three optional files: `labels.json`, a {"classes": [{code, name, malignant, folders}, …]} in output order (default:
    the folders in alphabetical order, malignancy unknown), whose `folders` are other names than the code;
    `patients.csv` with the columns `file` (relative to the folder) and `patient` (default: every photograph is a
    patient of its own, which is noted); `answers.csv` with `file` and what people answered. `tables`: those at the top,
    of which no other may be there.

    Raises InputError where a folder is no class or cannot be told to be one, and where the two files do not fit.
    """
    folder = contents.folder
    members = class_folders(contents)
    by_folder, classes, notes = labels_of(folder, list(members))
    refuse_no_classes(contents, members, tables, labelled=labels_file(folder) is not None)
    refuse_zips_beside(contents, members, labelled=labels_file(folder) is not None)
    notes += empty_classes(contents, members, classes, by_folder)
    if len(classes) < 2:
        raise InputError(
            f"{folder} has one class folder ({', '.join(members)}); a classifier needs at least 2{deeper(contents)}"
        )
    ids = {path: plain(path.relative_to(folder).as_posix()) for paths in members.values() for path in paths}
    refuse_one_id(ids)
    patients, remarks = patients_of(folder, tables, list(ids.values()))
    answers, more_remarks = answers_of(tables, list(ids.values()))
    notes += remarks + more_remarks + nested(contents, members)
    known = {labels_file(folder), *files_of(folder)}
    strange = sorted(path.name for path in folder.glob("*.json") if path not in known and not aside(path.name))
    if strange:
        notes.append(
            f"files that nobody here reads: {', '.join(strange[:NAMES_SHOWN])}; only {LABELS} tells of classes"
        )
    notes += twins_of(contents, members)
    domain = slug(folder.resolve().name)
    photos = tuple(
        Photo(
            path, ids[path], by_folder[name].code, patients.get(ids[path], ids[path]), domain,
            answers=answers.get(ids[path], {}),
        )
        for name, paths in members.items()
        for path in paths
    )  # fmt: skip
    return PhotoSet(folder.resolve().name, classes, photos, notes=tuple(notes))


def refuse_no_classes(
    contents: Contents, members: dict[str, list[Path]], tables: list[Path], *, labelled: bool
) -> None:
    """InputError where folders are parts of a set, or hold one each, or a table beside them would go unread."""
    folder = contents.folder
    parts = [name for name in members if NO_CLASS_FOLDER.fullmatch(name)]
    if parts and not labelled:  # labels.json names each folder that is a class
        raise InputError(
            f"{folder} has the folder(s) {', '.join(parts)}, which are parts of a set and no classes by their names; "
            f"give a folder per class, a table that is read, or a {LABELS} that names them (docs/data_sets.md)"
            f"{better(contents, parts, tables)}"
        )
    copies = [(name, match[1]) for name in members if (match := COPY.fullmatch(name)) and match[1] in members]
    if copies and not labelled:
        raise InputError(
            f"{folder}: {copies[0][0]} is called like a copy of {copies[0][1]}; put what belongs together into one "
            f"folder, or say in {folder / LABELS} that both are classes"
        )
    below = {name: inside(contents, folder / name) for name in members}
    loose = {name for name, paths in members.items() if any(path.parent == folder / name for path in paths)}
    for name in [] if labelled else sorted(below.keys() - loose):
        twins = [other for other in below if other != name and len(below[name] & below[other]) > 1]
        if twins:
            raise InputError(
                f"{folder}: {name} and {twins[0]} both hold the folders "
                f"{', '.join(sorted(below[name] & below[twins[0]])[:3])}; which of the two levels are the classes? "
                "Give one of the folders, put the classes' photographs together, or say in "
                f"{folder / LABELS} that {name} is a class"
            )
    misplaced = [path for path in contents.tables if PATIENT_TABLE.fullmatch(path.name)]
    if misplaced:
        raise InputError(
            f"{misplaced[0]} is not read there; give one {PATIENTS} in {folder}, with paths from there as file"
        )
    unread = [path for path in tables if not is_read(path)]
    if unread:
        names = ", ".join(path.name for path in unread[:NAMES_SHOWN])
        excel = f" ({AS_CSV})" if any(path.suffix.lower() in NOT_READ for path in unread) else ""
        raise InputError(
            f"{folder} has class folders, and {names} beside them that nobody here reads{excel}; if it tells of "
            f"patients, bring it into the form of {PATIENTS} (columns file, patient), if of their answers, into "
            f"that of {ANSWERS} (docs/data_sets.md), else move it elsewhere"
        )


def refuse_zips_beside(contents: Contents, members: dict[str, list[Path]], *, labelled: bool) -> None:
    """InputError where photographs of zip files lie beside others, and no table says what they are.

    Such a file is rather a backup, or what is yet to be labelled, than a class. A folder beside which a zip file of its
    name lies is what that was unpacked to, and stands for it.
    """
    folder = contents.folder
    zips = zips_read_in(folder)
    there = [path.relative_to(folder) for path in contents.left_out.get(NOT_UNPACKED, [])]
    own = {path.with_suffix("").as_posix().casefold() for path in [*zips, *there]}
    others: dict[Path, Path] = {}  # folder -> its first photograph of no zip file
    for path in (path.relative_to(folder) for paths in members.values() for path in paths):
        if not any(parent.as_posix().casefold() in own for parent in path.parents):
            for parent in path.parents:
                others.setdefault(parent, path)
    for path in zips:
        top = path.parent == Path()
        if path.parent in others and not (top and labelled):  # labels.json names each folder that is a class
            raise InputError(
                f"{folder / path} lies beside {'class folders' if top else 'photographs'} (as "
                f"{printable(others[path.parent].as_posix())}); unpack it there if it belongs to the set, else move it "
                "away"
            )


def is_read(table: Path) -> bool:
    """Whether it is one of those that may lie beside class folders."""
    return bool(PATIENT_TABLE.fullmatch(table.name) or ANSWER_TABLE.fullmatch(table.name))


def better(contents: Contents, parts: list[str], tables: list[Path]) -> str:
    """What to do with folders that are parts of a set, as far as can be told from what lies there."""
    folder = contents.folder
    hints = []
    unread = [path for path in [*tables, *contents.tables] if not is_read(path)]
    if unread:
        excel = f" as it is; {AS_CSV}" if any(path.suffix.lower() in NOT_READ for path in unread) else " there"
        hints.append(f"{names_of(unread, folder)} is not read{excel}")
    inner = [name for name in parts if len(inside(contents, folder / name)) > 1]
    inner.sort(key=lambda name: "train" not in name.lower())
    if inner:
        hints.append(f"if the folders in {folder / inner[0]} are the classes, give that one")
    return "".join(f"; {text}" for text in hints) + packed(contents)


def deeper(contents: Contents) -> str:
    """Where the classes may be instead, or what was left out of what would be some."""
    folder = contents.folder
    while len(names := inside(contents, folder)) == 1:
        folder = folder / next(iter(names))
    parts = sorted(name for name in names if NO_CLASS_FOLDER.fullmatch(name) and inside(contents, folder / name))
    if parts:
        part = next((name for name in parts if "train" in name.lower()), parts[0])
        return f"; if the folders in {folder / part} are the classes, give that one"
    if names:
        return f"; if {', '.join(sorted(names)[:NAMES_SHOWN])} in {folder} are the classes, give that one"
    lines = notes_on(contents, used=contents.photos, otherwise="")
    return "".join(f"; {line}" for line in lines[:NAMES_SHOWN])


def inside(contents: Contents, folder: Path) -> set[str]:
    """The folders of a folder that hold photographs."""
    own = (path.relative_to(folder).parts for path in contents.photos if folder in path.parents)
    return {parts[0] for parts in own if len(parts) > 1}


def packed(contents: Contents) -> str:
    archives = contents.left_out.get(NOT_UNPACKED, [])
    return f"; {archives[0].relative_to(contents.folder)} is not unpacked" if archives else ""


def empty_classes(
    contents: Contents, members: dict[str, list[Path]], classes: tuple[Label, ...], by_folder: dict[str, Label]
) -> list[str]:
    """Notes on folders and classes without a photograph; InputError where such a folder would be a class if read.

    That is one with pictures of other formats, empty files, broken links or an archive.
    """
    folder, notes = contents.folder, []
    for reason, paths in contents.left_out.items():
        if reason not in {EMPTY, BROKEN, NOT_UNPACKED}:
            paths = [path for path in paths if path.suffix.lower() in PICTURES]
        lost = [path for path in paths if path.parent != folder and is_candidate(top_of(path, folder), members)]
        if lost:
            raise InputError(
                f"{folder / top_of(lost[0], folder)} has no photograph that is read, only {names_of(lost, folder)} "
                f"({reason}); mend or convert them, or move the folder elsewhere if it is no class"
            )
    lists = {path.parent for path in files_of(folder)}
    empty = sorted(
        child.name
        for child in folder.iterdir()
        if child.is_dir() and child not in lists and is_candidate(child.name, members)
    )
    if empty:
        notes.append(
            f"folders without photographs, no classes: {', '.join(empty[:NAMES_SHOWN])}{', …' * (len(empty) > 3)}"
        )
    bare = [label.code for label in classes if label not in by_folder.values()]
    if bare:
        notes.append(f"no photograph of the class(es) {', '.join(bare)}")
    return notes


def top_of(path: Path, folder: Path) -> str:
    return path.relative_to(folder).parts[0]


def is_candidate(name: str, members: dict[str, list[Path]]) -> bool:
    """Whether a folder without photographs may have been meant for a class."""
    ours = Path(name).suffix.lower() in SUFFIXES  # it has a line of its own
    return not (
        ours or name in members or aside(name) or CHALLENGE_FOLDER.match(name) or NO_CLASS_FOLDER.fullmatch(name)
    )


def refuse_one_id(ids: dict[Path, str]) -> None:
    """InputError where two files differ in the form of their Unicode alone."""
    first: dict[str, Path] = {}
    for path, name in ids.items():
        if first.setdefault(name, path) != path:
            raise InputError(
                f"two files are called {name}, in two forms of Unicode or spacing, in {path.parent}; rename one"
            )


def nested(contents: Contents, members: dict[str, list[Path]]) -> list[str]:
    """A note on photographs that lie in folders below their class's."""
    deep: dict[str, int] = {}
    for name, paths in members.items():
        for path in paths:
            if path.parent != contents.folder / name:
                where = path.parent.relative_to(contents.folder).as_posix()
                deep[where] = deep.get(where, 0) + 1
    if not deep:
        return []
    first = ", ".join(f"{number} in {where}" for where, number in list(deep.items())[:NAMES_SHOWN])
    rest = f", … ({len(deep)} folders)" if len(deep) > NAMES_SHOWN else ""
    return [f"photographs in folders below their class's count with it: {sum(deep.values())}, as {first}{rest}"]


def twins_of(contents: Contents, members: dict[str, list[Path]]) -> list[str]:
    """A note on files of one name with two endings: two photographs here, and often one picture, or it and its mask."""
    forms: dict[Path, list[Path]] = {}
    for path in (path for paths in members.values() for path in paths):
        forms.setdefault(path.with_suffix(""), []).append(path)
    twins = [paths for paths in forms.values() if len(paths) > 1]
    if not twins:
        return []
    first = " and ".join(path.relative_to(contents.folder).as_posix() for path in twins[0][:2])
    return [
        f"names with two endings, which count as two photographs: {len(twins)}, first {first}; is one a mask or a copy?"
    ]


def slug(text: str) -> str:
    return re.sub(r"\W+", "_", text).strip("_").lower() or "photos"
