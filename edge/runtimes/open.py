"""Open whatever file a user points at with the runtime that it needs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from edge import artifact, thresholds
from edge.checkpoint import UNTRAINED, load, shipped
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
    untrained: bool = False  # random weights, whose answers mean nothing


def open_any(path: Path | None, *, model: str, mode: str) -> Opened:
    """A .tflite, .mlpackage or .aimodel beside its manifest.json, a checkpoint, or the shipped one of `model`."""
    if path is not None and path.name == artifact.MANIFEST:
        path = path.parent
    if path is not None and (path / artifact.MANIFEST).is_file():
        files = ", ".join(entry["file"] for entry in artifact.read(path)["files"]) or "none"
        raise InputError(f"{path} is a folder of files; name one of them: {files}")
    if path is not None and path.suffix in {".tflite", ".mlpackage", ".aimodel"}:
        return open_described(path, mode)
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
    return Opened(
        f"{checkpoint.model} (float32, torch)", Reference(checkpoint), side, checkpoint.labels, rule,
        untrained=bool(checkpoint.untrained),
    )  # fmt: skip


def open_described(path: Path, mode: str) -> Opened:
    """A file for phones with its runtime; InputError unless its classes are those of its manifest."""
    if path.suffix == ".aimodel":
        from edge.runtimes.coreai import check_installed

        check_installed()  # what is missing is said before what may be wrong with the file
    manifest = described(path)
    labels = from_json(manifest["labels"], where=str(path.parent))
    codes = [label.code for label in labels]
    runtime: LiteRT | CoreML | CoreAI
    if path.suffix == ".tflite":  # it has no names
        runtime = LiteRT(path, mode=mode)
        fits, has = runtime.classes == len(codes), f"{runtime.classes} outputs"
    elif path.suffix == ".mlpackage":
        from edge.runtimes.coreml.classifier import CoreML  # brings torch along, which a .tflite does not need

        runtime = CoreML(path)
        fits, has = runtime.labels == codes, f"the classes {', '.join(runtime.labels)}"
    else:
        from edge.runtimes.coreai import CoreAI

        runtime = CoreAI(path)
        fits = runtime.labels == codes and runtime.classes == len(codes)
        has = f"{runtime.classes} outputs and the classes {', '.join(runtime.labels)}"
    if not fits:
        runtime.close()
        raise InputError(f"{path} has {has}, its manifest the classes {', '.join(codes)}; convert again")
    untrained = UNTRAINED in manifest["training"]
    return Opened(path.name, runtime, runtime.side, labels, of_manifest(manifest), untrained)


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
