"""To whom images belong, kind by kind, from every table that says so."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from pathlib import Path

from edge.data.csv_table import header, read_table
from edge.data.groups import Groups, image_column, in_several_folders, names_groups, owners_in, pairs_in
from edge.errors import InputError

PATIENT, LESION, BLOCK = "patient", "lesion", "block"
KIND_OF = {"patient_id": PATIENT, "lesion_id": LESION, "block": BLOCK}
PAD_ID = re.compile(r"pat_(\d{1,5})_(\d{1,5})_\d{1,5}")  # of PAD-UFES-20: patient, lesion, and a random number


class Belonging:
    """What tables say of images: patient, lesion, pairs of duplicates, and the groups that these make.

    Raises InputError for a table that names no images, and as `edge.data.csv_table.read_table`.
    """

    def __init__(self, tables: Sequence[Path], several: Collection[str] = ()) -> None:
        """`several`: names that several images have, which only their folders tell apart."""
        self.groups = Groups({*in_several_folders(tables), *several})
        self.owners: dict[str, dict[str, set[str]]] = {}  # image key -> kind -> ids
        self.pairs: list[tuple[str, str]] = []  # image keys
        self.listed: dict[str, str] = {}  # image key -> the id as a table has it, of every image that has a row
        for table in tables:
            self._add(table)
        self.groups.fill_in_blocks()

    def _add(self, table: Path) -> None:
        if not table.is_file():
            raise InputError(f"there is no table {table}; `table` is a CSV of images and their patients or lesions")
        image = image_column(header(table))
        if not names_groups(table) and image is None:
            raise InputError(
                f"{table} names no images; it has the columns {', '.join(header(table)[:12])}. Expected an image and "
                "its patient_id or lesion_id, or image_name_1 and image_name_2 of duplicates"
            )
        self.groups.add(table)
        self.pairs += [(self.key(first), self.key(second)) for first, second in pairs_in(table)]
        for name, owners in owners_in(table):
            kinds = self.owners.setdefault(self.key(name, table), {})
            for column, owner in owners.items():
                kinds.setdefault(KIND_OF[column], set()).add(owner)
        if image is not None:
            for row in read_table(table):
                self.listed.setdefault(self.key(row[image], table), row[image])

    def key(self, image: str, table: Path | None = None) -> str:
        """Equal for the same image however it is written: capitals, folders and endings do not count."""
        return self.groups.key(image, table)

    def take_in_names(self, images: Sequence[str]) -> int:
        """Of images that no table gives an owner, the ids of PAD-UFES-20 name patient and lesion; how many do."""
        named = 0
        for image in images:
            key = self.key(image)
            if self.owners.get(key) or not (match := PAD_ID.fullmatch(key.rpartition("/")[2])):
                continue
            named += 1
            patient = f"PAT_{match[1]}"
            self.owners[key] = {PATIENT: {patient}, LESION: {f"{patient}/{match[2]}"}}
            self.groups.join_owner(image, patient)
        return named

    def known(self, key: str) -> bool:
        """Whether a patient, a lesion or a block is named for an image."""
        return bool(self.owners.get(key))
