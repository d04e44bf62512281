"""Zip files of photographs, as data sets are downloaded: unpacked once into the cache, and read from there.

What lies in a zip file is unknown before it is read, and may be meant to harm: names that lead out of the folder,
links, a size that is a lie, gigabytes made of kilobytes. All of these are refused by name, and nothing is left half
unpacked.
"""

from __future__ import annotations

import hashlib
import logging
import os
import re
import shutil
import stat
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from edge.capture import SUFFIXES
from edge.data.csv_table import ENDINGS
from edge.data.listing import MAX_PHOTOS, aside
from edge.data.squares import cache_folder
from edge.decoding.limits import MAX_BYTES
from edge.errors import InputError
from edge.files import moved_into_place
from edge.paths import printable
from edge.progress import track

log = logging.getLogger("dermedge")

VERSION = "1"  # of what is unpacked and how; part of the cache's key
ZIP = ".zip"
MAX_DEPTH = 3  # folders down to a zip file, and zip files in zip files
MOST_FOLD = 200  # unpacked bytes of a packed one; tables have about 10, photographs 1, a bomb a thousand
SPARE_BYTES = 2**30  # of the disk, that stay free
MAX_NAME = 4096  # bytes of a path
BLOCK_BYTES = 2**20
READ = {*SUFFIXES, *ENDINGS, ".json", ZIP}  # endings; of other files only the name is kept, so that they are named
DAMAGED = (
    zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, OSError, UnicodeError, ValueError,
)  # fmt: skip


def is_zip(path: Path) -> bool:
    return path.suffix.lower() == ZIP and path.is_file()


def readable(path: Path, depth: int = MAX_DEPTH) -> Path:
    """The folder `path`, with what lies in zip files in place of these; where there are none, the folder itself.

    `path` may be a zip file. One beside which a folder of its name lies counts as unpacked, and stays alone. Raises
    InputError for a zip file that is damaged, encrypted or larger than the disk has room for, or that holds names which
    lead out of it, links, or more than its size can be.
    """
    if is_zip(path):
        inner = unpacked(path)
        return readable(inner, depth - 1) if depth else inner
    zips = zips_in(path, depth) if depth else []
    return with_links(path, {file: readable(file, depth - 1) for file in zips}) if zips else path


def zips_in(folder: Path, depth: int) -> list[Path]:
    """Zip files up to `depth` folders down that hold photographs, tables or zip files and are not unpacked yet."""
    try:
        with os.scandir(folder) as entries:
            children = sorted((entry for entry in entries if not aside(entry.name)), key=lambda entry: entry.name)
    except OSError:  # whoever reads the folder says so
        return []
    beside = {entry.name.casefold() for entry in children if entry.is_dir()}
    files: list[Path] = []
    for entry in children:
        path = Path(entry.path)
        if path.suffix.lower() == ZIP and entry.is_file() and begins_as_zip(path):
            if path.stem.casefold() not in beside and any(map(of_use, members_of(path))):
                files.append(path)
        elif depth > 1 and entry.is_dir():
            files += zips_in(path, depth - 1)
    return files


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
    return not info.is_dir() and name.suffix.lower() in {*SUFFIXES, ".csv", ".tsv", ZIP} and not hidden(name)


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
        name = "/".join(parts_of(info.filename)).casefold()
        if name in names and not info.is_dir():
            raise InputError(f"{path} holds {shown} twice; which of them counts?")
        names.add(name)
        if info.file_size > MAX_BYTES and PurePosixPath(info.filename).suffix.lower() in SUFFIXES:
            raise InputError(f"{path} holds {shown} of {info.file_size} bytes; a photograph has {MAX_BYTES} at most")
    size, packed = sum(info.file_size for info in members if wanted(info)), path.stat().st_size
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


