"""Zip files of photographs, as data sets are downloaded: unpacked once into the cache, and read from there.

What lies in a zip file is unknown before it is read, and may be meant to harm: names that lead out of the folder,
links, a size that is a lie, gigabytes made of kilobytes, also by zip files in zip files. All of these are refused by
name, and nothing is left half unpacked.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path, PurePosixPath

from edge.data.listing import MAX_PHOTOS, aside
from edge.data.squares import cache_folder
from edge.data.zip_members import (
    DAMAGED,
    MOST_FOLD,
    TABLES,
    ZIP,
    begins_as_zip,
    blocks_of,
    is_member,
    members_of,
    of_use,
    only_table,
    parts_of,
    unpacked_bytes,
    wanted,
)
from edge.errors import InputError
from edge.files import moved_into_place, remove, write_text
from edge.paths import printable
from edge.progress import track

log = logging.getLogger("dermedge")

VERSION = "1"  # of what is unpacked and how; part of the cache's key
VIEW_VERSION = "3"  # of folders of links
MAX_DEPTH = 3  # folders down to a zip file, and zip files in zip files
SPARE_BYTES = 2**30  # of the disk, that stay free
READ_ZIPS = ".zips.json"  # end of the name of the list of zip files that a view holds unpacked; it lies beside the view

_names: dict[Path, Path] = {}  # folder in the cache -> what was opened as it, by which messages name it


@dataclass
class Allowance:
    """What a zip file may still unpack to, those in it included, and the folders in the cache that it made so far."""

    path: Path
    bytes_left: int
    files_left: int = MAX_PHOTOS
    new_folders: list[Path] = field(default_factory=list)

    def take(self, size: int, files: int) -> None:
        """Raises InputError where it is more than is left."""
        self.bytes_left -= size
        self.files_left -= files
        if self.bytes_left < 0:
            raise InputError(
                f"{self.path} of {self.path.stat().st_size} bytes unpacks to more than {MOST_FOLD} times as much, with "
                "the zip files in it; no data set does"
            )
        if self.files_left < 0:
            raise InputError(f"{self.path} holds more than {MAX_PHOTOS} files, with those of the zip files in it")


def is_zip(path: Path) -> bool:
    return path.suffix.lower() == ZIP and path.is_file()


def readable(path: Path) -> Path:
    """The folder `path`, with what lies in zip files in place of these; where there are none, the folder itself.

    `path` may be a zip file. One beside which a folder or file of its name lies (`train.csv` beside `train.csv.zip`)
    counts as unpacked, and stays alone. One that holds a single table stands for that table. Raises InputError for two
    zip files that stand for the same name, and for one that is damaged, encrypted or larger than the disk has room for,
    or that holds names which lead out of it, links, other compression than deflate, or more than its size can be, also
    in zip files in it.
    """
    with by_given_names():
        return opened_at(path, MAX_DEPTH, None)


def opened_at(path: Path, depth: int, allowance: Allowance | None) -> Path:
    """As `readable`; `allowance` of the user's own zip file, None outside of one."""
    if not is_zip(path):
        zips = zips_in(path, depth) if depth else []
        inner = {file: opened_at(file, depth, allowance) for file in zips}
        return with_links(path, inner, allowance) if inner else path
    if allowance is not None:
        folder = unpacked(path, allowance)
        return opened_at(folder, depth - 1, allowance) if depth else folder
    allowance = Allowance(path, MOST_FOLD * path.stat().st_size)
    try:
        return opened_at(path, depth, allowance)
    except InputError:
        for folder in allowance.new_folders:
            remove(folder)
        raise


@contextmanager
def by_given_names() -> Iterator[None]:
    """InputErrors of the block name the user's folder or zip file, not the folder in the cache that is read for it."""
    try:
        yield
    except InputError as error:
        text = given_names(str(error))
        if text == str(error):
            raise
        raise type(error)(text) from error


def given_names(text: str) -> str:
    """A message with the user's folder or zip file in place of the folder in the cache that was read for it."""
    for _ in range(MAX_DEPTH + 1):  # of a zip file in a zip file the name leads into the cache again
        for opened, name in _names.items():
            text = text.replace(str(opened), str(name))
    return text


def zips_in(folder: Path, depth: int) -> list[Path]:
    """Zip files up to `depth` folders down that hold photographs, tables or zip files and are not unpacked yet."""
    try:
        with os.scandir(folder) as entries:
            children = sorted((entry for entry in entries if not aside(entry.name)), key=lambda entry: entry.name)
    except OSError:  # whoever reads the folder says so
        return []
    beside = {entry.name.casefold(): Path(entry.path) for entry in children}
    files: list[Path] = []
    for entry in children:
        path = Path(entry.path)
        if path.suffix.lower() == ZIP and entry.is_file() and begins_as_zip(path):
            if path.stem.casefold() not in beside:
                members = members_of(path)
                if any(map(of_use, members)) and not is_beside(path, only_table(members), beside):
                    files.append(path)
        elif depth > 1 and entry.is_dir():
            files += zips_in(path, depth - 1)
    return files


