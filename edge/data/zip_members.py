"""What a zip file says that it holds, checked before anything is unpacked, and the contents of its members."""

from __future__ import annotations

import re
import stat
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from edge.capture import SUFFIXES
from edge.data.csv_table import ENDINGS
from edge.data.listing import MAX_PHOTOS, aside
from edge.decoding.limits import MAX_BYTES
from edge.errors import InputError
from edge.paths import printable

ZIP = ".zip"
MOST_FOLD = 200  # unpacked bytes of a packed one; tables have about 10, photographs 1, a bomb a thousand
MAX_NAME = 4096  # bytes of a path
BLOCK_BYTES = 2**20
READ = {*SUFFIXES, *ENDINGS, ".json", ZIP}  # endings; of other files only the name is kept, so that they are named
TABLES = {".csv", ".tsv"}  # for which a zip file is unpacked
DEEPEST_TABLE = 2  # parts of the path of a table that a zip file stands for: in it, or in its only folder
COMPRESSIONS = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}  # data sets have no other; zlib's errors are known
OTHER_COMPRESSIONS = {9: "Deflate64", 12: "bzip2", 14: "LZMA", 93: "Zstandard", 95: "XZ", 98: "PPMd"}  # APPNOTE 4.4.5
DAMAGED = (
    zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, OSError, UnicodeError, ValueError,
)  # fmt: skip


def begins_as_zip(path: Path) -> bool:
    """By its first bytes; what is merely called so is left out like other files that are not read."""
    try:
        with path.open("rb") as file:
            return file.read(2) == b"PK"
    except OSError:
        return False


def of_use(info: zipfile.ZipInfo) -> bool:
    """Whether a member is a photograph, a table or another zip file."""
    name = PurePosixPath(info.filename)
    return not info.is_dir() and name.suffix.lower() in {*SUFFIXES, *TABLES, ZIP} and not hidden(name)


def only_table(members: list[zipfile.ZipInfo]) -> zipfile.ZipInfo | None:
    """The table that is all a zip file holds, beside what a Mac adds; None where it holds more, or something else."""
    infos = [info for info in members if not info.is_dir() and not hidden(PurePosixPath(info.filename))]
    name = PurePosixPath(infos[0].filename) if len(infos) == 1 else None
    if name is None or name.suffix.lower() not in TABLES or len(name.parts) > DEEPEST_TABLE:
        return None
    return infos[0]


def is_member(path: Path, info: zipfile.ZipInfo) -> bool:
    """Whether a file has the size and the checksum of a member."""
    if path.stat().st_size != info.file_size:
        return False
    checksum = 0
    with path.open("rb") as file:
        while block := file.read(BLOCK_BYTES):
            checksum = zlib.crc32(block, checksum)
    return checksum == info.CRC


def hidden(name: PurePosixPath) -> bool:
    return any(map(aside, name.parts))


def members_of(path: Path) -> list[zipfile.ZipInfo]:
    """What a zip file says that it holds; InputError where it is none, or says what cannot be."""
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
    except DAMAGED as error:
        raise InputError(f"{path} cannot be read as a zip file ({error}); download it again, or unpack it") from error
    check_members(path, members)
    return members


def check_members(path: Path, members: list[zipfile.ZipInfo]) -> None:
    """InputError for names that lead elsewhere, links, passwords, and sizes that such a zip file cannot have."""
    if len(members) > MAX_PHOTOS:
        raise InputError(f"{path} holds more than {MAX_PHOTOS} files")
    names: set[str] = set()
    for info in members:
        shown = printable(info.filename[:200])
        if not plain_name(info.filename):
            raise InputError(f"{path} holds {shown!r}, a name that leads out of it; no data set has such")
        if stat.S_ISLNK(info.external_attr >> 16):
            raise InputError(f"{path} holds the link {shown}; pack the photographs themselves")
        if info.flag_bits & 1:
            raise InputError(f"{path} is encrypted ({shown}); unpack it with its password")
        if info.compress_type not in COMPRESSIONS:
            method = OTHER_COMPRESSIONS.get(info.compress_type, f"method {info.compress_type}")
            raise InputError(
                f"{path} holds {shown} compressed with {method}; stored and deflated files are read. Unpack it yourself"
            )
        name = "/".join(parts_of(info.filename)).casefold()
        if name in names and not info.is_dir():
            raise InputError(f"{path} holds {shown} twice; which of them counts?")
        names.add(name)
        if info.file_size > MAX_BYTES and PurePosixPath(info.filename).suffix.lower() in SUFFIXES:
            raise InputError(f"{path} holds {shown} of {info.file_size} bytes; a photograph has {MAX_BYTES} at most")
    size, packed = unpacked_bytes(members), path.stat().st_size
    if size > MOST_FOLD * packed:
        raise InputError(
            f"{path} of {packed} bytes says that it unpacks to {size}, more than {MOST_FOLD} times as much; no data "
            "set does"
        )


def plain_name(name: str) -> bool:
    """Whether a path stays below the folder that it is unpacked into, on any system."""
    parts = parts_of(name)
    drive = re.match(r"[A-Za-z]:", name)
    long = len(name.encode("utf-8", "surrogatepass")) > MAX_NAME or any(len(part.encode()) > 255 for part in parts)
    return bool(parts) and not (drive or long or name.startswith(("/", "\\")) or ".." in parts or "\0" in name)


def parts_of(name: str) -> list[str]:
    return [part for part in name.replace("\\", "/").split("/") if part not in {"", "."}]


def wanted(info: zipfile.ZipInfo) -> bool:
    """Whether a file's contents are unpacked, and not its name alone."""
    name = PurePosixPath(info.filename)
    return not info.is_dir() and name.suffix.lower() in READ and not hidden(name)


def blocks_of(path: Path, archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> Iterator[bytes]:
    """A member's contents, no more than it is said to have; the last block is followed by the check of its sum.

    Raises InputError where they cannot be read, or are not what the zip file says.
    """
    left = info.file_size
    try:
        with archive.open(info) as file:
            while block := file.read(BLOCK_BYTES):
                left -= len(block)
                if left < 0:
                    raise zipfile.BadZipFile("longer than the zip file says")
                yield block
        if left:
            raise zipfile.BadZipFile("shorter than the zip file says")
    except DAMAGED as error:
        raise InputError(
            f"{path} is damaged at {printable(info.filename[:200])} ({error}); download it again"
        ) from error


def unpacked_bytes(members: list[zipfile.ZipInfo]) -> int:
    """Bytes of all members whose contents are unpacked, as the zip file says."""
    return sum(info.file_size for info in members if wanted(info))
