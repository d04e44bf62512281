"""Files are written under a temporary name, then moved into place, so that none is ever half-written."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from edge import locks
from edge.errors import InputError
from edge.uninterrupted import uninterrupted
from edge.write_errors import WRITE_ERRORS, cannot_write

LEFT_BEHIND = {".DS_Store", "Thumbs.db", "desktop.ini"}
SCRATCH = ".unfinished-"  # begin of the names of folders for unfinished work; nobody else names a folder so
ASIDE = ".replaced"  # end of the name of a folder that is being replaced
ABANDONED_S = 3600.0  # so long after its last change a folder for unfinished work without a lock is nobody's
MAX_JSON_BYTES = 64 * 2**20

_looked_over: set[Path] = set()  # folders that this process has rid of what killed ones left


@contextmanager
def scratch_in(folder: str | Path) -> Iterator[Path]:
    """A folder inside `folder` for unfinished work; it is gone afterwards, however the block ends.

    What was left there by processes that were killed is removed first. Raises InputError when the disk is full or the
    folder cannot be written, also from within the block.
    """
    folder = Path(folder)
    try:
        with locked_folder_in(folder) as work:
            yield work
    except OSError as error:
        if error.errno not in WRITE_ERRORS and error.errno is not None:  # NumPy's short write has no number
            raise
        raise InputError(cannot_write(folder, error)) from error


@contextmanager
def locked_folder_in(folder: Path) -> Iterator[Path]:
    """A new folder inside `folder`, gone afterwards; its lock tells other processes that this one is alive.

    Raises InputError if it cannot be made.
    """
    work, lock = None, None
    try:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            remove_leftovers(folder)
            with uninterrupted():  # a signal counts when `work` is known, so that it is cleared away
                work = Path(tempfile.mkdtemp(prefix=SCRATCH, dir=folder))
                lock = locks.Lock(work)
                with suppress(OSError):  # a file system without locks
                    lock.take()
        except OSError as error:
            raise InputError(cannot_write(folder, error)) from error
        yield work
    finally:
        if work is not None and lock is not None:
            with uninterrupted():
                lock.free()
                shutil.rmtree(work, ignore_errors=True)


def remove_leftovers(folder: Path) -> None:
    """Delete the folders for unfinished work in `folder` whose process is gone; once a process and folder."""
    if folder in _looked_over:
        return
    _looked_over.add(folder)
    for work in folder.glob(f"{SCRATCH}*"):
        with suppress(OSError):
            if work.is_dir() and not work.is_symlink() and abandoned(work):
                for aside in work.glob(f"*{ASIDE}"):  # it was killed between the two moves of `replace`
                    if not (folder / aside.name.removesuffix(ASIDE)).exists():
                        os.rename(aside, folder / aside.name.removesuffix(ASIDE))
                shutil.rmtree(work, ignore_errors=True)


def abandoned(work: Path) -> bool:
    """Whether a folder for unfinished work has no process any more."""
    if not (work / locks.NAME).exists():  # just made, or the rest of one that is being removed
        return time.time() - work.stat().st_mtime > ABANDONED_S
    lock = locks.Lock(work)
    if not lock.take():
        return False
    lock.free()
    return True


def check_writable(folder: Path) -> None:
    """InputError if nothing can be written into `folder`; one that is not there yet is not made."""
    nearest = next(place for place in (folder, *folder.absolute().parents) if place.exists())
    try:
        with scratch_in(nearest):
            pass
    except InputError as error:
        raise InputError(str(error).replace(f"cannot write {nearest}:", f"cannot write {folder}:", 1)) from error


@contextmanager
def moved_into_place(target: str | Path) -> Iterator[Path]:
    """A path to write to; what the block wrote there, file or folder, then replaces `target`.

    If the block fails or is interrupted, nothing is left and `target` is as it was.
    """
    target = Path(target)
    with scratch_in(target.parent) as work:
        yield work / target.name
        replace(work / target.name, target)


def check_target(target: Path) -> None:
    """InputError for a file that could not be written later: a folder, or in a place that cannot be written to."""
    if target.is_dir():
        raise InputError(f"cannot write {target}: it is a folder. Give the name of a file.")
    with scratch_in(target.parent):
        pass


def replace(source: Path, target: Path) -> None:
    """Move a finished file or folder over `target`, on the same disk. A folder is set aside until the move is done."""
    if not target.is_dir() or target.is_symlink():
        os.replace(source, target)
        return
    aside = source.with_name(source.name + ASIDE)
    os.rename(target, aside)
    try:
        os.rename(source, target)
    except BaseException:
        os.rename(aside, target)
        raise


def remove(target: Path) -> None:
    """Delete a file or folder, if it exists."""
    if target.is_dir() and not target.is_symlink():
        shutil.rmtree(target)
    else:
        target.unlink(missing_ok=True)


def write_text(target: str | Path, text: str) -> None:
    with moved_into_place(target) as path:
        path.write_text(text, encoding="utf-8", errors="backslashreplace")  # names of files need be no text


def write_json(target: str | Path, value: object) -> None:
    """Strict JSON (no NaN), sorted as given, with a final newline."""
    write_text(target, json.dumps(value, indent=2, allow_nan=False, ensure_ascii=False) + "\n")


def read_json(path: str | Path, *, expected: str) -> dict:
    """The object in a JSON file; InputError that says what was expected if there is none, or a key stands twice."""
    path = Path(path)
    try:
        if path.stat().st_size > MAX_JSON_BYTES:
            raise InputError(f"{path} is larger than {MAX_JSON_BYTES} bytes; expected {expected}")
        text = path.read_text(encoding="utf-8-sig")  # Windows editors put a mark in front
        value = json.loads(text, object_pairs_hook=without_doubles)
    except FileNotFoundError as error:
        raise InputError(f"{path} does not exist; expected {expected}") from error
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}); expected {expected}") from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} is not JSON ({error}); expected {expected}") from error
    if not isinstance(value, dict):
        raise InputError(f"{path} holds no JSON object; expected {expected}")
    return value


def without_doubles(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """The object of JSON pairs; ValueError where a name is there twice, of which a parser would drop one in silence."""
    value = dict(pairs)
    if len(value) < len(pairs):
        names = Counter(name for name, _ in pairs)
        raise ValueError(f"{next(name for name in names if names[name] > 1)!r} is there twice in one object")
    return value


def parts_of(folder: Path) -> list[Path]:
    """A folder's files in name order, without those that file managers leave behind."""
    return sorted(part for part in folder.rglob("*") if part.is_file() and part.name not in LEFT_BEHIND)


def sha256(path: str | Path) -> str:
    """Hex digest of a file, or of a folder's files with their relative names, in name order."""
    path = Path(path)
    digest = hashlib.sha256()
    if path.is_dir():
        for part in parts_of(path):
            digest.update(part.relative_to(path).as_posix().encode("utf-8", "surrogateescape") + b"\0")
            digest.update(bytes.fromhex(sha256(part)))
        return digest.hexdigest()
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def size(path: str | Path) -> int:
    """Bytes of a file, or of all files of a folder."""
    path = Path(path)
    if path.is_dir():
        return sum(part.stat().st_size for part in parts_of(path))
    return path.stat().st_size