def unpacked(path: Path) -> Path:
    """The folder in the cache with what a zip file holds, unpacked if it is not there yet.

    It is named after the files' names, sizes and checksums, so that the same zip file is unpacked once wherever it
    lies. A folder that holds everything else is taken in its place, as are folders called like the file.
    """
    members = members_of(path)
    digest = hashlib.sha256(f"{VERSION} {path.stem}".encode("utf-8", "surrogateescape"))
    for info in members:
        digest.update(f"{info.filename}\0{info.file_size}\0{info.CRC}\n".encode("utf-8", "surrogatepass"))
    target = cache_folder() / "unzipped" / digest.hexdigest()[:32] / path.stem
    if not target.is_dir():
        size = sum(info.file_size for info in members if wanted(info))
        target.parent.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(target.parent).free
        if size + SPARE_BYTES > free:
            raise InputError(
                f"{path} unpacks to {size / 1e9:.1f} GB, and {target.parent} has {free / 1e9:.1f} GB left; make room, "
                "set DERMEDGE_CACHE to a folder on another disk, or unpack it yourself"
            )
        log.info("%s: %d files, %.0f MB, are unpacked once into %s", path, len(members), size / 1e6, target)
        with moved_into_place(target) as folder:
            unpack(path, members, folder)
    inside = [child for child in target.iterdir() if not aside(child.name)]
    return inside[0] if len(inside) == 1 and inside[0].is_dir() else target


def unpack(path: Path, members: list[zipfile.ZipInfo], folder: Path) -> None:
    """Write the members below `folder`; InputError where one is not what the zip file says of it."""
    folder.mkdir()
    with zipfile.ZipFile(path) as archive:
        for info in track(members, f"unpacking {path.name}", len(members)):
            target = folder.joinpath(*parts_of(info.filename))
            if info.is_dir():
                target.mkdir(parents=True, exist_ok=True)
                continue
            try:
                target.parent.mkdir(parents=True, exist_ok=True)
                with target.open("xb") as file:
                    for block in blocks_of(archive, info) if wanted(info) else ():
                        file.write(block)
            except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, FileExistsError,
                    NotADirectoryError) as error:  # fmt: skip
                raise InputError(
                    f"{path} is damaged at {printable(info.filename[:200])} ({error}); download it again"
                ) from error


def blocks_of(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> Iterator[bytes]:
    """A member's contents, no more than it is said to have; the last block is followed by the check of its sum."""
    left = info.file_size
    with archive.open(info) as file:
        while block := file.read(BLOCK_BYTES):
            left -= len(block)
            if left < 0:
                raise zipfile.BadZipFile("longer than the zip file says")
            yield block
    if left:
        raise zipfile.BadZipFile("shorter than the zip file says")


def with_links(folder: Path, inner: dict[Path, Path]) -> Path:
    """A folder in the cache that links to everything in `folder`, and in place of zip files to what they hold.

    Named after what it links to, so that an unchanged folder gives the same one.
    """
    links = dict(links_of(folder, folder, inner))
    text = "\n".join(f"{name}\0{target}" for name, target in sorted(links.items()))
    digest = hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:32]
    view = cache_folder() / "unzipped" / digest / (folder.resolve().name or "photographs")
    if not view.is_dir():
        view.parent.mkdir(parents=True, exist_ok=True)
        with moved_into_place(view) as new:
            new.mkdir()
            for name, target in links.items():
                (new / name).parent.mkdir(parents=True, exist_ok=True)
                os.symlink(target, new / name)
    return view


def links_of(folder: Path, top: Path, inner: dict[Path, Path]) -> Iterator[tuple[str, Path]]:
    """Paths below `top` and where they lead; folders that hold no zip file are one link."""
    for child in sorted(folder.iterdir()):
        name = child.relative_to(top)
        if child in inner:
            yield name.with_suffix("").as_posix(), inner[child].resolve()
        elif child.is_dir() and any(child in file.parents for file in inner):
            yield from links_of(child, top, inner)
        else:
            yield name.as_posix(), child.resolve()