def is_beside(path: Path, table: zipfile.ZipInfo | None, beside: Mapping[str, Path]) -> bool:
    """Whether the table that is all a zip file holds lies beside it too; InputError where that is another one."""
    twin = beside.get(PurePosixPath(table.filename).name.casefold()) if table is not None else None
    if table is None or twin is None or not twin.is_file():
        return False
    if not is_member(twin, table):
        raise InputError(
            f"{path} holds {twin.name}, and another {twin.name} lies beside it; move away the one that is not meant"
        )
    return True


def unpacked(path: Path, allowance: Allowance) -> Path:
    """The folder in the cache with what a zip file holds, unpacked if it is not there yet.

    It is named after the files' names, sizes and checksums, so that the same zip file is unpacked once wherever it
    lies. A folder that holds everything else is taken in its place, as are folders called like the file.
    """
    members = members_of(path)
    size = unpacked_bytes(members)
    allowance.take(size, len(members))
    digest = hashlib.sha256(f"{VERSION} {path.stem}".encode("utf-8", "surrogateescape"))
    for info in members:
        digest.update(f"{info.filename}\0{info.file_size}\0{info.CRC}\n".encode("utf-8", "surrogatepass"))
    target = unzipped() / digest.hexdigest()[:32] / path.stem
    if target not in path.parents:
        _names[target] = path
    if not target.is_dir():
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
        allowance.new_folders.append(target.parent)
    inside = [child for child in target.iterdir() if not aside(child.name)]
    return inside[0] if len(inside) == 1 and inside[0].is_dir() else target


def unzipped() -> Path:
    """Where zip files are unpacked to; each has a folder there that is named by a digest."""
    return cache_folder() / "unzipped"


def unpack(path: Path, members: list[zipfile.ZipInfo], folder: Path) -> None:
    """Write the members below `folder`; InputError where one is not what the zip file says of it."""
    folder.mkdir()
    try:
        archive = zipfile.ZipFile(path)
    except DAMAGED as error:
        raise InputError(f"{path} cannot be read as a zip file ({error}); download it again") from error
    with archive:
        for info in track(members, f"unpacking {path.name}", len(members)):
            target = folder.joinpath(*parts_of(info.filename))
            try:
                (target if info.is_dir() else target.parent).mkdir(parents=True, exist_ok=True)
                if not info.is_dir():
                    with target.open("xb") as file:
                        for block in blocks_of(path, archive, info) if wanted(info) else ():
                            file.write(block)
            except (FileExistsError, NotADirectoryError) as error:
                shown = printable(info.filename[:200])
                raise InputError(f"{path} holds {shown} twice, or as a file and a folder; no data set does") from error


def with_links(folder: Path, inner: dict[Path, Path], allowance: Allowance | None) -> Path:
    """A folder in the cache that links to everything in `folder`, and in place of zip files to what they hold.

    Named after what it links to, so that an unchanged folder gives the same one. Which zip files it holds unpacked is
    written beside it.
    """
    links: dict[str, Path] = {}
    for source, name, target in links_of(folder, folder, inner):
        if name in links:
            raise InputError(
                f"{source} would be read as {name}, and so would another zip file beside it; move one of them away"
            )
        links[name] = target
    text = "\n".join([VIEW_VERSION, *(f"{name}\0{target}" for name, target in sorted(links.items()))])
    digest = hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:32]
    view = unzipped() / digest / (folder.resolve().name or "photographs")
    _names[view] = folder
    if not view.is_dir():
        with moved_into_place(view.parent) as new:
            for name, target in links.items():
                (new / view.name / name).parent.mkdir(parents=True, exist_ok=True)
                os.symlink(target, new / view.name / name)
            zips = [file.relative_to(folder).as_posix() for file in inner]
            write_text(new / (view.name + READ_ZIPS), json.dumps(zips))
        if allowance is not None:
            allowance.new_folders.append(view.parent)
    return view


def links_of(folder: Path, top: Path, inner: dict[Path, Path]) -> Iterator[tuple[Path, str, Path]]:
    """What lies in `folder`, its path below `top` and where that leads; folders that hold no zip file are one link."""
    for child in sorted(folder.iterdir()):
        name = child.relative_to(top)
        if child in inner:
            table = table_alone_in(inner[child])
            own = name.with_name(table.name) if table else name.with_suffix("")
            yield child, own.as_posix(), (table or inner[child]).resolve()
        elif child.is_dir() and any(child in file.parents for file in inner):
            yield from links_of(child, top, inner)
        else:
            yield child, name.as_posix(), child.resolve()


def table_alone_in(folder: Path) -> Path | None:
    """The table that is all there is in what a zip file unpacked to; None where there is more, or something else."""
    first = list(islice((child for child in folder.iterdir() if not aside(child.name)), 2))
    return first[0] if len(first) == 1 and first[0].suffix.lower() in TABLES and first[0].is_file() else None


def zips_read_in(folder: Path) -> list[Path]:
    """The zip files, relative to `folder`, that `readable` put the contents of into it; none in other folders."""
    if folder.parent.parent != unzipped():
        return []
    file = folder.with_name(folder.name + READ_ZIPS)
    return [Path(name) for name in json.loads(file.read_text(encoding="utf-8"))] if file.is_file() else []
