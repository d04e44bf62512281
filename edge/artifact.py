"""An exported model on disk: the files of `build/<model>/` and the manifest that describes them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from edge.errors import InputError
from edge.files import read_json, sha256, size, write_json
from edge.manifest import FileEntry, Manifest, from_json_value, to_json_value
from edge.paths import refuse_compiled

MANIFEST = "manifest.json"
OURS = "dermedge/"  # what the schema of each of our files begins with
SUFFIXES = {".tflite", ".mlpackage", ".aimodel", ".onnx"}  # of what a folder holds beside its manifest


def read(folder: str | Path) -> Manifest:
    """The checked manifest of a build folder (or the path of the manifest itself); InputError if it is none."""
    folder = Path(folder)
    refuse_compiled(folder)
    if folder.suffix in SUFFIXES:
        raise InputError(f"{folder} is a single exported file; give the folder that it lies in: {folder.parent}")
    path = folder if folder.is_file() else folder / MANIFEST
    value = read_json(path, expected="the manifest of an exported model (`convert/to_tflite.py` writes it)")
    return from_json_value(value, where=str(path))


def is_ours(folder: Path) -> bool:
    """Whether a manifest.json of dermedge lies there, of whatever version; one of a web app or another tool is none."""
    try:
        schema = read_json(folder / MANIFEST, expected="a manifest").get("schema")
    except InputError:
        return False
    return isinstance(schema, str) and schema.startswith(OURS)


def write(folder: str | Path, manifest: Manifest) -> None:
    """Check and write. The files must be there and be the ones described."""
    folder = Path(folder)
    value = to_json_value(manifest)
    from_json_value(value, where=str(folder / MANIFEST))
    verify(folder, manifest)
    write_json(folder / MANIFEST, value)


def verify(folder: str | Path, manifest: Manifest) -> None:
    """InputError that names the first file which is missing or not the one described."""
    folder = Path(folder)
    verify_files(folder, manifest.files)
    reference = manifest.reference
    if reference.file is not None and not (folder / reference.file).is_file():
        raise InputError(f"{folder / MANIFEST} describes {reference.file}, which is missing; convert again")
    if reference.file is not None and sha256(folder / reference.file) != reference.sha256:
        raise InputError(f"{folder / reference.file} is not the float network of the manifest; convert again")


def verify_files(folder: str | Path, entries: Iterable[FileEntry]) -> None:
    """InputError that names the first of these files which is missing or not the one described."""
    folder = Path(folder)
    for entry in entries:
        path = folder / entry.file
        if not path.exists():
            raise InputError(f"{folder / MANIFEST} describes {entry.file}, which is missing; convert again")
        if size(path) != entry.bytes or sha256(path) != entry.sha256:
            raise InputError(
                f"{path} is not the file that the manifest describes (size or SHA-256 differ); convert again"
            )
