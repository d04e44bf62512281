"""A checkpoint -> files for phones, each judged before it is kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

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
    on_progress: Listener | None = None,
) -> Build:
    """Write a checkpoint (or the one of a shipped name or path) as files for phones; returns the folder as a `Build`.

    `formats`: of tflite, coreml, coreai. `recipes`: names like fp32, fp16, int8 (None: all that each format has); one
    that a format has not is left out there. `photos`: a folder, a PhotoSet or several; files are judged on those of
    patients that the checkpoint never saw, and 8-bit files are measured on those that trained it (None: the folder in
    DERMEDGE_PHOTOS, else drawn images). `out`: folder, default build/<model>. `force` replaces files; `strict` lets
    every gate bind; `fine_tune`: epochs for palettes (Core ML).

    `build.rejected` names the files that failed a binding gate and were not kept. Raises InputError for what cannot be
    converted, with the operation and the module where it is known.
    """
    checkpoint = checkpoint_of(checkpoint)
    wanted = names_in(formats, "formats")
    unknown = [form for form in wanted if form not in FORMATS]
    if unknown or not wanted:
        raise InputError(f"`formats` are of {', '.join(FORMATS)}, got {', '.join(unknown) or 'none'}")
    names = None if recipes is None else names_in(recipes, "recipes")
    known = {recipe for form in wanted for recipe in RECIPES[FORMATS[form][0]]}
    strange = [recipe for recipe in names or () if recipe not in known]
    if strange:
        raise InputError(f"no recipe {strange[0]!r} in {', '.join(wanted)}; known: {', '.join(sorted(known))}")
    folder = Path(out) if out is not None else Path("build") / checkpoint.model
    rejected: list[str] = []
    with listening(on_progress):
        for form in wanted:
            name, _, _ = FORMATS[form]
            own = None if names is None else [recipe for recipe in names if recipe in RECIPES[name]]
            if own == []:
                continue
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
            )
            rejected += [result.path.name for result in conversion.judged if result.rejected]
    manifest = conversion.manifest
    return Build(folder, manifest, replace(checkpoint), tuple(rejected))


def names_in(names: Sequence[str], parameter: str) -> list[str]:
    """A list of names, each once; InputError for anything else."""
    listed = [names] if isinstance(names, str) else names
    if not isinstance(listed, list | tuple) or not listed or not all(isinstance(name, str) for name in listed):
        raise InputError(f"`{parameter}` is a list of names, got {names!r:.80}")
    return list(dict.fromkeys(listed))


def checkpoint_of(checkpoint: Checkpoint | str | Path) -> Checkpoint:
    """A checkpoint, or the one that a name or path stands for; InputError for anything else."""
    if isinstance(checkpoint, str | Path):
        return load(checkpoint)
    if not isinstance(checkpoint, Checkpoint):
        raise InputError(
            f"expected a Checkpoint, a shipped name or a path, got {type(checkpoint).__name__}; `dermedge.wrap` makes "
            "one of a torch module"
        )
    return checkpoint


def format_of(form: str) -> Any:
    """The converter of `tflite`, `coreml` or `coreai`."""
    _, module, name = FORMATS[form]
    return getattr(room(module), name)()
