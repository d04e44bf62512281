"""Rounding and scheme of the int8 file: those kept with the checkpoint, or measured on photographs now."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edge import scheme as schemes
from edge.checkpoint import Checkpoint
from edge.data.selection import Photographs, calibration_set
from edge.data.squares import load_squares
from edge.data.table import PhotoSet
from edge.errors import InputError
from edge.scheme import ONNX_SUFFIX, Scheme

from .. import _kept_rounding
from .._aim import Aim, Unreachable
from .._kept import first, kept_scheme, measured_on
from .._kept_rounding import Means, Rounding
from .choose import KINDS, NO_AIM, able, choose
from .layer_inputs import means_of, moments_of
from .layers import Graph
from .rounding import KEPT, rounding_for

IMAGES = 192  # of training patients: two thirds give rounding and ranges, one third judges the choice


@dataclass(frozen=True)
class Measured:
    rounding: Rounding
    scheme: Scheme | None
    how: str  # in words
    unreachable: str | None = None  # why no choice of layers can pass the gate, where none can


def measure(
    checkpoint: Checkpoint,
    content: bytes,
    *,
    data: Photographs,
    kept: Sequence[Path] = (),
    target: Path | None = None,
    skip_unreadable: bool = False,
    aim: Aim = NO_AIM,
) -> Measured:
    """What 8 bits need of a float32 model.

    `kept`: weight files that may have it beside them; what is of exactly this graph and checkpoint is used as it is.
    Otherwise it is measured on photographs of training patients from `data` (or drawn images) and written beside
    `target`. `aim`: what the gate asks of the choice; where no choice can pass, there is no scheme and it says why.
    """
    graph = Graph(content)
    key, sha256 = graph_key(graph), checkpoint.sha256
    rounding = kept_rounding(kept, sha256, key)
    scheme = first(kept_scheme(path.with_suffix(ONNX_SUFFIX), sha256, key) for path in kept)
    if scheme is not None:
        check_layers(scheme, graph)
    if rounding is not None and scheme is not None:
        return Measured(rounding, scheme, "rounding and scheme as kept with the checkpoint")
    photos, calibrating, judging = photographs(checkpoint, data, skip_unreadable=skip_unreadable)
    layers = able(graph)
    rounding = rounding_for(layers, graph, moments_of(graph, layers, calibrating))
    facts = {"model": checkpoint.model, "checkpoint_sha256": sha256, "graph": key, "data": photos.name}
    scheme, why = None, None
    try:
        scheme = choose(content, rounding, calibrating, judging, facts=facts, aim=aim)
    except Unreachable as error:
        why = str(error)
    if target:
        _kept_rounding.save(target.with_suffix(KEPT), rounding, checkpoint_sha256=sha256, key=key)
        if scheme:
            schemes.save(target.with_suffix(ONNX_SUFFIX), scheme)
    return Measured(rounding, scheme, measured_on(photos), why)


def means_for(
    checkpoint: Checkpoint, content: bytes, *, data: Photographs, kept: Sequence[Path], skip_unreadable: bool
) -> tuple[Means, str]:
    """Weight -> what it is multiplied with on average, as kept with the checkpoint or measured; and how, in words."""
    graph = Graph(content)
    rounding = kept_rounding(kept, checkpoint.sha256, graph_key(graph))
    if rounding is not None:
        return rounding.means, "means as kept with the checkpoint"
    photos, calibrating, _ = photographs(checkpoint, data, skip_unreadable=skip_unreadable)
    layers = able(graph)
    seen = means_of(graph, layers, calibrating)
    return seen, measured_on(photos)


def photographs(
    checkpoint: Checkpoint, data: Photographs, *, skip_unreadable: bool
) -> tuple[PhotoSet, np.ndarray, np.ndarray]:
    """Of training patients: the set, and two parts of it, uint8 (N, S, S, 3), that measure and that judge."""
    photos = calibration_set(checkpoint, data, limit=IMAGES, skip_missing=skip_unreadable)
    photos, squares = load_squares(photos, checkpoint.preprocess.side, skip_unreadable=skip_unreadable)
    squares = squares[np.random.default_rng(0).permutation(len(squares))]  # sets mixed in both parts
    calibrating, judging = np.split(squares, [len(squares) * 2 // 3])
    return photos, calibrating, judging


def kept_rounding(kept: Sequence[Path], sha256: str, key: str) -> Rounding | None:
    return first(_kept_rounding.load(path.with_suffix(KEPT), checkpoint_sha256=sha256, key=key) for path in kept)


def graph_key(graph: Graph) -> str:
    """SHA-256 of a model's operators, names and shapes. Weights are not in it: the checkpoint's own covers them."""
    plain = [
        [node.op_type, list(node.input), [[name, list(graph.shapes.get(name, ()))] for name in node.output]]
        for node in graph.nodes
    ]
    return hashlib.sha256(json.dumps(plain).encode()).hexdigest()


def check_layers(scheme: Scheme, graph: Graph) -> None:
    """InputError if a kept scheme does not name the layers of the model, each once."""
    named = sorted((layer.tensor, layer.operator) for layer in scheme.layers)
    there = sorted((layer.tensor, layer.operator) for layer in graph.layers)
    if named != there:
        odd = next(iter(set(named) ^ set(there)), named[0] if named else ("", ""))
        raise InputError(
            f"the kept scheme ({ONNX_SUFFIX}) of {scheme.model} does not name the layers of its graph, each once "
            f"(first at {odd[0] or 'its end'}); it was changed or damaged: measure anew with `measure_again`"
        )
    wrong = next((layer for layer in scheme.layers if layer.kind not in {"float", KINDS.get(layer.operator)}), None)
    if wrong is not None:
        raise InputError(
            f"the kept scheme ({ONNX_SUFFIX}) of {scheme.model} has {wrong.kind!r} for {wrong.tensor}; expected of a "
            f"{wrong.operator} {' or '.join(filter(None, ['float', KINDS.get(wrong.operator)]))}; it was changed or "
            "damaged: measure anew with `measure_again`"
        )
