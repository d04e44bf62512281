"""Photographs inside of shards: tar files that a set larger than memory, or of too many files, is packed in.

Such a photograph has the path `FOLDER/shard-00012.tar/000049160.jpg`, its mask, if it has one, that of the same name in
`.png`. Where it lies in its tar file and which digest it has stands in `members.npy` beside the tar files, of a mask in
`masks.npy` (`edge.data.shards` writes them), so that the tar file is read at one place and its own headers are not
trusted: whatever does not have the digest is refused.
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
import tokenize
from functools import lru_cache
from pathlib import Path

import numpy as np

from edge.decoding.limits import MAX_BYTES
from edge.errors import InputError

MEMBERS, MASKS = "members.npy", "masks.npy"
SHARD = re.compile(r"shard-\d{5}\.tar")
NAME = re.compile(r"\d{9}\.(jpg|png)")
# of the photograph with the number of its row: shard, first byte and number of bytes there, digest; of masks, too, with
# no bytes where a photograph has none
ROW = np.dtype([("shard", "<u4"), ("offset", "<u8"), ("size", "<u4"), ("sha256", "u1", 32)])
# what NumPy raises for a header that is none, beside OSError
NO_HEADER = (
    ValueError, EOFError, OverflowError, TypeError, SyntaxError, MemoryError, RecursionError, tokenize.TokenError,
)  # fmt: skip
AGAIN = "make the shards again (`dermedge prepare --shards`)"


def shard_name(number: int) -> str:
    return f"shard-{number:05d}.tar"


def member_name(number: int, ending: str = "jpg") -> str:
    return f"{number:09d}.{ending}"


def is_member(path: Path) -> bool:
    """Whether a path leads into a shard."""
    return bool(SHARD.fullmatch(path.parent.name)) and bool(NAME.fullmatch(path.name)) and not path.parent.is_dir()


def content_of(path: Path) -> bytes:
    """The file that a path leads to in a shard.

    Raises InputError where the shard is not there or no regular file, or has something else at that place.
    """
    row = row_of(path)
    size = int(row["size"])
    if not 0 < size <= MAX_BYTES:
        raise InputError(f"{path} has {size} bytes by {table_of(path)}; expected 1 to {MAX_BYTES}. {AGAIN}")
    try:
        shard = os.open(path.parent, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
        try:
            if not stat.S_ISREG(os.fstat(shard).st_mode):
                raise InputError(f"{path.parent} is no regular file; {AGAIN}")
            content = os.pread(shard, size, int(row["offset"]))
        finally:
            os.close(shard)
    except (OSError, OverflowError) as error:
        raise InputError(f"{path.parent} cannot be read ({error}); {AGAIN}") from error
    if hashlib.sha256(content).digest() != row["sha256"].tobytes():
        kind = "photograph" if table_of(path) == MEMBERS else "mask"
        raise InputError(f"{path} is not the {kind} that was packed: {path.parent.name} was changed; {AGAIN}")
    return content


def row_of(path: Path) -> np.void:
    """What its table says of a member; InputError where it has none of this number, or of another shard."""
    table, number = table_of(path), int(path.stem)
    members = members_of(path.parent.parent, table)
    if number >= len(members) or shard_name(members[number]["shard"]) != path.parent.name:
        raise InputError(
            f"{path.parent} has no {path.name} by {table}, which lists {len(members)} photographs; {AGAIN}"
        )
    return members[number]


def table_of(path: Path) -> str:
    """Of MEMBERS and MASKS the one that says where a member lies."""
    return MASKS if path.suffix == ".png" else MEMBERS


@lru_cache(maxsize=64)
def members_of(folder: Path, table: str) -> np.ndarray:
    """The table of all photographs in the shards of a folder, ROW (N,), mapped. InputError without one.

    `table`: MEMBERS, or MASKS for that of their masks.
    """
    path = folder / table
    try:
        members = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, *NO_HEADER) as error:
        raise InputError(
            f"{path}, the table of the photographs in shards, cannot be read ({error}); {AGAIN}"
        ) from error
    if not isinstance(members, np.ndarray) or members.dtype != ROW or members.ndim != 1:
        raise InputError(f"{path} is no table of photographs in shards; {AGAIN}")
    return members


def digest_of(path: Path) -> str:
    """Hex SHA-256 of a photograph's file, also inside of a shard, where it is known without reading."""
    if is_member(path):
        return row_of(path)["sha256"].tobytes().hex()
    return hashlib.sha256(path.read_bytes()).hexdigest()
