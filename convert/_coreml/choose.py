"""Chooses the layers of a Core ML program that compute on 8-bit activations, by trying each of them on Linux.

A layer of kind `input` rounds its input to 8 bits; with its 8-bit weights that makes the product an 8-bit one. `static`
rounds its output as well, which saves the Neural Engine memory traffic. `float` leaves the layer in fp16. Each layer is
tried alone against the fp16 program, on photographs of training patients that gave no ranges. Inputs are then taken in
the order of noise per multiply-accumulate as long as the budget holds, then outputs. What the gate asks for comes
first: if the share of 8-bit products that it wants does not fit into the budget, that share is taken all the same.
Where the 8-bit weights alone use up the budget or nearly all of it, no choice of activations can meet it: the
activations may then add as much noise again as the weights did (random weights are such a case). Ranges come from the
runtime in edge.runtimes.coreml. Apple's own calibration needs a Mac and takes the widest range seen; here a narrower
range is tried as well. Products of two activations, softmax, norms, residual adds and activation functions stay fp16.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from edge.progress import track
from edge.runtimes import Outputs, joined
from edge.runtimes.coreml.classifier import torch_threads
from edge.scheme import Layer, Range, Scheme

from .._aim import Aim
from .._curve import noise
from .._fidelity import sqnr
from .._ranges import SAMPLED, least_squares
from .._trial import Limit, Trial, along, best_of, fewest_with, measured_alone, with_kind
from .imitate import Imitation, fits, ranges_in
from .layers import macs_with_weights

ALONE = 24  # images for trying each layer alone
OTHERS = " (the rest are of operations that Apple's passes leave in fp16)"
NO_AIM = Aim()
Ranges = Mapping[str, tuple[Range, ...]]  # tensor -> ranges to try, the widest first


def choose(
    half: Imitation,
    stored: Imitation,
    calibrating: np.ndarray,
    judging: np.ndarray,
    wanted: Outputs,
    *,
    facts: Mapping[str, Any],
    aim: Aim = NO_AIM,
) -> Scheme:
    """The scheme of an fp16 program: uint8 images `calibrating` (N, S, S, 3) give ranges, `judging` measure the loss.

    `stored` is the same program with its weights as the int8 package keeps them; `wanted` are the float32 model's
    outputs for the judging images. `facts` are model, checkpoint_sha256, graph and data of the scheme. Of the choices
    with the share of 8-bit products that `aim` asks for, the one with most of them within the budget is taken, else
    the most faithful. Raises Unreachable as soon as it is known that none can pass.
    """
    trial = Trial(stored, judging, wanted, total=macs_with_weights(half.model.program))
    layers = [
        Layer(
            tensor=place.operation.outputs[0].name, operator=place.operation.kind, kind="float", macs=place.macs,
            module=place.operation.name,
        )
        for place in half.layers
    ]  # fmt: skip
    able = [place.macs for place in half.layers if place.input in half.halves]
    aim.check_share(sum(able) / max(1, trial.total), OTHERS)
    trial.point(layers)
    aim.check_fidelity(trial.decibel[0], "with nothing but its weights in 8 bits")
    limit = Limit.of(trial.curve[0])

    ranges = ranges_of(half, calibrating)
    decided: dict[str, Range] = {}  # a tensor has one range, the same for all layers that read it
    layers = tried_alone(half, layers, "input", ranges, decided, judging[:ALONE])
    order = in_order(layers, "input")
    aim.check_share(sum(layers[n].macs for n in order) / max(1, trial.total), OTHERS)
    fewest = fewest_with(aim.share, layers, order, trial.total)
    if fewest is not None:
        aimed = trial.point(with_kind(layers, order[:fewest], "input"))
        aim.check_fidelity(trial.decibel[aimed], f"with the wanted {aim.share:.0%} of its MACs on 8-bit activations")
    layers = tried_alone(half, layers, "static", ranges, decided, judging[:ALONE])

    best = best_of(trial, along(trial, layers, "input", order), limit, aim.share)
    if limit.holds(trial.curve[best]):
        inputs = trial.schemes[best]
        tried = along(trial, inputs, "static", in_order(inputs, "static"))
        best = next((n for n in reversed(tried) if limit.holds(trial.curve[n])), best)
    chosen = tuple(measured_alone(trial.schemes[best], layers))
    return Scheme(
        **facts,
        images=len(calibrating),
        budget_db=limit.median_db,
        layers=chosen,
        curve=tuple(trial.curve),
        chosen=best,
    )


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


def tried_alone(
    half: Imitation,
    layers: list[Layer],
    kind: str,
    ranges: Ranges,
    decided: dict[str, Range],
    images: np.ndarray,
) -> list[Layer]:
    """Every layer, float, with the range that is best for a kind and the mean SQNR with that, all else fp16.

    `decided`: tensor -> range; what is chosen here is added.
    """
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
