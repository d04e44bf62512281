"""Rounding and scheme of 8-bit files: those kept with the checkpoint, or measured on photographs now."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from edge import scheme as schemes
from edge.checkpoint import Checkpoint
from edge.data.selection import Photographs, calibration_set
from edge.data.squares import load_squares
from edge.errors import InputError
from edge.scheme import SUFFIX, Layer, Scheme
from edge.tflite.flatbuffer import unpack

from .. import _kept_rounding
from .._aim import Aim, Unreachable
from .._kept import first, kept_scheme, measured_on
from . import whole_weights
from .choose import NO_AIM, choose
from .file import Lowered, graph_key
from .layer_inputs import means_of, moments_of
from .layers import described, name_of
from .quantise import recipe_file
from .rounding import KEPT, halved, rounded, rounding_for
from .try_chain import with_chain
from .whole import Chain
from .whole_weights import KEPT as KEPT_WHOLE
from .whole_weights import WholeWeights, nearest, whole_weights_for

IMAGES = 192  # of training patients: two thirds give rounding and ranges, one third judges the choice
COMPARED = ("sqnr_db", "agreement")


@dataclass(frozen=True)
class Measured:
    halves: bytes  # the float file with its weights in half precision, and biases that make up for it
    rounded: bytes  # the same with its weights on the 8-bit grid; the float file itself where that was not wanted
    scheme: Scheme | None
    how: str  # in words
    unreachable: str | None = None  # why no choice of layers can pass the gate, where none can
    whole: WholeWeights | None = None  # of a network that can be a chain in 8 bits, if the scheme has ranges


def measure(
    checkpoint: Checkpoint,
    lowered: Lowered,
    *,
    data: Photographs,
    kept: Sequence[Path] = (),
    target: Path | None = None,
    rounding: bool = True,
    choosing: bool = True,
    full: bool = False,
    skip_unreadable: bool = False,
    aim: Aim = NO_AIM,
) -> Measured:
    """What half precision needs of a lowered checkpoint; with `rounding` what 8 bits need; if `choosing`, the scheme,
    with the ranges of all tensors that the file in whole numbers needs, if it is asked for (`full`).

    `kept`: weight files that may have them beside; those of exactly this graph and checkpoint are used as they are.
    Otherwise they are measured on photographs of training patients from `data` (or drawn images) and written beside
    `target`. `aim`: what the gate asks of the choice; where no choice can pass, there is no scheme and it says why.
    """
    key, content, sha256 = graph_key(lowered.content), lowered.content, checkpoint.sha256
    kept_one = first(_kept_rounding.load(path.with_suffix(KEPT), checkpoint_sha256=sha256, key=key) for path in kept)
    scheme = first(kept_scheme(schemes.beside(path), sha256, key) for path in kept)
    if scheme is not None:
        check_layers(scheme, content)
    chain = Chain(content)
    whole = first(whole_weights.load(path.with_suffix(KEPT_WHOLE), checkpoint_sha256=sha256, key=key) for path in kept)
    chained = chain.refusal() is None and (full or (scheme is not None and scheme.chain_from is not None))
    if chained and (whole is None or scheme is None or not scheme.ranges):
        scheme = None  # kept before there were such files
    if kept_one is not None and (scheme is not None or not choosing):
        how = "rounding and scheme as kept with the checkpoint"
        return Measured(halved(content, kept_one.means), rounded(content, kept_one), scheme, how, whole=whole)
    photos = calibration_set(checkpoint, data, limit=IMAGES, skip_missing=skip_unreadable)
    photos, squares = load_squares(photos, checkpoint.preprocess.side, skip_unreadable=skip_unreadable)
    squares = squares[np.random.default_rng(0).permutation(len(squares))]  # sets mixed in both parts
    calibrating, judging = np.split(squares, [len(squares) * 2 // 3])
    how = measured_on(photos)
    if not rounding:
        names = unpack(content)
        means = {name_of(names, weight): seen for weight, seen in means_of(content, calibrating).items()}
        return Measured(halved(content, means), content, None, how)
    measured = rounding_for(content, moments_of(content, calibrating))
    scheme, why, whole = None, None, None
    if choosing:
        tuned = fine_tuned_for(checkpoint, content)
        facts = {"model": checkpoint.model, "checkpoint_sha256": sha256, "graph": key, "data": photos.name}
        fixed = tuned[0] if tuned else None
        try:
            scheme = choose(
                content, measured, calibrating, judging, modules=lowered.modules, facts=facts, fixed=fixed, aim=aim
            )
        except Unreachable as error:
            why = str(error)
        how += tuning_in_words(tuned[1], scheme.measured) if tuned and scheme else ""
        if scheme and chain.refusal() is None:
            changed = whole_weights_for(content, chain.ranges(calibrating), calibrating)
            whole, ranges = nearest([changed, WholeWeights({}, {}, measured)], content, calibrating, judging)
            scheme = replace(scheme, ranges=ranges)
            if not tuned:
                others = recipe_file("int8", content, rounded(content, measured), scheme.layers)
                scheme = with_chain(scheme, content, whole, others, judging, lowered.modules, aim=aim)
    if target:
        _kept_rounding.save(target.with_suffix(KEPT), measured, checkpoint_sha256=sha256, key=key)
        if whole:
            whole_weights.save(target.with_suffix(KEPT_WHOLE), whole, checkpoint_sha256=sha256, key=key)
        if scheme:
            schemes.save(schemes.beside(target), scheme)
    return Measured(halved(content, measured.means), rounded(content, measured), scheme, how, why, whole)


def check_layers(scheme: Scheme, content: bytes) -> None:
    """InputError if a kept scheme does not name the layers of the file, each once."""
    chain = Chain(content)
    if scheme.ranges and (chain.refusal() is not None or chain.missing(scheme.ranges) is not None):
        raise InputError(
            f"the kept scheme ({SUFFIX}) of {scheme.model} does not have the ranges of its graph; it was changed or "
            "damaged: measure anew with `measure_again`"
        )
    if scheme.chain_from is not None and not (scheme.ranges and 0 <= scheme.chain_from < len(chain.nodes)):
        raise InputError(
            f"the kept scheme ({SUFFIX}) of {scheme.model} has a chain in 8 bits that its graph does not have; it was "
            "changed or damaged: measure anew with `measure_again`"
        )
    named = sorted((layer.tensor, layer.operator) for layer in scheme.layers)
    there = sorted((layer.tensor, layer.operator) for layer in described(content))
    if named != there:
        odd = next(iter(set(named) ^ set(there)), named[0] if named else ("", ""))
        raise InputError(
            f"the kept scheme ({SUFFIX}) of {scheme.model} does not name the layers of its graph, each once (first at "
            f"{odd[0] or 'its end'}); it was changed or damaged: measure anew with `measure_again`"
        )


def fine_tuned_for(checkpoint: Checkpoint, content: bytes) -> tuple[list[Layer], dict] | None:
    """The layers that `train.py --qat` imitated, and the file's figures before; None for a checkpoint not tuned so.

    InputError if they are of another graph: fine-tuning keeps the graph, so the checkpoint was changed since.
    """
    tuned = checkpoint.recipe.get("qat")
    if not isinstance(tuned, dict):
        return None
    try:
        layers = [schemes.layer_of(entry) for entry in tuned["layers"]]
        before = {key: float(tuned["before"][key]) for key in COMPARED}
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError(
            f"what the checkpoint says of its fine-tuning is malformed ({error}); tune it again"
        ) from error
    if {layer.tensor for layer in layers} != {layer.tensor for layer in described(content)}:
        raise InputError("the checkpoint says that it was fine-tuned for a scheme of another graph; tune it again")
    return layers, before


def tuning_in_words(before: Mapping[str, float], after: Mapping[str, float]) -> str:
    """In words: whether tuning brought the int8 file closer to its float model than the untuned file was to its own."""
    no_worse = all(after[key] >= before[key] for key in COMPARED)
    return (
        f"; fine-tuned for this scheme: median SQNR {before['sqnr_db']:.1f} -> {after['sqnr_db']:.1f} dB, same class "
        f"{before['agreement']:.1%} -> {after['agreement']:.1%}: "
        + ("no worse than without fine-tuning" if no_worse else "WORSE than without fine-tuning; keep the old file")
    )
