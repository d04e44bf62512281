"""Somebody's split, in whatever form it was written down -> the part of each image."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from edge.data.class_labels import labels_file, labels_of
from edge.data.copies import same_bytes
from edge.data.csv_table import column_name, header, known, plain, read_lines, read_table
from edge.data.groups import IMAGE, folder_and_name
from edge.data.identity import archive_id
from edge.data.isic import ONE_HOT, TWO_CLASSES
from edge.data.listing import aside, contents_of
from edge.errors import InputError
from edge.labels import PAD_UFES_20
from edge.paths import printable

IMAGE_COLUMNS = (*IMAGE, "photo")
PART_COLUMNS = ("split", "part", "fold", "subset", "partition", "set", "phase", "role")
CLASS_NAMES = {
    text.casefold() for label in (*PAD_UFES_20, *ONE_HOT, *TWO_CLASSES) for text in (label.code, label.name)
} | {"benign", "malignant", "unk", "unknown"}  # fmt: skip
PART_WORDS = {"train", "training", "val", "valid", "validation", "dev", "test", "testing", "holdout", "held back"}
FEWEST_PARTS = 2
MAX_SHOWN = 300  # characters of a header; that of a file that is no table has no end
REST = "everything else"  # the part of what tables list and a single list does not


@dataclass(frozen=True)
class StatedSplit:
    """What a split says."""

    rows: tuple[tuple[str, str], ...]  # (image as it is written, part), also where one is there twice
    paths: dict[str, Path] = field(default_factory=dict)  # image -> its file, where the split is folders
    several: frozenset[str] = frozenset()  # names of several pictures, which only their folders tell apart
    open_ended: bool = False  # one list: what tables list beside it is the other part
    notes: tuple[str, ...] = ()  # how it was understood, where it could be otherwise

    @property
    def parts(self) -> list[str]:
        return list(dict.fromkeys(part for _, part in self.rows))


def read_split(sources: Sequence[Path], *, column: str | None = None) -> StatedSplit:
    """A split from one of these:

    * a table with a column of images and one of parts (`column`, else the first of PART_COLUMNS that it has)
    * several tables or lists of names, each a part that is called like its file
    * one table or list without parts: it is one part, and what other tables list is the other
    * a folder with a sub-folder for each part, or several folders, each a part; photographs may lie in class folders

    Raises InputError for what is none of these, and where there is one part alone.
    """
    if not sources:
        raise InputError("`split` needs a table, a list or a folder")
    absent = next((path for path in sources if not path.exists()), None)
    if absent:
        raise InputError(f"{absent} is not there; `split` is a table, a list of names or a folder of parts")
    folders = [path for path in sources if path.is_dir()]
    if folders and len(folders) < len(sources):
        raise InputError(f"{folders[0]} is a folder and other parts of `split` are files; give one kind")
    if folders:
        return of_folders(folders)
    if len(sources) > 1:
        return of_lists(sources)
    return of_table(sources[0], column)


def of_folders(folders: Sequence[Path]) -> StatedSplit:
    parts = list(folders)
    if len(folders) == 1:
        parts = sorted(path for path in folders[0].iterdir() if path.is_dir() and not aside(path.name))
    names = [path.resolve().name for path in parts]
    if len(set(names)) < len(names):
        raise InputError(f"two parts are called {next(n for n in names if names.count(n) > 1)}; rename one folder")
    photos = {name: contents_of(path).photos for name, path in zip(names, parts, strict=True)}
    filled = [name for name in names if photos[name]]
    if len(folders) == 1 and filled and are_classes(folders[0], filled):
        raise InputError(
            f"the folders in {folders[0]} are classes ({', '.join(filled[:5])}), no parts; `split` is a folder with "
            "one for each part, such as train and test, or a table or lists of what is in which part"
        )
    rows: list[tuple[str, str]] = []
    paths: dict[str, Path] = {}
    for name, path in zip(names, parts, strict=True):
        for photo in photos[name]:
            image = f"{name}/{photo.relative_to(path).as_posix()}"
            rows.append((image, name))
            paths[image] = photo
    return refuse_one_part(StatedSplit(tuple(rows), paths, names_of_several(paths)), ", ".join(map(str, folders)))


def are_classes(folder: Path, names: list[str]) -> bool:
    """Whether the folders of these names are classes, by labels.json or as the sets that are known call theirs."""
    if labels_file(folder) is not None:
        with suppress(InputError):  # it is damaged, or of other folders
            labels_of(folder, names)
            return True
    return all(spaced(name) in CLASS_NAMES for name in names)


def spaced(name: str) -> str:
    """As `basal cell carcinoma` for Basal_cell-carcinoma."""
    return plain(name).casefold().replace("_", " ").replace("-", " ")


def names_of_several(paths: dict[str, Path]) -> frozenset[str]:
    """Names that different files have, such as 1.jpg; an id of an archive is one photograph in whatever bytes."""
    by_name: dict[str, list[Path]] = {}
    for image, path in paths.items():
        by_name.setdefault(folder_and_name(image)[1], []).append(path)
    return frozenset(
        name for name, own in by_name.items() if len(own) > 1 and not archive_id(name) and not one_file(own)
    )


def one_file(paths: list[Path]) -> bool:
    """Whether all of these have the same bytes."""
    groups = same_bytes(paths)
    return len(groups) == 1 and len(groups[0]) == len(paths)


def of_lists(sources: Sequence[Path]) -> StatedSplit:
    names = [path.stem for path in sources]
    if len(set(names)) < len(names):
        raise InputError(f"two parts are called {next(n for n in names if names.count(n) > 1)}; rename one file")
    rows = [(image, name) for name, path in zip(names, sources, strict=True) for image in images_in(path)]
    return refuse_one_part(StatedSplit(tuple(rows)), ", ".join(map(str, sources)))


def of_table(table: Path, column: str | None) -> StatedSplit:
    names = header(table)
    wanted = None if column is None else column_name(column)
    if wanted is not None and wanted not in names:
        raise InputError(f"{table} has no column {column}; it has {', '.join(names[:12])}")
    part = wanted or next((name for name in PART_COLUMNS if name in names), None)
    image = next((name for name in IMAGE_COLUMNS if name in names), None)
    if part is None:
        return StatedSplit(tuple((name, table.stem) for name in images_in(table)), open_ended=True)
    if image is None:
        raise InputError(no_images(table, names))
    rows = read_table(table)
    blank = sum(not known(row[part], table) for row in rows)
    if blank:
        raise InputError(f"{table} gives {blank} rows no part in its column {part}; complete or remove them")
    refuse_unnamed([row[image] for row in rows], table)
    refuse_alike({row[part] for row in rows}, f"{table}, column {part}")
    refuse_several_splits(table, rows, image, part, [name for name in PART_COLUMNS if name in names])
    others = [name for name in PART_COLUMNS if name in names and name != part] if wanted is None else []
    notes = [f"the parts are those of the column {part}, not of {', '.join(others)}"] if others else []
    stated = StatedSplit(tuple((row[image], row[part]) for row in rows), notes=tuple(notes))
    return refuse_one_part(stated, f"{table}, column {part},")


def images_in(path: Path) -> list[str]:
    """The images that a table lists in its column of images, or a text file a line each."""
    names = header(path)
    image = next((name for name in IMAGE_COLUMNS if name in names), None)
    if image:
        listed = [row[image] for row in read_table(path)]
    elif len(names) == 1:
        listed = [line[0] for line in read_lines(path)]
    else:
        raise InputError(no_images(path, names))
    refuse_unnamed(listed, path)
    return listed


def refuse_unnamed(listed: Sequence[str], table: Path) -> None:
    if "" in listed:
        raise InputError(f"{table} has {listed.count('')} rows that name no image; complete or remove them")


def refuse_alike(parts: Collection[str], where: str) -> None:
    """InputError for `Train` beside `train` and 1.0 beside 1: one part in two would be full of leaks."""
    by_name: dict[str, str] = {}
    for part in sorted(parts):
        name = part.casefold()
        name = name.removesuffix(".0") if name.removesuffix(".0").isdecimal() else name
        if (other := by_name.setdefault(name, part)) != part:
            raise InputError(f"{where}: the parts {other} and {part} are one but for how they are written; write one")


def refuse_several_splits(
    table: Path, rows: Sequence[dict[str, str]], image: str, part: str, columns: Sequence[str]
) -> None:
    """InputError for the splits of all folds in one table, in which every image is learned once and judged once."""

    def doubtful(name: str) -> tuple[bool, bool]:  # where two columns could be the folds
        return {spaced(row[name]) for row in rows} <= PART_WORDS, name != "fold"

    for by in sorted(columns, key=doubtful):
        for other in [part] if by != part else [name for name in columns if name != part]:
            if splits_by(rows, image, by, other):
                raise InputError(
                    f"{table} has a split for each {by}: its {len({row[image] for row in rows})} images are in "
                    f"{len(rows)} rows. Keep those of one {by}, and give `part` {other}"
                )


def splits_by(rows: Sequence[dict[str, str]], image: str, by: str, part: str) -> bool:
    """Whether most images are in several parts, and each in a single one for any value of the column `by`."""
    part_of: dict[tuple[str, str], str] = {}
    parts: dict[str, set[str]] = {}
    for row in rows:
        if part_of.setdefault((row[image], row[by]), row[part]) != row[part]:
            return False
        parts.setdefault(row[image], set()).add(row[part])
    return 2 * sum(len(own) > 1 for own in parts.values()) > len(parts)


def no_images(table: Path, names: Sequence[str]) -> str:
    has = f"it has {printable(', '.join(names[:12]))[:MAX_SHOWN]}" if names else "it is empty"
    return f"{table} has no column of images ({', '.join(IMAGE_COLUMNS)}); {has}"


def refuse_one_part(split: StatedSplit, where: str) -> StatedSplit:
    if len(split.parts) < FEWEST_PARTS:
        alone = f"only the part {split.parts[0]}" if split.parts else "no photographs"
        raise InputError(f"{where} has {alone}; expected two parts or more, such as train and test")
    return split
