"""An exported model on disk: the files of `build/<model>/` and the manifest that describes them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from edge.errors import InputError
from edge.files import read_json, sha256, size, write_json

SCHEMA = "dermedge/manifest/1"
MANIFEST = "manifest.json"
SCHEMA_FILE = Path(__file__).with_name("manifest.schema.json")

INTENDED_USE = (
    "Research and engineering: showing that an exported skin-lesion model gives the answers of the trained one. "
    "Not a medical device; not for diagnosis, triage or reassurance."
)


@cache
def schema() -> dict:
    return json.loads(SCHEMA_FILE.read_text(encoding="utf-8"))


def check(manifest: object, *, where: str) -> dict:
    """The manifest if it fits the schema; InputError that names the first field that does not."""
    from jsonschema import Draft202012Validator

    error = next(iter(sorted(Draft202012Validator(schema()).iter_errors(manifest), key=lambda e: list(e.path))), None)
    if error is not None:
        field = "/".join(str(part) for part in error.absolute_path) or "the whole file"
        raise InputError(
            f"{where}: {field}: {error.message[:300]}; expected schema {SCHEMA}. If another version of dermedge "
            "wrote it, convert again into a folder of another name, or delete this one first"
        )
    assert isinstance(manifest, dict)
    names = [entry["file"] for entry in manifest["files"]]
    if len(set(names)) != len(names):
        raise InputError(f"{where}: a file is described twice")
    decision = manifest.get("decision")
    if decision and decision["abstain_threshold"] != manifest["output"]["abstain_threshold"]:
        raise InputError(f"{where}: output and decision name different abstain thresholds; convert again")
    if decision and decision["side"] != manifest["input"]["side"]:
        raise InputError(f"{where}: the limits of decision hold for another side than the input's; convert again")
    return manifest


def read(folder: Path) -> dict:
    """The checked manifest of a build folder (or the path of the manifest itself)."""
    path = folder if folder.is_file() else folder / MANIFEST
    return check(
        read_json(path, what="the manifest of an exported model (`convert/to_tflite.py` writes it)"), where=str(path)
    )


def write(folder: Path, manifest: dict) -> None:
    """Check and write. The files must be there and be the ones described."""
    check(manifest, where=str(folder / MANIFEST))
    verify(folder, manifest)
    write_json(folder / MANIFEST, manifest)


def verify(folder: Path, manifest: dict) -> None:
    """InputError that names the first file which is missing or not the one described."""
    for entry in manifest["files"]:
        path = folder / entry["file"]
        if not path.exists():
            raise InputError(f"{folder / MANIFEST} describes {entry['file']}, which is missing; convert again")
        if size(path) != entry["bytes"] or sha256(path) != entry["sha256"]:
            raise InputError(
                f"{path} is not the file that the manifest describes (size or SHA-256 differ); convert again"
            )


def with_files(manifest: dict, entries: list[dict]) -> dict:
    """The manifest with these entries added; an entry of the same file is replaced."""
    new = {entry["file"] for entry in entries}
    kept = [entry for entry in manifest["files"] if entry["file"] not in new]
    return {**manifest, "files": sorted([*kept, *entries], key=lambda entry: entry["file"])}


def share_8bit(audit: Mapping[str, Any] | None) -> float | None:
    """Of the multiply-accumulates of layers with weights, those on 8-bit activations, 0..1; None where not counted.

    Products of two activations, as in attention, are left out: runtimes have no 8-bit form of them.
    """
    if not audit or "macs_weights" not in audit:
        return None
    return min(1.0, audit["macs_8bit"] / max(1, audit["macs_weights"]))
