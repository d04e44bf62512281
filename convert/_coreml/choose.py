"""Chooses the layers of a Core ML program that compute on 8-bit activations, by trying each of them on Linux.

A layer of kind `input` rounds its input to 8 bits; with its 8-bit weights that makes the product an 8-bit one. `static`
rounds its output as well, which saves the Neural Engine memory traffic. `float` leaves the layer in fp16. Each layer is
tried alone against the fp16 program, on photographs of training patients that gave no ranges. Inputs are then taken in
the order of noise per multiply-accumulate as long as the budget holds, then outputs. Where the 8-bit weights alone use
up the budget or nearly all of it, no choice of activations can meet it: the activations may then add as much noise
again as the weights did (random weights are such a case). Ranges come from the runtime in edge.runtimes.coreml. Apple's
own calibration needs a Mac and takes the widest range seen; here a narrower range is tried as well. Products of two
activations, softmax, norms, residual adds and activation functions stay fp16.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from edge.progress import track
from edge.recipes import COREML
from edge.runtimes import Outputs, joined
from edge.runtimes.coreml.classifier import torch_threads
from edge.scheme import Layer, Range, Scheme

from .._curve import POINTS, TAIL_DB, noise, point
from .._fidelity import sqnr
from .._ranges import SAMPLED, least_squares
from .imitate import Imitation, fits, ranges_in

BUDGET_DB = 38.0  # median SQNR; 3 dB above the .tflite file's, whose layers lose less to 8 bits with live ranges
GATE_DB = COREML["int8"].gate.median_sqnr_db or 0.0
DOUBLED_DB = 10 * math.log10(2)  # dB that are lost when the noise doubles
ALONE = 24  # images for trying each layer alone
Ranges = Mapping[str, tuple[Range, ...]]  # tensor -> ranges to try, the widest first


def choose(
    half: Imitation,
    stored: Imitation,
    calibrating: np.ndarray,
    judging: np.ndarray,
    wanted: Outputs,
    *,
    facts: Mapping[str, str],
) -> Scheme:
    """The scheme of an fp16 program: uint8 images `calibrating` (N, S, S, 3) give ranges, `judging` measure the loss.

    `stored` is the same program with its weights as the int8 package keeps them; `wanted` are the float32 model's
    outputs for the judging images. `facts` are model, checkpoint_sha256, graph and data of the scheme.
    """
    layers = tried_alone(half, ranges_of(half, calibrating), judging[:ALONE])
    schemes = [layers]
    curve: list[Mapping[str, float]] = [point(layers, wanted, stored.answers(judging, layers))]
    limit = Limit.of(curve[0])

    def best_along(kind: str, start: list[Layer]) -> list[Layer]:
        places = in_order(start, kind)
        counts = sorted({round(len(places) * k / POINTS) for k in range(1, POINTS + 1)} - {0})
        best = start
        for count in track(counts, f"int8: what 8-bit {kind}s cost", len(counts)):
            chosen = set(places[:count])
            candidate = [replace(layer, kind=kind) if n in chosen else layer for n, layer in enumerate(start)]
            schemes.append(candidate)
            curve.append(point(candidate, wanted, stored.answers(judging, candidate)))
            if limit.holds(curve[-1]):
                best = candidate
        return best

    best = best_along("static", best_along("input", layers))
    return Scheme(
        **facts,
        images=len(calibrating),
        budget_db=limit.median_db,
        layers=tuple(best),
        curve=tuple(curve),
        chosen=next((n for n in reversed(range(len(schemes))) if schemes[n] == best), 0),
    )


@dataclass(frozen=True)
class Limit:
    """SQNR in dB that a choice of 8-bit activations has to keep: the median image's and the 5th percentile's."""

    median_db: float
    p5_db: float

    @classmethod
    def of(cls, weights: Mapping[str, float]) -> Limit:
        """`weights`: the point with only the weights in 8 bits, the best that any choice can reach."""
        as_much_again = weights["sqnr_db"] - DOUBLED_DB
        if weights["sqnr_db"] >= GATE_DB:
            as_much_again = max(as_much_again, GATE_DB)  # what passes its gate must not be pushed below it
        median = min(BUDGET_DB, as_much_again)
        return cls(median, min(median - TAIL_DB, weights["sqnr_db_p5"] - DOUBLED_DB))

    def holds(self, point: Mapping[str, float]) -> bool:
        return point["sqnr_db"] >= self.median_db and point["sqnr_db_p5"] >= self.p5_db


def in_order(layers: Sequence[Layer], kind: str) -> list[int]:
    """Places of the layers that can take the kind, least noise per multiply-accumulate first."""
    before = "float" if kind == "input" else "input"
    able = [n for n, layer in enumerate(layers) if layer.kind == before and layer.alone_db.get(kind) is not None]
    return sorted(able, key=lambda n: noise(layers[n], kind) / max(1, layers[n].macs))


def ranges_of(half: Imitation, images: np.ndarray) -> Ranges:
    """For every tensor that could be in 8 bits: the widest range seen, and the one with the least squared error.

    Tensors that were kept in float32, because fp16 cannot hold them, are left out: Apple's passes write scales in fp16.
    """
    names = sorted({name for layer in half.layers for name in (layer.input, layer.output) if name in half.halves})
    low, high = dict.fromkeys(names, 0.0), dict.fromkeys(names, 0.0)
    samples: dict[str, list[np.ndarray]] = {name: [] for name in names}
    pick = np.random.default_rng(0)
    with torch_threads(1):
        for image in track(images, "int8: ranges", len(images)):
            values = half.starting_values(image)
            half.go_on(values, 0, {}, {})
            for name in names:
                seen = values[name].numpy().ravel()
                low[name], high[name] = min(low[name], float(seen.min())), max(high[name], float(seen.max()))
                samples[name].append(seen[pick.integers(0, seen.size, SAMPLED)])
    ranges = {}
    for name in names:
        widest = (low[name], high[name])
        both = dict.fromkeys((widest, least_squares(np.concatenate(samples[name]), widest)))
        ranges[name] = tuple(candidate for candidate in both if fits(candidate))
    return ranges


def tried_alone(half: Imitation, ranges: Ranges, images: np.ndarray) -> list[Layer]:
    """Every layer, float, with the ranges that are best for it and the mean SQNR of each kind, all else fp16."""
    layers = [
        Layer(
            tensor=place.operation.outputs[0].name, operator=place.operation.kind, kind="float", macs=place.macs,
            module=place.operation.name,
        )
        for place in half.layers
    ]  # fmt: skip
    decided: dict[str, Range] = {}  # a tensor has one range, the same for all layers that read it
    for kind in ("input", "static"):
        tensors = {n: (place.input if kind == "input" else place.output) for n, place in enumerate(half.layers)}
        trials = {
            n: [
                replace(layer, kind=kind, input=candidate)
                if kind == "input"
                else replace(layer, kind=kind, output=candidate)
                for candidate in ([decided[tensor]] if tensor in decided else ranges[tensor])
            ]
            for n, layer in enumerate(layers)
            if (tensor := tensors[n]) and tensor in ranges and (kind == "input" or layer.input)
        }
        layers = better(half, layers, {n: some for n, some in trials.items() if some}, images, kind, tensors)
        for n, layer in enumerate(layers):
            chosen_range = layer.input if kind == "input" else layer.output
            if chosen_range and (tensor := tensors[n]):
                decided[tensor] = chosen_range
    return layers


def better(
    half: Imitation,
    layers: list[Layer],
    trials: Mapping[int, list[Layer]],
    images: np.ndarray,
    kind: str,
    tensors: Mapping[int, str | None],
) -> list[Layer]:
    """Every layer with the best of its trials noted as `kind`; layers that share a tensor take the same one.

    A trial starts at its own layer; the values before it are computed once for all trials.
    """
    rows: dict[tuple[int, int], list[Outputs]] = {}
    whole: list[Outputs] = []
    with torch_threads(1):
        for image in track(images, f"int8: each {kind} alone", len(images)):
            base = half.starting_values(image)
            whole.append(half.go_on(base, 0, {}, {}))
            for n, some in trials.items():
                first = half.places[half.layers[n].operation.name]
                for k, trial in enumerate(some):
                    outputs = half.go_on(dict(base), first, *ranges_in([trial], half.layers))
                    rows.setdefault((n, k), []).append(outputs)
    wanted = joined(whole)
    score = {key: float(sqnr(wanted, joined(outputs)).mean()) for key, outputs in rows.items()}
    noted = list(layers)
    for tensor in {tensors[n] for n in trials}:
        users = [n for n in trials if tensors[n] == tensor]
        best = min(range(len(trials[users[0]])), key=lambda k: sum(10 ** (-score[n, k] / 10) for n in users))
        for n in users:
            alone = {**layers[n].alone_db, kind: score[n, best]}
            noted[n] = replace(trials[n][best], kind="float", alone_db=alone)
    return noted
