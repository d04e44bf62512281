"""The files to measure: the plain conversion, ours by recipe, and peers with random weights, one after another."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from convert._untrained import settled
from edge.checkpoint import Checkpoint, Preprocess, check_side, load, shipped
from edge.errors import InputError
from edge.labels import PAD_UFES_20
from edge.models import create_model, family_name, normalisation
from edge.preprocess import PREPROCESS_VERSION
from edge.recipes import TFLITE

from ._peers import PEERS, peer

PLAIN = "plain"
PEER_RECIPE = "int8-dynamic"


@dataclass(frozen=True)
class Candidate:
    """One file that is measured."""

    name: str
    content: bytes
    by: str  # in words: how the float file that it comes from was lowered
    parameters: int  # learnt numbers of the torch module
    compared_with: str | None = None  # name of the file that its answers are compared with; None: the float torch model


def checkpoint_at(model: str, side: int) -> Checkpoint:
    """The shipped checkpoint for another input side, in pixels; random weights where none is shipped."""
    check_side(side, where="--side")
    try:
        path = shipped(model)
    except InputError:
        family_name(model)  # raises for an unknown name, and lists the known ones
        state = create_model(model, len(PAD_UFES_20)).state_dict()
        return Checkpoint(model, PAD_UFES_20, Preprocess(PREPROCESS_VERSION, side, *normalisation(model)), state)
    checkpoint = load(path)
    return replace(checkpoint, preprocess=replace(checkpoint.preprocess, side=side))


def trained(checkpoint: Checkpoint) -> bool:
    """Whether its weights were read from a file."""
    return bool(checkpoint.sha256)


def settled_on(images: np.ndarray, checkpoint: Checkpoint) -> Checkpoint:
    """An untrained checkpoint, settled on `images`, uint8 (N, S, S, 3), so that its answers depend on the image."""
    import torch

    torch.manual_seed(0)
    return replace(checkpoint, state=settled(checkpoint.network(), images, checkpoint.preprocess).state_dict())


def count(*, peers: bool) -> int:
    """How many files `candidates` gives."""
    return 1 + len(TFLITE) + 2 * len(PEERS) * peers


def candidates(checkpoint: Checkpoint, images: np.ndarray, *, peers: bool, data: Path | None) -> Iterator[Candidate]:
    """Every file, converted when it is asked for. `images`: uint8 (N, S, S, 3), which settle the peers' weights."""
    import litert_torch
    import torch

    from convert._tflite.file import lower
    from convert._tflite.quantise import quantise

    side = checkpoint.preprocess.side
    example = torch.zeros(1, side, side, 3)
    module = checkpoint.deployed(layout="NHWC")
    learnt = parameters(module)
    content = litert_torch.convert(module, (example,)).model_content()
    yield Candidate(PLAIN, content, "by litert-torch, from the module as it is", learnt)
    by, files = ours(checkpoint, data)
    for recipe, content in files:
        yield Candidate(recipe, content, by, learnt)
    for name in PEERS if peers else ():
        module = peer(name, len(checkpoint.labels), images)
        lowered, learnt = lower(module, example), parameters(module)
        yield Candidate(name, lowered.content, lowered.by, learnt, compared_with=name)
        content = quantise(lowered.content, PEER_RECIPE)
        yield Candidate(f"{name} {PEER_RECIPE}", content, lowered.by, learnt, compared_with=name)


def ours(checkpoint: Checkpoint, data: Path | None) -> tuple[str, Iterator[tuple[str, bytes]]]:
    """How the float file was lowered, and (recipe, bytes) of each recipe; 8-bit schemes are measured for this side."""
    from convert._tflite.file import float_model
    from convert._tflite.measured import measure
    from convert._tflite.quantise import recipe_file

    lowered = float_model(checkpoint)
    measurement = measure(checkpoint, lowered, data=data)
    layers = measurement.scheme.layers if measurement.scheme else None
    return lowered.by, (
        (recipe, recipe_file(recipe, lowered.content, measurement.rounded, layers)) for recipe in TFLITE
    )


def parameters(module) -> int:
    """How many numbers a torch module has learnt; the running statistics of its norms are not counted."""
    return sum(value.numel() for value in module.parameters())
