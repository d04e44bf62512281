"""Photographs -> a checkpoint, and how good one is."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge.checkpoint import Checkpoint, Preprocess
from edge.data.selection import Photographs, find_sets
from edge.data.table import PhotoSet
from edge.errors import InputError
from edge.models import MODELS
from edge.preprocess import PREPROCESS_VERSION
from edge.progress import Listener

from .._rooms import room
from .conversion import checkpoint_of
from .source import build_network, builder_of, is_source
from .wrapping import name_of, normalisation

if TYPE_CHECKING:
    from torch import nn

    from train._evaluate import Evaluation
    from train._run import TrainingRun

    Model = str | nn.Module | Callable[..., nn.Module]

Set = str | Path | PhotoSet


def train(
    model: Model,
    photos: Set,
    *,
    out: str | Path | None = None,
    also: Sequence[Set] = (),
    init: str | Path | Checkpoint | None = None,
    folds: int = 5,
    fold: int = 0,
    held_back: float = 0.1,
    split_seed: int = 0,
    resume: bool = False,
    force: bool = False,
    skip_unreadable: bool = False,
    precision: str = "auto",
    workers: int = 0,
    threads: int | None = None,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    scale: float = 1.0,
    name: str | None = None,
    on_progress: Listener | None = None,
    on_epoch: Callable[[dict], None] | None = None,
    **options: Any,
) -> TrainingRun:
    """Train on labelled photographs, split by patient; returns the run, whose `checkpoint` is ready to convert.

    `model`: one of dermedge's by name, or a network of your own: `path/to/net.py:build`, a function that takes the
    number of classes and returns a module, or a module with as many scores as `photos` has classes; it then needs
    `mean` and `std` (and `scale`), as `wrap` does. `photos`: a PhotoSet or a folder; `also`: more to learn from.
    `init`: a checkpoint to start from. `folds`, `fold`, `held_back`, `split_seed`: which patients stay unseen and which
    set the temperature. `out`: folder, default runs/<model>. `options` are those of the recipe, by the names of
    `dermedge train --help`: stages ("64x40,128x60" or pairs), batch, learning_rate, weight_decay, label_smoothing,
    balance, evenness, mixup, descriptors, guide, class_weight, variants, ema, augment, seed.

    `run.checkpoint`, `run.metrics` (on the unseen patients), `run.history`, `run.notes`, `run.folder`. Raises
    InputError for what does not fit, before anything is trained, and KeyboardInterrupt after Ctrl-C, from where
    `resume` goes on.
    """
    options_room, recipe_room = room("train._options"), room("train._recipe")
    chosen = recipe_options(options, recipe_room)
    own: OwnNetwork | None = None
    if isinstance(model, str) and not is_source(model):
        known = model
    else:
        chosen = {"descriptors": 0.0, "guide": 0.0, **chosen}  # both read a layer that it may not have
        own = own_network(model, name, side=recipe_room.Recipe(**chosen).side, mean=mean, std=std, scale=scale)
        known = own.name
    recipe = recipe_room.Recipe(model=known, **chosen)
    return room("train._run").train(
        recipe,
        Path(photos) if isinstance(photos, str) else photos,
        folder=Path(out) if out is not None else Path("runs") / known,
        also=[Path(part) if isinstance(part, str) else part for part in also],
        init=shipped_or_path(init),
        split=options_room.Split(folds, fold, held_back, split_seed),
        machine=options_room.Machine(precision, workers, threads),
        create=own.create if own else None,
        preprocess=own.preprocess if own else None,
        resume=resume,
        force=force,
        skip_unreadable=skip_unreadable,
        on_progress=on_progress,
        on_epoch=on_epoch,
    )


def evaluate(
    checkpoint: Checkpoint | str | Path,
    photos: Photographs,
    *,
    skip_unreadable: bool = False,
    on_progress: Listener | None = None,
) -> Evaluation:
    """How good a checkpoint is on photographs of patients that it never saw.

    `photos`: a folder, a PhotoSet or several, None for the folder in DERMEDGE_PHOTOS. The result's `sets` hold, for
    each set of photographs, `figures` (balanced accuracy with a patient-level 95 % interval, sensitivities,
    calibration) and `logits`; `write(folder)` leaves evaluation.json and confusion matrices. Raises InputError where
    no set has the checkpoint's classes.
    """
    checkpoint = checkpoint_of(checkpoint)
    sets = find_sets(photos, skip_missing=skip_unreadable)
    return room("train._evaluate").evaluate(checkpoint, sets, skip_unreadable=skip_unreadable, on_progress=on_progress)


def recipe_options(options: dict[str, Any], recipe_room: Any) -> dict[str, Any]:
    """The options as a Recipe takes them; InputError that names one that it has not."""
    known = [field.name for field in fields(recipe_room.Recipe) if field.name != "model"]
    for option in options:
        if option not in known:
            near = get_close_matches(option, known, n=1)
            raise InputError(
                f"training has no option {option!r}{f' (did you mean {near[0]}?)' if near else ''}; it has "
                f"{', '.join(known)}"
            )
    stages = options.get("stages")
    if isinstance(stages, str):
        return {**options, "stages": recipe_room.parse_stages(stages)}
    return options if stages is None else {**options, "stages": tuple((int(s), int(e)) for s, e in stages)}


@dataclass(frozen=True)
class OwnNetwork:
    """A network that dermedge does not know, ready to be trained."""

    name: str
    create: Callable[[int], nn.Module]  # number of classes -> module
    preprocess: Preprocess


def own_network(
    model: Model,
    name: str | None,
    *,
    side: int,
    mean: Sequence[float] | None,
    std: Sequence[float] | None,
    scale: float,
) -> OwnNetwork:
    """From path/to/net.py:build, a function or a module; InputError without one, or without its normalisation."""
    from torch import nn

    from edge.models.foreign import Foreign

    if mean is None or std is None:
        raise InputError(
            "a network of your own needs `mean` and `std`, as torchvision's 0.485,0.456,0.406 and 0.229,0.224,0.225"
        )
    preprocess = Preprocess(PREPROCESS_VERSION, side, *normalisation(mean, std, scale))
    if isinstance(model, nn.Module):
        handed = model
        return OwnNetwork(name_of(handed, name), lambda classes: Foreign(copy.deepcopy(handed)), preprocess)
    build = builder_of(model) if isinstance(model, str) else model
    if not callable(build):
        raise InputError(f"`model` is a name, path/to/net.py:build, a function or a module, got {model!r}")
    called = name_of(build_network(build, 2), name)
    return OwnNetwork(called, lambda classes: Foreign(build_network(build, classes)), preprocess)


def shipped_or_path(init: str | Path | Checkpoint | None) -> Path | Checkpoint | None:
    """A checkpoint to start from: a shipped one by name, a path, or as it is."""
    from edge.checkpoint import shipped

    if isinstance(init, str):
        return shipped(init) if init in MODELS else Path(init)
    return init
