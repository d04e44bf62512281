"""What paths are called in messages, and what they lead to where that is no file to be read."""

from __future__ import annotations

import os
import stat
import unicodedata
from pathlib import Path

from edge.errors import InputError

MODEL_FOLDERS = {".mlpackage": "Core ML", ".mlmodelc": "compiled Core ML", ".aimodel": "Core AI"}  # by their ending


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
        model = MODEL_FOLDERS.get(path.suffix.lower())
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
