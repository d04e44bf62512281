"""Which photographs must not be on two sides of a split: those of a patient, of a lesion, of a pair of duplicates.

Every table is asked that names an image and one of these. A patient's lesion makes all its photographs that patient's.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

from edge.data.csv_table import header, known, read_table
from edge.data.patient_table import PATIENT_COLUMNS
from edge.data.table import stem
from edge.errors import InputError

# columns, the first that a table has
IMAGE = ("isic_id", "image", "image_id", "image_name", "img_id", "file", "filename", "file_name", "path", "name")
PAIR = ("image_name_1", "image_name_2")  # of ISIC 2020's table of duplicates
OWNERS = ("patient_id", "lesion_id", "block")  # by rank: what a group is called after
COLUMNS_OF = {"patient_id": ("patient_id", *PATIENT_COLUMNS)}  # of an owner, the first that a table has; else its own
NUMBER = re.compile(r"\d+(\.0+)?")  # a lesion's id that is one of its patient alone, as in PAD-UFES-20
IMAGE_RANK = len(OWNERS)
Node = tuple[int, str]  # rank in OWNERS or IMAGE_RANK, and the id


def names_groups(table: Path) -> bool:
    """Whether a table says to whom images belong, or which are the same picture."""
    names = set(header(table))
    return set(PAIR) <= names or bool(names & set(IMAGE) and owner_columns(names))


def folder_and_name(image_id: str) -> tuple[str, str]:
    """The folder that a table writes before an image, and its name without suffix, both in small letters."""
    folder, _, name = image_id.replace("\\", "/").casefold().rpartition("/")
    return folder, stem(name).removesuffix("_downsampled")


def image_column(names: Collection[str]) -> str | None:
    return next((name for name in IMAGE if name in names), None)


def owner_columns(names: Collection[str]) -> dict[str, str]:
    """Owner of OWNERS -> the column that names it, of those that a table has."""
    columns = {owner: next((name for name in COLUMNS_OF.get(owner, (owner,)) if name in names), "") for owner in OWNERS}
    return {owner: column for owner, column in columns.items() if column}


def in_several_folders(tables: Iterable[Path]) -> set[str]:
    """Names that a table gives to several images, which only their folders tell apart."""
    several = set()
    for table in tables:
        if column := image_column(header(table)):
            folders: dict[str, str] = {}
            for row in read_table(table):
                folder, name = folder_and_name(row[column])
                if folders.setdefault(name, folder) != folder:
                    several.add(name)
    return several


def pairs_in(table: Path) -> list[tuple[str, str]]:
    """The pairs of duplicates that a table lists; none where it is no such table. Raises InputError as `read_table`."""
    if not set(PAIR) <= set(header(table)):
        return []
    return [(row[PAIR[0]], row[PAIR[1]]) for row in read_table(table)]


def owners_in(table: Path) -> Iterator[tuple[str, dict[str, str]]]:
    """Each image of a table, and by the columns of OWNERS to whom it belongs, as far as that is known.

    A lesion that is numbered within its patient has the patient in front. Nothing from a table that names no image or
    no owner at all. Raises InputError as `read_table`.
    """
    names = header(table)
    image, columns = image_column(names), owner_columns(names)
    if image is None or not columns:
        return
    for row in read_table(table):
        owners = {name: owner for name, column in columns.items() if (owner := known(row.get(column), table))}
        patient, lesion = owners.get("patient_id"), owners.get("lesion_id", "")
        if patient and NUMBER.fullmatch(lesion):
            owners["lesion_id"] = f"{patient}/{lesion}"
        yield row[image], owners


class Groups:
    """Groups of images that grow together where they share a patient, a lesion, or a pair of duplicates."""

    def __init__(self, names_of_several: Collection[str] = ()) -> None:
        self._names_of_several = names_of_several  # images, which only their folders tell apart
        self._above: dict[Node, Node] = {}
        self._joined: set[Node] = set()  # those that others are below of
        self._pairs = 0
        self._blocks: dict[Node, Node] = {}  # they count only where no patient or lesion is named
        self._lesions: dict[Node, str] = {}  # image -> its lesion, as the first table says

    def add(self, table: Path) -> None:
        """Take in what a table says; one that names no groups changes nothing. Raises InputError as `read_table`."""
        for first, second in pairs_in(table):
            self.join(first, second, table)
            self._pairs += 1
        for image, owners in owners_in(table):
            node = self._image(image, table)
            if "lesion_id" in owners:
                self._lesions.setdefault(node, owners["lesion_id"])
            for rank, name in enumerate(OWNERS):
                if name not in owners:
                    continue
                if name == "block":
                    self._blocks[node] = (rank, owners[name])
                else:
                    self._join(node, (rank, owners[name]))

    def join(self, first: str, second: str, table: Path | None = None) -> None:
        """Two images belong together; `table`: that says so."""
        self._join(self._image(first, table), self._image(second, table))

    def join_owner(self, image_id: str, patient: str) -> None:
        """An image belongs to a patient."""
        self._join(self._image(image_id), (OWNERS.index("patient_id"), patient))

    def key(self, image_id: str, table: Path | None = None) -> str:
        """Equal for the same image in two tables; InputError as `add`."""
        return self._image(image_id, table)[1]

    def fill_in_blocks(self) -> None:
        """After all tables: images of which nothing else is known belong to the group of their block."""
        alone = [node for node in self._blocks if self._top(node)[0] == IMAGE_RANK]
        for node in alone:
            self._join(node, self._blocks[node])

    def _image(self, image_id: str, table: Path | None = None) -> Node:
        """Equal for an image in two tables, of which one may write it in other capitals, with its folder or reduced.

        Where several images have its name the folder counts; InputError for a row of `table` that lacks it.
        """
        folder, name = folder_and_name(image_id)
        if name not in self._names_of_several:
            return IMAGE_RANK, name
        if table and not folder:
            raise InputError(
                f"{table} names {image_id} without its folder, and several images are called so; write the folders in "
                "every table"
            )
        return IMAGE_RANK, f"{folder}/{name}"

    def _top(self, node: Node) -> Node:
        while (above := self._above.get(node, node)) != node:
            self._above[node] = node = self._above.get(above, above)
        return node

    def _join(self, first: Node, second: Node) -> None:
        """The better rank names the group, of two patients the one that comes first in the alphabet."""
        tops = sorted((self._top(first), self._top(second)))
        self._above[tops[1]] = tops[0]
        self._joined.add(tops[0])

    def of(self, image_id: str) -> str:
        """The name of the image's group; the image's own where no table says anything of it."""
        node = self._image(image_id)
        top = self._top(node)
        return image_id if top == node and node not in self._joined else top[1]

    def lesion_of(self, image_id: str) -> str:
        """The image's lesion, equal for images of one; empty where no table says which."""
        return self._lesions.get(self._image(image_id), "")

    def notes(self, images: list[str]) -> list[str]:
        """What a person should know of the groups of these images."""
        notes = []
        if self._pairs:
            notes.append(f"pairs of duplicates that are listed, {self._pairs}, are always in one part")
        joined: dict[Node, list[str]] = {}
        for node in self._above:
            if node[0] == 0 and self._top(node) != node:
                joined.setdefault(self._top(node), []).append(node[1])
        if joined:
            first, others = next(iter(joined.items()))
            notes.append(
                f"groups of several patients, as a lesion or a pair of duplicates is of both: {len(joined)}, "
                f"first {' and '.join([first[1], *others][:3])}: each group counts as one patient"
            )
        alone = [name for name in images if self._top(self._image(name))[0] == IMAGE_RANK]
        if alone and len(alone) == len(images):
            notes.append("no patients are named: every photograph counts as a patient of its own")
        elif alone:
            notes.append(
                f"no patient or lesion is named for {len(alone)} photographs: each counts as a patient of its own"
            )
        return notes


def groups_in(tables: list[Path]) -> Groups:
    """Of all tables that name any."""
    groups = Groups(in_several_folders(tables))
    for table in tables:
        groups.add(table)
    groups.fill_in_blocks()
    return groups
