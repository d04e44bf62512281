"""What a folder of shards consists of, beside the tar files and `edge.shards.MEMBERS`."""

from __future__ import annotations

from pathlib import Path

from edge.nine_questions import QUESTIONS

SCHEMA = "dermedge/shards/1"
FACTS = "shards.json"
INDEX = "index.csv"  # a row for each photograph, in the order of their numbers
COLUMNS = ("image", "patient_id", "lesion_id", "label", "source", *(question.id for question in QUESTIONS), "site")
IDS = 5  # of the columns, the first


def is_sharded(folder: Path) -> bool:
    """Whether `dermedge prepare --shards` made the folder."""
    return (folder / FACTS).is_file() and (folder / INDEX).is_file()
