"""Open whatever file a user points at with the runtime that it needs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from edge import artifact, thresholds
from edge.checkpoint import load, shipped
from edge.decision import Thresholds, of_manifest, thresholds_of
from edge.errors import InputError
from edge.labels import Label, from_json
from edge.preprocess import check_version
from edge.runtimes.litert import LiteRT
from edge.runtimes.reference import Reference

if TYPE_CHECKING:
    from edge.runtimes.coreai import CoreAI
    from edge.runtimes.coreml.classifier import CoreML


@dataclass(frozen=True)
class Opened:
    name: str
    runtime: LiteRT | Reference | CoreML | CoreAI
    side: int  # pixels
    labels: tuple[Label, ...]
    decision: Thresholds | None = None  # where somebody has measured them


def open_any(path: Path | None, *, model: str, mode: str) -> Opened:
    """A .tflite, .mlpackage or .aimodel beside its manifest.json, a checkpoint, or the shipped one of `model`."""
    if path is not None and path.name == artifact.MANIFEST:
        path = path.parent
    if path is not None and (path / artifact.MANIFEST).is_file():
        files = ", ".join(entry["file"] for entry in artifact.read(path)["files"]) or "none"
        raise InputError(f"{path} is a folder of files; name one of them: {files}")
    if path is not None and path.suffix == ".tflite":
        manifest = described(path)
        runtime = LiteRT(path, mode=mode)
        labels = from_json(manifest["labels"], where=str(path.parent))
        if len(labels) != runtime.classes:
            raise InputError(f"{path} has {runtime.classes} outputs, its manifest names {len(labels)} classes")
        return Opened(path.name, runtime, runtime.side, labels, of_manifest(manifest))
    if path is not None and path.suffix == ".mlpackage":
        from edge.runtimes.coreml.classifier import CoreML  # brings torch along, which a .tflite does not need

        manifest = described(path)
        labels = from_json(manifest["labels"], where=str(path.parent))
        package = CoreML(path)
        if [label.code for label in labels] != package.labels:
            raise InputError(f"{path} has the classes {', '.join(package.labels)}, its manifest others; convert again")
        return Opened(path.name, package, package.side, labels, of_manifest(manifest))
    if path is not None and path.suffix == ".aimodel":
        from edge.runtimes.coreai import CoreAI, check_installed

        check_installed()
        manifest = described(path)
        labels = from_json(manifest["labels"], where=str(path.parent))
        asset = CoreAI(path)
        if [label.code for label in labels] != asset.labels or len(labels) != asset.classes:
            asset.close()
            raise InputError(f"{path} has the classes {', '.join(asset.labels)}, its manifest others; convert again")
        return Opened(path.name, asset, asset.side, labels, of_manifest(manifest))
    if path is not None and path.suffix not in {".safetensors", ".json"} and not path.is_dir():
        raise InputError(
            f"{path} is neither a .tflite, .mlpackage or .aimodel nor a checkpoint (.safetensors); "
            "--with takes one of them"
        )
    path = path or shipped(model)
    checkpoint = load(path)
    side = checkpoint.preprocess.side
    section = thresholds.find(path, checkpoint_sha256=checkpoint.sha256, side=side)
    rule = thresholds_of(section, [label.code for label in checkpoint.labels]) if section else None
    return Opened(f"{checkpoint.model} (float32, torch)", Reference(checkpoint), side, checkpoint.labels, rule)


def described(path: Path) -> dict:
    """The manifest beside a file; InputError unless it describes this very file."""
    if not path.exists():
        raise InputError(f"no file at {path}; the converters write some to build/<model>")
    try:
        manifest = artifact.read(path.parent)
    except InputError as error:
        raise InputError(
            f"{path} needs the manifest.json that was written with it; leave the two together ({error})"
        ) from error
    entries = [entry for entry in manifest["files"] if entry["file"] == path.name]
    if not entries:
        raise InputError(f"{path.parent / artifact.MANIFEST} does not describe {path.name}; convert again")
    check_version(manifest["preprocess"]["version"], where=str(path.parent))
    artifact.verify(path.parent, {"files": entries})
    return manifest
