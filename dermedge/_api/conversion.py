"""A checkpoint -> files for phones, each judged before it is kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from edge import checks
from edge.build import Build
from edge.checkpoint import Checkpoint
from edge.data.selection import Photographs
from edge.errors import InputError
from edge.progress import Listener, listening
from edge.recipes import RECIPES

from .._rooms import room
from .loading import load

# what a person calls a format -> its name in manifests, the room that writes it, the class in it
FORMATS = {
    "tflite": ("tflite", "convert._tflite.format", "TFLiteFormat"),
    "coreml": ("mlpackage", "convert._coreml.format", "CoreMLFormat"),
    "coreai": ("aimodel", "convert._coreai.format", "CoreAIFormat"),
    "onnx": ("onnx", "convert._onnx.format", "ONNXFormat"),
}


def convert(
    checkpoint: Checkpoint | str | Path,
    *,
    formats: Sequence[str] = ("tflite",),
    recipes: Sequence[str] | None = None,
    photos: Photographs = None,
    out: str | Path | None = None,
    force: bool = False,
    strict: bool = False,
    skip_unreadable: bool = False,
    measure_again: bool = False,
    fine_tune: int = 0,
    answers: bool = False,
    on_progress: Listener | None = None,
) -> Build:
    """Write a checkpoint (or the one of a shipped name or path) as files for phones; returns the folder as a `Build`.

    `formats`: of tflite, coreml, coreai, onnx. `recipes`: names like fp32, fp16, int8 (None: all that each format has);
    one that a format has not is left out there. `photos`: a folder, a PhotoSet or several; files are judged on those of
    patients that the checkpoint never saw, and 8-bit files are measured on those that trained it (None: the folder in
    DERMEDGE_PHOTOS, else drawn images). `out`: folder, default build/<model>. `force` replaces files; `strict` lets
    every gate bind; `fine_tune`: epochs for palettes (Core ML); `answers`: beside each file a second one that takes
    what a person answered (docs/answers.md), of a checkpoint that was fitted to answers.

    `build.rejected` names the files that failed a binding gate and were not kept, `build.reasons` says why; where the
    float network was lowered wrongly that is every file, and the reason names the operation. Raises InputError for what
    cannot be converted, with the operation and the module where it is known; formats that were written before stay.
    """
    checkpoint = checkpoint_of(checkpoint)
    wanted = checks.names(formats, "formats", list(FORMATS))
    names = checks.names_or_none(recipes, "recipes")
    known = {recipe for form in wanted for recipe in RECIPES[FORMATS[form][0]]}
    strange = [recipe for recipe in names or () if recipe not in known]
    if strange:
        raise InputError(f"no recipe {strange[0]!r} in {', '.join(wanted)}; known: {', '.join(sorted(known))}")
    fine_tune = checked_epochs(fine_tune, wanted, names)
    photos = checks.photographs(photos)
    checks.truths(
        force=force, strict=strict, skip_unreadable=skip_unreadable, measure_again=measure_again, answers=answers
    )
    checks.listener(on_progress)
    folder = Path("build") / checkpoint.model if out is None else checks.path(out, "out", "the folder to write into")
    rejected: list[str] = []
    reasons: list[str] = []
    written: list[str] = []  # formats
    with listening(on_progress):
        for form in wanted:
            name, _, _ = FORMATS[form]
            own = None if names is None else [recipe for recipe in names if recipe in RECIPES[name]]
            if own == []:
                continue
            try:
                conversion = room("convert._convert").convert(
                    checkpoint,
                    format_of(form),
                    path=checkpoint.path,
                    folder=folder,
                    recipes=own,
                    data=photos,
                    force=force,
                    strict=strict,
                    skip_unreadable=skip_unreadable,
                    measure_again=measure_again,
                    fine_tune=fine_tune if form == "coreml" else 0,
                    answers=answers,
                )
            except InputError as error:
                if not written:
                    raise
                words = str(error).replace("Nothing was written.", f"Nothing of {form} was written.")
                raise InputError(f"{words} {what_stands(folder, written, wanted)}") from error
            written.append(form)
            refused = [result for result in conversion.judged if result.rejected]
            rejected += [result.path.name for result in refused]
            reasons += [remark for result in refused for remark in result.remarks]
    manifest = conversion.manifest
    return Build(folder, manifest, replace(checkpoint), tuple(rejected), tuple(dict.fromkeys(reasons)))


def checked_epochs(fine_tune: object, formats: Sequence[str], recipes: Sequence[str] | None) -> int:
    """The epochs of `fine_tune`, which the palettes of Core ML alone take; InputError where they would be ignored."""
    epochs = checks.whole(fine_tune, "fine_tune", 0)
    if epochs and "coreml" not in formats:
        raise InputError(f"`fine_tune` is for the palettes of Core ML, got formats {', '.join(formats)}; leave it out")
    if epochs and recipes is not None and not any(recipe.startswith("palette") for recipe in recipes):
        raise InputError(
            f"`fine_tune` is for palettes, got recipes {', '.join(recipes)}; add palette4 (or 6, 8), or leave it out"
        )
    return epochs


def what_stands(folder: Path, written: Sequence[str], wanted: Sequence[str]) -> str:
    """What was written before a format could not be, and how to come by the rest."""
    rest = [form for form in wanted if form not in written]
    return (
        f"The files of {', '.join(written)} were written before and stand in {folder}; convert the rest into the same "
        f"folder with `formats={rest}`."
    )


def checkpoint_of(checkpoint: Checkpoint | str | Path) -> Checkpoint:
    """A checkpoint, or the one that a name or path stands for; InputError for anything else."""
    if isinstance(checkpoint, str | Path):
        return load(checkpoint)
    if isinstance(checkpoint, Build):
        raise InputError("expected a Checkpoint, a shipped name or a path, got a Build; its `.checkpoint` is one")
    if not isinstance(checkpoint, Checkpoint):
        raise InputError(
            f"expected a Checkpoint, a shipped name or a path, got {type(checkpoint).__name__}; `dermedge.wrap` makes "
            "one of a torch module"
        )
    return checkpoint


def format_of(form: str) -> Any:
    """The converter of `tflite`, `coreml`, `coreai` or `onnx`."""
    _, module, name = FORMATS[form]
    return getattr(room(module), name)()
