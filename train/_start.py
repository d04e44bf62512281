"""Training that starts from a checkpoint: which tensors are taken, and what its past forbids."""

from __future__ import annotations

import logging
from collections.abc import Iterable

from torch import Tensor, nn

from edge.checkpoint import Checkpoint, Preprocess
from edge.data.selection import seen_in
from edge.data.table import PhotoSet
from edge.errors import InputError
from edge.models import MODELS, family_name, normalisation
from edge.preprocess import PREPROCESS_VERSION

from ._recipe import Recipe

log = logging.getLogger("dermedge")


def take_tensors(net: nn.Module, initial: dict[str, Tensor]) -> None:
    """Load every tensor whose name and shape fit; InputError where there are some and none fits."""
    own = net.state_dict()
    fitting = {name: initial[name] for name, v in own.items() if name in initial and initial[name].shape == v.shape}
    if initial and not fitting:
        raise InputError("no tensor of `init` fits this model; give a checkpoint of the same family")
    if initial:
        log.info("started from %d of %d tensors of the checkpoint", len(fitting), len(own))
    net.load_state_dict({**own, **fitting})


def preprocess_for(recipe: Recipe, start: Checkpoint | None) -> Preprocess:
    """The family's normalisation; where weights of the same family are started from, the one that they expect."""
    if start and MODELS.get(start.model) == family_name(recipe.model):
        return Preprocess(PREPROCESS_VERSION, recipe.side, start.preprocess.mean, start.preprocess.std)
    return Preprocess(PREPROCESS_VERSION, recipe.side, *normalisation(recipe.model))


def refuse_seen(start: Checkpoint, parts: Iterable[PhotoSet]) -> None:
    """InputError if the checkpoint to start from learned from patients that this run keeps apart."""
    for part in parts:
        was_seen = seen_in([start.trained], part.photos[0].domain) if part.photos else None
        seen = sorted({photo.patient for photo in part.photos if was_seen and was_seen(photo)})
        if seen:
            raise InputError(
                f"`init` learned from {len(seen)} patients of {part.name} that this run keeps apart, first "
                f"{seen[0]}; repeat its `folds`, `fold` and `split_seed`, or start without `init`"
            )


def merged(role: str, own: dict[str, dict[str, list[str]]], start: Checkpoint | None) -> dict:
    """This run's ids by domain, with those of the checkpoint it started from: what that saw, this model saw."""
    both = dict(getattr(start, role)) if start else {}
    for name, listed in own.items():
        before = both.get(name, {})
        both[name] = {kind: sorted({*before.get(kind, []), *values}) for kind, values in listed.items()}
    return both
