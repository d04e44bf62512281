"""Training that starts from a checkpoint: which tensors are taken, and what its past forbids."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from edge.checkpoint import PATIENTS_UNKNOWN, Checkpoint, Preprocess, load
from edge.data.selection import seen_in
from edge.data.table import PhotoSet
from edge.errors import InputError
from edge.labels import Label
from edge.models import MODELS, family_name, normalisation
from edge.preprocess import PREPROCESS_VERSION
from edge.pretrained import IMAGENET, file_start, imagenet_start, is_foreign, own_file_start

from ._recipe import Recipe

log = logging.getLogger("dermedge")

FEWEST_FITTING = 0.5  # of a network's weights; with less, hardly anything of the checkpoint would be left


@dataclass(frozen=True)
class Beginning:
    """Tensors to start from, and for which classes, in which order, their last layer and the new one answer."""

    name: str  # of the model that they are of, or where they come from
    state: dict[str, Tensor]
    before: tuple[str, ...]  # class codes; none: the last layer is not to be taken
    after: tuple[str, ...]
    left_out: dict[str, tuple[int, ...]] = field(default_factory=dict)  # name -> shape of tensors that are not in it


def opened_start(init: Path | str | Checkpoint, model: str, *, own: bool) -> Checkpoint:
    """What `init` names, for a model of dermedge or a network of one's `own`.

    A checkpoint of ours, "imagenet" for the package with the weights of the model, or a file that others published.
    One of unknown past says so in its recipe, and the log does. InputError says what came and what can be given.
    """
    return with_its_past(opened(init, model, own=own))


def with_its_past(start: Checkpoint) -> Checkpoint:
    """The checkpoint, with a word in its recipe where nobody knows which patients trained it; the log is told."""
    if not start.patients_unknown:
        return start
    log.warning(past_unknown(start))
    return replace(start, recipe={**start.recipe, PATIENTS_UNKNOWN: True})


def past_unknown(network: Checkpoint) -> str:
    """What the log says where a run begins with a network, or learns from one, that lists no patients."""
    return (
        f"which patients trained {network.path or network.model} is unknown: some whom this run calls unseen may have, "
        "and its figures are then too good; the new checkpoint says so"
    )


def opened(init: Path | str | Checkpoint, model: str, *, own: bool) -> Checkpoint:
    if isinstance(init, Checkpoint):
        return init
    if init == IMAGENET:
        return imagenet_start(model)
    path = Path(init)
    if not is_foreign(path):
        return load(path)
    return own_file_start(path) if own else file_start(path, model)


def beginning(start: Checkpoint, labels: Iterable[Label]) -> Beginning:
    """What a checkpoint gives to a network with these classes."""
    codes = tuple(label.code for label in start.labels)
    return Beginning(
        start.recipe["imported_from"] if not codes else start.model,
        tensors_of(start),
        codes,
        tuple(label.code for label in labels),
        {name: tuple(shape) for name, shape in start.recipe.get("left_out", {}).items()} if not codes else {},
    )


def tensors_of(start: Checkpoint) -> dict[str, Tensor]:
    """Its tensors by name, also those of a network of one's own, which is kept as an exported program."""
    if start.state:
        return start.state
    return {name.removeprefix("graph."): value for name, value in start.network().state_dict().items()}


def check_fits(start: Checkpoint, create: Callable[[int], nn.Module], model: str) -> None:
    """InputError where most of the network would begin with random numbers all the same."""
    if start.model == model and start.state:
        return  # `load` has compared it tensor by tensor
    with torch.random.fork_rng(devices=[]):
        own = create(max(2, len(start.labels))).state_dict()
    theirs = tensors_of(start)
    body = {name: v for name, v in own.items() if v.ndim > 1}  # norms' numbers have the same shape everywhere
    fitting = sum(v.numel() for name, v in body.items() if name in theirs and theirs[name].shape == v.shape)
    share = fitting / max(1, sum(v.numel() for v in body.values()))
    if share < FEWEST_FITTING:
        raise InputError(
            f"`init` is a checkpoint of {start.model}, of which {share:.0%} of the weights fit {model}; give one of "
            f"{model}, `model` {start.model}, or leave `init` out"
        )


def check_statistics(start: Checkpoint, create: Callable[[int], nn.Module]) -> None:
    """InputError where frozen batch normalisation would normalise by statistics that nobody has measured."""
    with torch.random.fork_rng(devices=[]):
        net = create(max(2, len(start.labels)))
    own, theirs = net.state_dict(), tensors_of(start)
    norms = [name for name, part in net.named_modules() if isinstance(part, _BatchNorm) and part.track_running_stats]
    new = [
        norm
        for norm in norms
        for own_names in [[f"{norm}.{kind}" if norm else kind for kind in ("running_mean", "running_var")]]
        if any(name not in theirs or theirs[name].shape != own[name].shape for name in own_names)
    ]
    if new:
        more = f" and {len(new) - 3} more" if new[3:] else ""
        raise InputError(
            f"`batch_norm` frozen keeps the running statistics of `init`, which has none that fit {len(new)} of "
            f"{len(norms)} batch norms: {', '.join(new[:3])}{more}; give an `init` of the same network, or leave "
            "`batch_norm` out"
        )


