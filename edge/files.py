"""Files are written under a temporary name, then moved into place, so that none is ever half-written."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import stat
import tempfile
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from edge.errors import InputError

LEFT_BEHIND = {".DS_Store", "Thumbs.db", "desktop.ini"}
MAX_JSON_BYTES = 64 * 2**20


@contextmanager
def scratch_in(folder: Path) -> Iterator[Path]:
    """A folder inside `folder` for unfinished work; it is gone afterwards, however the block ends.

    Raises InputError when the disk is full or the folder cannot be written, also from within the block.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        work = Path(tempfile.mkdtemp(prefix=".unfinished-", dir=folder))
    except OSError as error:
        raise InputError(cannot_write(folder, error)) from error
    try:
        yield work
    except OSError as error:
        if error.errno not in WRITE_ERRORS and error.errno is not None:  # NumPy's short write has no number
            raise
        raise InputError(cannot_write(folder, error)) from error
    finally:
        shutil.rmtree(work, ignore_errors=True)


@contextmanager
def moved_into_place(target: Path) -> Iterator[Path]:
    """A path to write to; what the block wrote there, file or folder, then replaces `target`.

    If the block fails or is interrupted, nothing is left and `target` is as it was.
    """
    target = Path(target)
    with scratch_in(target.parent) as work:
        yield work / target.name
        replace(work / target.name, target)


def replace(source: Path, target: Path) -> None:
    """Move a finished file or folder over `target`, on the same disk. A folder is set aside until the move is done."""
    if not target.is_dir() or target.is_symlink():
        os.replace(source, target)
        return
    aside = source.with_name(source.name + ".replaced")
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


WRITE_ERRORS = {
    errno.ENOSPC,
    errno.EDQUOT,
    errno.EROFS,
    errno.EACCES,
    errno.EPERM,
    errno.EFBIG,
    errno.ENOTDIR,
    errno.EIO,
}


def cannot_write(target: Path, error: OSError) -> str:
    full = error.errno in {errno.ENOSPC, errno.EDQUOT}
    reason = "the disk is full" if full else (error.strerror or str(error))
    advice = "Free some space or choose" if full else "Choose"
    return f"cannot write {target}: {reason}. {advice} another place; nothing was left half-written."


def write_text(target: Path, text: str) -> None:
    with moved_into_place(target) as path:
        path.write_text(text, encoding="utf-8", errors="backslashreplace")  # names of files need be no text


def write_json(target: Path, value: object) -> None:
    """Strict JSON (no NaN), sorted as given, with a final newline."""
    write_text(target, json.dumps(value, indent=2, allow_nan=False, ensure_ascii=False) + "\n")


def read_json(path: Path, *, expected: str) -> dict:
    """The object in a JSON file; InputError that says what was expected if there is none."""
    try:
        if path.stat().st_size > MAX_JSON_BYTES:
            raise InputError(f"{path} is larger than {MAX_JSON_BYTES} bytes; expected {expected}")
        value = json.loads(path.read_text(encoding="utf-8-sig"))  # Windows editors put a mark in front
    except FileNotFoundError as error:
        raise InputError(f"{path} does not exist; expected {expected}") from error
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}); expected {expected}") from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} is not JSON ({error}); expected {expected}") from error
    if not isinstance(value, dict):
        raise InputError(f"{path} holds no JSON object; expected {expected}")
    return value


def printable(text: str) -> str:
    """A file's name on one line of a message: control characters and bytes that are no text as \\x1b."""
    return "".join(
        letter
        if letter.isprintable() or letter == "\u200d"  # joins emoji
        else f"\\x{ord(letter) & 0xFF:02x}" if letter < "\x80" or "\udc80" <= letter <= "\udcff"  # os.fsdecode
        else f"\\u{ord(letter):04x}"
        for letter in text
    )  # fmt: skip


def named_again(path: Path) -> Path:
    """The path as the disk writes it, where its letters are the same in another form of Unicode; else as it is.

    A Mac writes é as e and an accent, a keyboard as one letter.
    """
    if str(path).isascii() or os.path.lexists(path):
        return path
    here = Path(path.anchor) if path.anchor else Path()
    for part in path.relative_to(path.anchor).parts if path.anchor else path.parts:
        if not os.path.lexists(here / part):
            try:
                alike = [name for name in os.listdir(here) if same_letters(name, part)]
            except OSError:
                return path
            if len(alike) != 1:
                return path
            part = alike[0]
        here /= part
    return here


def same_letters(name: str, other: str) -> bool:
    return unicodedata.normalize("NFC", name) == unicodedata.normalize("NFC", other)


def kind_of(path: Path, mode: int) -> str:
    """What a path leads to that is no regular file, in words; `mode` as of `os.stat`."""
    if stat.S_ISDIR(mode):
        models = {".mlpackage": "Core ML", ".mlmodelc": "compiled Core ML", ".aimodel": "Core AI"}
        model = models.get(path.suffix.lower())
        return f"a folder, a {model} model" if model else "a folder"
    kinds = {
        stat.S_IFIFO: "a named pipe", stat.S_IFSOCK: "a socket", stat.S_IFCHR: "a device", stat.S_IFBLK: "a device",
    }  # fmt: skip
    return f"{kinds.get(stat.S_IFMT(mode), 'a special file')}, no regular file"


def refuse_compiled(path: Path) -> None:
    """InputError for what Core ML's compiler makes of a package: only Apple's systems run it."""
    if path.suffix.lower() == ".mlmodelc":
        raise InputError(
            f"{path} is a compiled Core ML model, which nothing but Apple's systems runs; give the .mlpackage that it "
            "was compiled from"
        )


def no_file(path: Path, error: OSError | ValueError) -> str:
    """Why a file cannot be opened, to follow its name."""
    if isinstance(error, FileNotFoundError) and path.is_symlink():
        return f"is a link to {printable(os.readlink(path))}, which is not there; mend or remove the link"
    reason = getattr(error, "strerror", None) or str(error)
    return f"cannot be read: {reason}"


def parts_of(folder: Path) -> list[Path]:
    """A folder's files in name order, without those that file managers leave behind."""
    return sorted(part for part in folder.rglob("*") if part.is_file() and part.name not in LEFT_BEHIND)


def sha256(path: Path) -> str:
    """Hex digest of a file, or of a folder's files with their relative names, in name order."""
    digest = hashlib.sha256()
    if path.is_dir():
        for part in parts_of(path):
            digest.update(part.relative_to(path).as_posix().encode("utf-8", "surrogateescape") + b"\0")
            digest.update(bytes.fromhex(sha256(part)))
        return digest.hexdigest()
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def size(path: Path) -> int:
    """Bytes of a file, or of all files of a folder."""
    if path.is_dir():
        return sum(part.stat().st_size for part in parts_of(path))
    return path.stat().st_size
