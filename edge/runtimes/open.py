"""Open whatever file a user points at with the runtime that it needs. The one opener."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from edge import artifact, thresholds
from edge.checkpoint import load, shipped
from edge.decision import Thresholds, of_manifest, thresholds_of
from edge.errors import InputError
from edge.labels import Label
from edge.manifest import Manifest
from edge.models import DEFAULT_MODEL
from edge.preprocess import check_version
from edge.questionnaire import Question, length_of
from edge.runtimes import Runtime

FORMATS = {".tflite": "tflite", ".mlpackage": "mlpackage", ".aimodel": "aimodel", ".onnx": "onnx"}  # suffix -> format
XNNPACK = "xnnpack"


@dataclass(frozen=True)
class Opened:
    """A file or checkpoint that answers, with what its manifest says of it."""

    name: str
    runtime: Runtime
    side: int  # pixels
    labels: tuple[Label, ...]
    decision: Thresholds | None = None  # where somebody has measured them
    untrained: bool = False  # random weights, whose answers mean nothing
    questions: tuple[Question, ...] = ()  # that a person can answer; none of a file that takes a picture alone
    # what a 1 in each place of `answers` adds to the logarithm of each class's odds, (K, Q)
    log_odds: tuple[tuple[float, ...], ...] | None = None


def open_file(
    path: str | Path, form: str, *, mode: str | None = None, threads: int = 1, labels: Sequence[str] = ()
) -> Runtime:
    """The runtime of a `tflite`, `mlpackage`, `aimodel` or `onnx` in a mode of `modes_of(form)`, by default the first.

    `labels` name the classes of a .tflite, which has no place for them that every runtime reads.
    """
    path = Path(path)
    if form == "tflite":
        from edge.runtimes.litert import LiteRT

        return LiteRT(path, mode=mode or XNNPACK, threads=threads, labels=labels)
    if form == "mlpackage":
        from edge.runtimes.coreml.classifier import INTERPRETER, CoreML  # brings torch along

        return CoreML(path, mode=mode or INTERPRETER, threads=threads)
    if form == "aimodel":
        from edge.runtimes.coreai import CoreAI

        return CoreAI(path)
    if form == "onnx":
        from edge.runtimes.onnx import MODES as ways
        from edge.runtimes.onnx import OnnxRuntime

        return OnnxRuntime(path, mode=mode or ways[0], threads=threads, labels=labels)
    raise unknown_format(form)


def modes_of(form: str) -> tuple[str, ...]:
    """Every way in which a file of this format can be run here; the one that phones use comes first."""
    if form == "tflite":
        from edge.runtimes.litert import MODES

        return MODES
    if form == "mlpackage":
        from edge.runtimes.coreml.classifier import modes

        return modes()
    if form == "aimodel":
        from edge.runtimes.coreai import MODE

        return (MODE,)
    if form == "onnx":
        from edge.runtimes.onnx import MODES as ways

        return ways
    raise unknown_format(form)


def unknown_format(form: str) -> InputError:
    return InputError(f"no runtime here opens files of the format `{form}`; known are {', '.join(FORMATS.values())}")


def missing_for(form: str) -> str | None:
    """Why files of this format cannot be run here, in one line; None where they can. Core AI and ONNX are extras."""
    if form == "aimodel":
        from edge.runtimes import coreai

        return coreai.missing()
    if form == "onnx":
        from edge.runtimes import onnx

        return onnx.missing()
    return None


def open_any(
    path: str | Path | None, *, model: str = DEFAULT_MODEL, mode: str | None = None, threads: int = 1
) -> Opened:
    """A file for phones beside its manifest.json (endings: FORMATS), a checkpoint, or the shipped one of `model`."""
    path = None if path is None else Path(path)
    if path is not None and path.name == artifact.MANIFEST:
        path = path.parent
    if path is not None and (path / artifact.MANIFEST).is_file():
        files = ", ".join(entry.file for entry in artifact.read(path).files) or "none"
        raise InputError(f"{path} is a folder of files; name one of them: {files}")
    if path is not None and path.suffix in FORMATS:
        return open_described(path, mode, threads)
    if path is not None and path.suffix not in {".safetensors", ".pt2", ".json"} and not path.is_dir():
        raise InputError(
            f"{path} is neither a .tflite, .mlpackage, .aimodel or .onnx nor a checkpoint (.safetensors, .pt2); "
            "`file` is one of them"
        )
    from edge.runtimes.reference import Reference

    path = path or shipped(model)
    checkpoint = load(path)
    side = checkpoint.preprocess.side
    section = thresholds.find(path, checkpoint_sha256=checkpoint.sha256, side=side)
    rule = thresholds_of(section, [label.code for label in checkpoint.labels]) if section else None
    runtime = Reference(checkpoint)
    return Opened(
        runtime.name, runtime, side, checkpoint.labels, rule, untrained=bool(checkpoint.untrained),
        questions=checkpoint.questions, log_odds=checkpoint.log_odds,
    )  # fmt: skip


def open_described(path: Path, mode: str | None, threads: int = 1) -> Opened:
    """A file for phones with its runtime; InputError unless its classes are those of its manifest."""
    form = FORMATS[path.suffix]
    missing = missing_for(form)  # what is missing is said before what may be wrong with the file
    if missing:
        raise InputError(missing)
    manifest = described(path)
    runtime = open_file(path, form, mode=mode if form == "tflite" else None, threads=threads, labels=manifest.codes)
    classes = getattr(runtime, "classes", len(runtime.labels))  # a .tflite has no names of its own, but a number
    inside = runtime.labels
    if form == "tflite":
        from edge.runtimes.litert import labels_inside

        inside = labels_inside(path) or inside
    if inside != manifest.codes or classes != len(manifest.codes):
        runtime.close()
        raise InputError(
            f"{path} has {classes} outputs and the classes {', '.join(inside)}, its manifest "
            f"{', '.join(manifest.codes)}; convert again"
        )
    entry = manifest.entry(path.name)
    asked = manifest.questions if entry is not None and entry.answers else ()
    takes = runtime.answer_places
    if takes != length_of(asked):
        runtime.close()
        raise InputError(f"{path} takes answers of {takes} places, its manifest has {length_of(asked)}; convert again")
    untrained = manifest.training.untrained is not None
    log_odds = manifest.log_odds if asked else None
    return Opened(path.name, runtime, runtime.side, manifest.labels, of_manifest(manifest), untrained, asked, log_odds)


def described(path: Path) -> Manifest:
    """The manifest beside a file; InputError unless it describes this very file."""
    if not path.exists():
        raise InputError(f"no file at {path}; the converters write some to build/<model>")
    try:
        manifest = artifact.read(path.parent)
    except InputError as error:
        raise InputError(
            f"{path} needs the manifest.json that was written with it; leave the two together ({error})"
        ) from error
    entry = manifest.entry(path.name)
    if entry is None:
        raise InputError(f"{path.parent / artifact.MANIFEST} does not describe {path.name}; convert again")
    check_version(manifest.preprocess, where=str(path.parent))
    artifact.verify_files(path.parent, [entry])
    return manifest
