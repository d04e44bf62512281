"""The float and the int8 model of a build folder, asked with whatever numbers an app might hand over."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from edge import artifact
from edge.checkpoint import shipped
from edge.errors import InputError
from edge.files import read_json
from edge.manifest import Manifest
from edge.preprocess import check_version
from edge.questions.mistakes.catalogue import Mistake
from edge.questions.mistakes.scene import Scene, Target
from edge.recipes import TFLITE
from edge.runtimes import Runtime
from edge.runtimes.open import FORMATS, open_file
from edge.runtimes.reference import Reference

if TYPE_CHECKING:
    from edge.checkpoint import Checkpoint

# form -> recipe, of those that take floats; a graph that takes bytes cannot be misled by scale
RECIPES = {"float": "fp32", "int8": next(n for n, r in TFLITE.items() if r.measured and r.dtype == "float32")}


@dataclass(frozen=True)
class Model:
    form: str  # "float" or "int8"
    name: str  # of the file
    runtime: Runtime

    def ask(self, image: np.ndarray) -> np.ndarray:
        """Probabilities, float64 (K,), for (S, S, 3) of any numbers."""
        answer = self.runtime.run_floats(image[None].astype(np.float32)).probabilities[0]
        if not np.isfinite(answer).all():
            raise InputError(f"{self.name} gives no finite answer: its weights are damaged; convert again")
        return answer


def open_models(
    folder: Path, manifest: Manifest, *, checkpoint: Checkpoint | None = None, threads: int = 1, only: str | None = None
) -> tuple[Model, ...]:
    """The fp32 .tflite (without it the checkpoint in torch), and the int8 .tflite where there is one.

    `only`: this file alone.
    """
    entries = {
        form: entry
        for form, recipe in RECIPES.items()
        for entry in manifest.of_pictures
        if entry.format == "tflite" and entry.recipe == recipe and only in (None, entry.file)
    }
    if only and not entries:
        raise InputError(
            f"{folder / only} is not the fp32 or int8 .tflite of its manifest; give one of them, or the folder"
        )
    artifact.verify_files(folder, entries.values())
    models = [
        Model(form, entry.file, open_file(folder / entry.file, "tflite", threads=threads))
        for form, entry in entries.items()
    ]
    if "float" not in entries and checkpoint is not None:
        models.insert(0, Model("float", f"{manifest.model} (torch)", Reference(checkpoint)))
    if not models:
        raise InputError(
            f"{folder} has neither an fp32 nor an int8 .tflite; `python convert/to_tflite.py --recipe fp32 --recipe "
            "int8` writes both"
        )
    return tuple(models)


def ask_all(
    scene: Scene, mistakes: Iterable[Mistake], models: Sequence[Model]
) -> dict[str, dict[str, tuple[np.ndarray, np.ndarray]]]:
    """Mistake -> form -> (right, wrong) probabilities (K,). Inputs that are alike are asked once."""
    known: dict[tuple[str, bytes], np.ndarray] = {}

    def ask(model: Model, image: np.ndarray) -> np.ndarray:
        key = (model.form, image.dtype.str.encode() + image.tobytes())
        if key not in known:
            known[key] = model.ask(image)
        return known[key]

    answers = {}
    for mistake in mistakes:
        right, wrong = mistake.right(scene), mistake.wrong(scene)
        answers[mistake.code] = {model.form: (ask(model, right), ask(model, wrong)) for model in models}
    return answers


def open_folder(path: Path) -> tuple[Path, Manifest, str | None]:
    """(folder, its checked manifest, the one file wanted) of a build folder or of a .tflite in one."""
    if path.suffix in FORMATS and path.suffix != ".tflite":
        raise InputError(
            f"{path} is no .tflite; wrong paths are taken with the fp32 and the int8 .tflite, which answer as the "
            f"package does: give the folder, {path.parent}, or one of these files in it"
        )
    if path.suffix == ".tflite" and not path.is_file():
        raise InputError(f"no .tflite file at {path}; `python convert/to_tflite.py` writes them")
    folder, only = (path.parent, path.name) if path.suffix == ".tflite" else (path, None)
    manifest = artifact.read(folder)
    check_version(manifest.preprocess, where=str(folder))
    return folder, manifest, only


def target_of(manifest: Manifest, checkpoint: Path | None = None) -> Target:
    """The side from the manifest; mean and std from the description of its checkpoint, where that is at hand.

    Needs no torch. InputError if `checkpoint` is given and is another one.
    """
    side = manifest.side
    weights = checkpoint
    if weights is None:
        with suppress(InputError):
            weights = shipped(manifest.model)
    if weights is None:
        return Target(side)
    path = weights / "checkpoint.json" if weights.is_dir() else weights.with_suffix(".json")
    described = read_json(path, expected="the description of a checkpoint (dermedge/checkpoint/1)")
    try:
        digest, numbers = described["weights"]["sha256"], described["preprocess"]
        mean, std = (tuple(map(float, numbers[name])) for name in ("mean", "std"))
        if len(mean) != 3 or len(std) != 3:
            raise ValueError("expected three numbers each")
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{path} describes no checkpoint ({error}); give the one that training wrote") from error
    if digest == manifest.checkpoint_sha256:
        return Target(side, mean, std)
    if checkpoint is not None:
        raise InputError(f"the model was converted from another checkpoint than {checkpoint}; give the right one")
    return Target(side)
