"""The folds that a prepared set brings along, and which of its images are augmented copies."""

from __future__ import annotations

from pathlib import Path

from edge.data.csv_table import read_table
from edge.data.known_as import with_known_as
from edge.data.table import PhotoSet, PreparedFolds
from edge.errors import InputError
from edge.files import read_json

from .files import FACTS, FOLDS, ITEMS, NAMES, SOUND

ROLES = ("train", "test")


def is_prepared(folder: Path) -> bool:
    """Whether `dermedge prepare --recipe` made the folder."""
    return (folder / FACTS).is_file() and (folder / FOLDS).is_file() and (folder / ITEMS).is_file()


def files_of(folder: Path) -> list[Path]:
    """What is read of a prepared set beside its class folders; nothing of other folders."""
    return [folder / name for name in (FACTS, FOLDS, ITEMS, NAMES)] if is_prepared(folder) else []


def with_folds(photos: PhotoSet, folder: Path) -> PhotoSet:
    """The set with its own folds, and whether it is synthetic and under which licence.

    Raises InputError where a list names a file that is not there, or does not fit the others.
    """
    facts = read_json(folder / FACTS, expected="facts of a prepared set")
    copies = {row["file"]: row.get("copy", "") for row in rows_of(folder / ITEMS, ("file", "copy"))}
    lists: dict[str, dict[str, set[str]]] = {}
    for row in rows_of(folder / FOLDS, ("fold", "role", "file")):
        if row["role"] not in ROLES or row["file"] not in copies:
            raise InputError(
                f"{folder / FOLDS} has {row['role']!r:.20} of {row['file']:.80}; expected train or test of a file in "
                f"{ITEMS}"
            )
        lists.setdefault(row["fold"], {role: set() for role in ROLES})[row["role"]].add(row["file"])
    lacking = next((file for file in copies if not (folder / file).is_file()), None)
    if lacking:
        raise InputError(f"{folder} lacks {lacking}, which it lists; remove the folder and make it again")
    if sorted(lists) != sorted(map(str, range(len(lists)))):
        raise InputError(f"{folder / FOLDS} has the folds {', '.join(sorted(lists)[:12])}; expected 0, 1, 2 …")
    own = [lists[str(number)] for number in range(len(lists))]
    sound = facts.get("protocol") == SOUND
    augmented = frozenset(file for file, copy in copies.items() if copy != "0")
    source = facts.get("source")
    licence = source.get("licence") if isinstance(source, dict) else None
    after = "training keeps its folds" if sound else "its folds part patients, so training cuts it anew"
    note = (
        f"a balanced set: {len(augmented)} of {len(copies)} images are augmented copies, which are learned from and "
        f"never judged; {after}"
    )
    notes = [note]
    if (folder / NAMES).is_file():
        photos = with_known_as(photos, folder / NAMES)
    else:
        notes.append(
            "prepared by an earlier version, which did not keep what the set that it is made of calls patients: who is "
            "learned here counts as unseen there, so prepare it again"
        )
    return photos.prepared_as(
        PreparedFolds(
            tuple(frozenset(fold["train"]) for fold in own), tuple(frozenset(fold["test"]) for fold in own), augmented,
            sound=sound,
        ),
        synthetic=facts.get("synthetic") is not False,
        licence=licence if isinstance(licence, str) else photos.licence,
    ).with_notes(notes)  # fmt: skip


def rows_of(table: Path, columns: tuple[str, ...]) -> list[dict[str, str]]:
    rows = read_table(table)
    lacking = [column for column in columns if column not in rows[0]]
    if lacking:
        raise InputError(f"{table} lacks the column(s) {', '.join(lacking)} of a prepared set; make it again")
    return rows