def take_tensors(net: nn.Module, start: Beginning, create: Callable[[int], nn.Module]) -> None:
    """Load what fits by name and shape, and the last layer class by class, by code; the log says what was taken.

    Layers of which nothing fits, and classes that the checkpoint does not know, stay as they were initialised.
    InputError where no tensor fits, or where classes differ and no layer is known to tell them apart.
    """
    own, theirs = net.state_dict(), start.state
    by_class = class_tensors(own, create, len(start.after))
    if start.before != start.after and not by_class:
        raise InputError(
            f"`init` answers for {classes_text(start.before)}, this run for {', '.join(start.after)}, and the "
            "network has no layer that follows the number of classes; give a function that takes it as `model`, or "
            "leave `init` out"
        )
    places = class_places(start.before, start.after)
    taken = {}
    for name, value in own.items():
        if name not in theirs or (name in by_class and not start.before):
            continue
        if name in by_class and theirs[name].shape == (len(start.before), *value.shape[1:]):
            if places:
                taken[name] = value.clone()
                taken[name][list(places)] = theirs[name][list(places.values())].to(value)
        elif theirs[name].shape == value.shape:
            taken[name] = theirs[name]
    if not taken:
        raise InputError("no tensor of `init` fits this model; give a checkpoint of the same family")
    net.load_state_dict({**own, **taken})
    log.info("started from %s: %d of its tensors for the %d of this network", start.name, len(taken), len(own))
    left = [name for name in own if name not in taken and name not in by_class]
    if left:
        more = f" and {len(left) - 3} more" if left[3:] else ""
        log.info("not in the checkpoint, so new: %s%s", ", ".join(left[:3]), more)
    if start.before != start.after:
        log.warning("%s", classes_taken(start, places))


def class_tensors(own: dict[str, Tensor], create: Callable[[int], nn.Module], classes: int) -> set[str]:
    """Names of the tensors that have a row for each class: those whose shape follows the number of classes."""
    with torch.random.fork_rng(devices=[]):
        wider = create(classes + 1).state_dict()
    return {
        name
        for name, value in own.items()
        if name in wider and wider[name].shape == (classes + 1, *value.shape[1:]) != value.shape
    }


def classes_text(codes: Sequence[str]) -> str:
    return f"the classes {', '.join(codes)}" if codes else "classes of its own"


def class_places(before: Sequence[str], after: Sequence[str]) -> dict[int, int]:
    """Place of a class in `after` -> its place in `before`. Codes that differ only in case are the same class."""
    known = {code.casefold(): place for place, code in enumerate(before)}
    known |= {code: place for place, code in enumerate(before)}
    places = {place: known.get(code, known.get(code.casefold())) for place, code in enumerate(after)}
    return {place: was for place, was in places.items() if was is not None}


def classes_taken(start: Beginning, places: dict[int, int]) -> str:
    """What became of the last layer, in a sentence."""
    if not start.before:
        left = ", ".join(f"{name} {shape}" for name, shape in start.left_out.items())
        return "the last layer is new" + (f"; not taken of {start.name}: {left}" if left else "")
    kept = [code for place, code in enumerate(start.after) if place in places]
    new = [code for place, code in enumerate(start.after) if place not in places]
    gone = [code for place, code in enumerate(start.before) if place not in places.values()]
    if not kept:
        return (
            f"the last layer is new: the checkpoint's classes ({', '.join(start.before)}) are none of these "
            f"({', '.join(start.after)})"
        )
    parts = [f"the last layer was taken class by class: {', '.join(kept)}"]
    parts += [f"new: {', '.join(new)}"] if new else []
    parts += [f"left out: {', '.join(gone)}"] if gone else []
    return "; ".join(parts)


def preprocess_for(recipe: Recipe, start: Checkpoint | None) -> Preprocess:
    """The family's normalisation; where weights of the same family are started from, the one that they expect."""
    if start and MODELS.get(start.model) == family_name(recipe.model):
        return Preprocess(PREPROCESS_VERSION, recipe.side, start.preprocess.mean, start.preprocess.std)
    return Preprocess(PREPROCESS_VERSION, recipe.side, *normalisation(recipe.model))


def refuse_seen(start: Checkpoint, parts: Iterable[PhotoSet], *, option: str = "init") -> None:
    """InputError if the checkpoint that `option` gave learned from patients that this run keeps apart."""
    was_seen = seen_in([start.trained])
    for part in parts:
        seen = sorted({photo.patient for photo in part.photos if was_seen(photo)})
        if seen:
            raise InputError(
                f"`{option}` learned from {len(seen)} patients of {part.name} that this run keeps apart, first "
                f"{seen[0]}; repeat its `folds`, `fold` and `split_seed`, or train without `{option}`"
            )


def merged(role: str, own: dict[str, dict[str, list[str]]], *others: Checkpoint | None) -> dict:
    """This run's ids by domain, with those of the checkpoints it learned from: what they saw, this model saw."""
    both: dict[str, dict[str, list[str]]] = {}
    for lists in (*(getattr(other, role) for other in others if other), own):
        for name, listed in lists.items():
            before = both.get(name, {})
            both[name] = {kind: sorted({*before.get(kind, []), *listed.get(kind, [])}) for kind in {**before, **listed}}
    return both
