"""Photographs -> a checkpoint, and how good one is."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge import checks
from edge.checkpoint import Checkpoint, Preprocess
from edge.data.readers import open_photos
from edge.data.selection import Photographs, find_sets
from edge.data.table import PhotoSet
from edge.errors import InputError, did_you_mean
from edge.models import MODELS
from edge.preprocess import PREPROCESS_VERSION
from edge.progress import Listener

from .._rooms import room
from .conversion import checkpoint_of
from .settings import text_of
from .source import build_network, builder_of, is_source
from .wrapping import author_module, name_of, normalisation

if TYPE_CHECKING:
    from torch import nn

    from train._answers import WithAnswers
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
    teachers: Sequence[str | Path | Checkpoint] = (),
    folds: int = 5,
    fold: int = 0,
    held_back: float = 0.1,
    split_seed: int = 0,
    resume: bool = False,
    force: bool = False,
    skip_unreadable: bool = False,
    answers: bool = False,
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
    `init`: a checkpoint to start from, the name of a shipped one, "imagenet" (the package of the extra `pretrained`),
    or the path of a .pth or .safetensors of torchvision's or timm's, whose last layer is left out. `teachers`: trained
    checkpoints of any family with the same classes, whose answers the network learns beside the labels. `answers`: also
    fit what people answered (`fit_answers`). `folds`, `fold`, `held_back`, `split_seed`: which patients stay unseen and
    which set the temperature. `out`: folder, default runs/<model>. `options` are those of the recipe, by the names of
    `dermedge train --help`: stages ("64x40,128x60" or pairs), batch, batch_norm, learning_rate, weight_decay,
    label_smoothing, balance, evenness, mixup, descriptors, guide, distil, distil_features, contrast, class_weight,
    deep_supervision, variants, ema, augment, seed.

    `run.checkpoint`, `run.metrics` (on the unseen patients), `run.history`, `run.notes`, `run.folder`, which has all
    settings as run.toml for `dermedge train --config`. `run.write_page()` writes the page that the command does. Raises
    InputError for what does not fit, before anything is trained, and KeyboardInterrupt after Ctrl-C, from where
    `resume` goes on.
    """
    checks.truths(resume=resume, force=force, skip_unreadable=skip_unreadable, answers=answers)
    checks.listener(on_progress)
    checks.listener(on_epoch, "on_epoch", "a row of the history")
    photos, also = set_of(photos, "photos"), [set_of(part, "also") for part in sets_in(also)]
    folder = None if out is None else checks.path(out, "out", "the folder to write into")
    split = {
        "folds": checks.whole(folds, "folds", 2),
        "fold": checks.whole(fold, "fold", 0),
        "held_back": checks.number(held_back, "held_back"),
        "seed": checks.whole(split_seed, "split_seed", 0),
    }
    machine = {
        "precision": checks.text_or_none(precision, "precision", "the name of a precision"),
        "workers": checks.whole(workers, "workers", 0),
        "threads": checks.whole_or_none(threads, "threads", 1),
    }
    options_room, recipe_room = room("train._options"), room("train._recipe")
    chosen = recipe_options(options, recipe_room)
    own: OwnNetwork | None = None
    if isinstance(model, str) and not is_source(model):
        known = model
        refuse_own(model, mean=mean, std=std, scale=None if checks.number(scale, "scale") == 1 else scale, name=name)
    else:
        # these read a layer that it may not have
        chosen = {"descriptors": 0.0, "guide": 0.0, "distil_features": 0.0, **chosen}
        own = own_network(model, name, side=recipe_room.Recipe(**chosen).side, mean=mean, std=std, scale=scale)
        known = own.name
    recipe = recipe_room.Recipe(model=known, **chosen)
    start, taught_by = shipped_or_path(init), [teacher_of(teacher) for teacher in sets_in(teachers)]
    settings = {
        "model": model if isinstance(model, str) else from_python(f"{known}, a network"),
        "mean": numbers_text(mean),
        "std": numbers_text(std),
        "scale": float(scale),
        "name": name,
        "data": named(photos),
        "also": [named(part) for part in also],
        "init": init if isinstance(start, Checkpoint) and isinstance(init, str) else named(start),
        "teacher": [named(teacher) for teacher in taught_by],
        "answers": answers,
        "skip_unreadable": skip_unreadable,
        **{key: value for key, value in split.items() if key != "seed"},
        "split_seed": split["seed"],
        **{key: value for key, value in asdict(recipe).items() if key != "model"},
        "stages": recipe_room.stages_text(recipe.stages),
        **machine,
    }
    return room("train._run").train(
        recipe,
        photos,
        folder=folder or Path("runs") / known,
        also=also,
        init=start,
        teachers=taught_by,
        split=options_room.Split(**split),
        machine=options_room.Machine(**machine),
        create=own.create if own else None,
        preprocess=own.preprocess if own else None,
        resume=resume,
        force=force,
        skip_unreadable=skip_unreadable,
        answers=answers,
        settings=text_of(settings),
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
    checks.truths(skip_unreadable=skip_unreadable)
    checks.listener(on_progress)
    sets = find_sets(checks.photographs(photos), skip_missing=skip_unreadable)
    return room("train._evaluate").evaluate(checkpoint, sets, skip_unreadable=skip_unreadable, on_progress=on_progress)


def fit_answers(
    checkpoint: Checkpoint | str | Path,
    photos: Set,
    *,
    folds: int = 5,
    fold: int = 0,
    held_back: float = 0.1,
    split_seed: int = 0,
    skip_unreadable: bool = False,
    on_progress: Listener | None = None,
) -> WithAnswers:
    """A checkpoint that takes what people answered beside the picture (docs/answers.md); its network stays as it is.

    `photos`: the set that it was trained on, a folder or a PhotoSet with `answers`. What answers add is learned from
    the patients that trained the checkpoint, scaled on those held back, and judged on the others; of a network from
    elsewhere the patients are cut by `folds`, `fold`, `held_back` and `split_seed`, as in `train`. The result has
    `checkpoint` and `figures`: balanced accuracy and malignant AUC of the picture, the answers, the blanks and both,
    with patient-level 95 % intervals. Raises InputError without answers, or where a part has no patient.
    """
    checkpoint = checkpoint_of(checkpoint)
    checks.truths(skip_unreadable=skip_unreadable)
    checks.listener(on_progress)
    photos = set_of(photos, "photos")
    split = room("train._options").Split(
        checks.whole(folds, "folds", 2),
        checks.whole(fold, "fold", 0),
        checks.number(held_back, "held_back"),
        checks.whole(split_seed, "split_seed", 0),
    )
    opened = photos if isinstance(photos, PhotoSet) else open_photos(photos, skip_missing=skip_unreadable)
    return room("train._answers").fit_to_checkpoint(
        checkpoint, opened, split=split, skip_unreadable=skip_unreadable, on_progress=on_progress
    )  # fmt: skip


def recipe_options(options: dict[str, Any], recipe_room: Any) -> dict[str, Any]:
    """The options as a Recipe takes them; InputError that names one that it has not."""
    known = [field.name for field in fields(recipe_room.Recipe) if field.name != "model"]
    for option in options:
        if option not in known:
            raise InputError(
                f"training has no option {option!r}{did_you_mean(option, known)}; it has {', '.join(known)}"
            )
    kinds = {field.name: field.type for field in fields(recipe_room.Recipe)}  # as text: "int", "float"
    checked: dict[str, Any] = {}
    for option, value in options.items():
        if option == "stages":
            checked[option] = recipe_room.parse_stages(value) if isinstance(value, str) else pairs_of(value)
        elif kinds[option] == "str":
            checked[option] = checks.text_or_none(value, option, f"one of {', '.join(recipe_room.BATCH_NORMS)}")
        else:
            checked[option] = (checks.whole if kinds[option] == "int" else checks.number)(value, option)
    return checked


def named(value: str | Path | Checkpoint | PhotoSet | None) -> str | Path | None:
    """What a flag would have said: a path, or a name; of an object without a file what it is."""
    if isinstance(value, PhotoSet):
        return from_python(f"{value.name}, a set of {len(value)} photographs")
    if isinstance(value, Checkpoint):
        return value.path or from_python(f"{value.model}, a checkpoint")
    return value


def from_python(what: str) -> str:
    """What stands in the file for an object; no path and no name, so that `--config` refuses it where it is used."""
    return f"<{what} handed over in Python>"


def numbers_text(numbers: Sequence[float] | None) -> str | None:
    """As --mean and --std take them."""
    return None if numbers is None else ",".join(repr(float(number)) for number in numbers)


def pairs_of(stages: object) -> tuple[tuple[int, int], ...]:
    """Pairs of side and epochs; InputError for anything else."""
    pairs = list(stages) if isinstance(stages, list | tuple) else []
    if not pairs or not all(isinstance(pair, list | tuple) and len(pair) == 2 for pair in pairs):
        raise InputError(
            '`stages` is pairs of side and epochs, as "64x40,128x60" or [(64, 40), (128, 60)], got '
            f"{checks.shown(stages)}"
        )
    return tuple((checks.whole(side, "stages"), checks.whole(epochs, "stages")) for side, epochs in pairs)


def set_of(photos: object, name: str) -> Path | PhotoSet:
    """A PhotoSet, or the folder of one; InputError for anything else."""
    if isinstance(photos, PhotoSet):
        return photos
    return checks.path(photos, name, "a folder of photographs, or a PhotoSet as `dermedge.open_photos` gives it")


def sets_in(also: object) -> Sequence[object]:
    """The entries of `also` or `teachers`; a folder, a set or a checkpoint alone is one."""
    return also if isinstance(also, list | tuple) else [also]


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
        handed = author_module(model, "model")
        return OwnNetwork(name_of(handed, name), lambda classes: Foreign(copy.deepcopy(handed)), preprocess)
    build = builder_of(model) if isinstance(model, str) else model
    if not callable(build):
        raise InputError(f"`model` is a name, path/to/net.py:build, a function or a module, got {checks.shown(model)}")
    called = name_of(build_network(build, 2), name)
    return OwnNetwork(called, lambda classes: Foreign(build_network(build, classes)), preprocess)


def refuse_own(model: str, **options: object) -> None:
    """InputError for what a network of one's own needs and one of dermedge's would ignore."""
    for option, value in options.items():
        if value is not None:
            raise InputError(
                f"`{option}` is for a network of your own, got {checks.shown(value)} for {model}, which has its own; "
                "leave it out"
            )


def teacher_of(teacher: object) -> Path | Checkpoint:
    """A Checkpoint, the path of one, or that of a shipped one by name; InputError for anything else."""
    from edge.checkpoint import shipped

    if isinstance(teacher, Checkpoint):
        return teacher
    if isinstance(teacher, str) and teacher in MODELS and not Path(teacher).exists():
        return shipped(teacher)
    return checks.path(teacher, "teachers", "checkpoints, their paths, or names of shipped ones")


def shipped_or_path(init: str | Path | Checkpoint | None) -> str | Path | Checkpoint | None:
    """What to start from: a shipped checkpoint by name, "imagenet", a path, or as it is."""
    from edge.checkpoint import shipped
    from edge.pretrained import IMAGENET

    if init is None or isinstance(init, Checkpoint) or init == IMAGENET:
        return init
    if isinstance(init, str) and init in MODELS:
        return shipped(init)
    return checks.path(init, "init", 'a checkpoint, a Checkpoint, the name of a shipped one or "imagenet"')
