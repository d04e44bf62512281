"""What a folder of shards consists of, beside the tar files and `edge.shards.MEMBERS`."""

from __future__ import annotations

from pathlib import Path

from edge.data.class_labels import LABELS
from edge.data.known_as import KNOWN_AS
from edge.nine_questions import QUESTIONS
from edge.shards import MASKS, MEMBERS

SCHEMA = "dermedge/shards/2"
MASKED = "dermedge/shards/3"  # of a set with masks, which earlier versions would silently leave out
FACTS = "shards.json"
INDEX = "index.csv"  # a row for each photograph, in the order of their numbers
COLUMNS = ("image", "patient_id", "lesion_id", "label", "source", *(question.id for question in QUESTIONS), "site")
IDS = 5  # of the columns, the first
TABLES = (INDEX, MEMBERS, LABELS, KNOWN_AS, MASKS)  # whose digests the facts state
NOT_IN_ALL = {KNOWN_AS, MASKS}  # those that a set lacks in which nobody has one


def digest_key(name: str) -> str:
    """Of the facts, for the digest of a table."""
    return f"{Path(name).stem}_sha256"


def is_sharded(folder: Path) -> bool:
    """Whether `dermedge prepare --shards` made the folder."""
    return (folder / FACTS).is_file() and (folder / INDEX).is_file()
