"""Rounding of a package's weights and biases: kept with the checkpoint, or measured on photographs, where it helps."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from torch import fx

from edge.data.table import PhotoSet
from edge.recipes import COREML
from edge.runtimes.coreml.classifier import torch_threads

from .. import _kept_arrays
from .._format import Source
from .._graph.graph import constant
from .._kept import first, measured_on
from .bias import IMAGES as BIAS_IMAGES
from .bias import corrected, with_biases
from .palette_tuning import answers, faithfulness
from .rounding import BYTE, HALF, Steps, moments_of, places_of, rounded, rows_and_bias, steps_for, unfit

SUFFIX = ".coreml.rounding.npz"
IMAGES = 96  # of training patients: two thirds give the rounding, one third judges it
# dB above the gate that the nearest numbers have to leave, or the rounding is measured; 8-bit activations cost most
MARGIN_DB = {HALF: 3.0, BYTE: 15.0}
RECIPE = {HALF: "fp16", BYTE: "int8-weights"}


@dataclass(frozen=True)
class Choice:
    """What the constants of a network become."""

    steps: Steps
    biases: Mapping[str, np.ndarray]  # bias -> float32 (O,); those that are not named stay

    def arrays(self) -> dict[str, np.ndarray]:
        return {**self.steps, **self.biases}


@dataclass(frozen=True)
class Rounding:
    graphs: Mapping[int, fx.GraphModule]  # bits of a weight -> the network on that grid, where that is nearer
    how: str  # in words; empty where the nearest numbers are near enough


def rounding_for(
    graph: fx.GraphModule, source: Source, photographs: Callable[[], tuple[PhotoSet, np.ndarray]], bits: Sequence[int]
) -> Rounding:
    """The network with weights rounded together, for each of `bits` where rounding to the nearest is not near enough.

    `photographs` gives those of training patients, uint8 (N, S, S, 3); called only where nothing is kept.
    """
    key, sha256 = graph_key(graph), source.checkpoint.sha256
    kept = first(_kept_arrays.load(path.with_suffix(SUFFIX), checkpoint_sha256=sha256, key=key) for path in source.kept)
    if kept is not None and set(bits) <= {int(n) for n in kept.get("measured", np.zeros(0))}:
        choices = {n: of_bits(kept, n) for n in bits}
        graphs = {n: changed(graph, own, n) for n, own in choices.items() if own.steps}
        return Rounding(graphs, "rounding as kept with the checkpoint" if graphs else "")
    photos, images = photographs()
    images = images[np.random.default_rng(0).permutation(len(images))]  # sets mixed in both parts
    calibrating, judging = np.split(images, [len(images) * 2 // 3])
    measured, words = measure(graph, calibrating, judging, {n: enough_db(source, n) for n in bits})
    arrays = {f"{n} {name}": own for n, choice in measured.items() for name, own in choice.arrays().items()}
    target = source.written.with_suffix(SUFFIX)
    if arrays:
        _kept_arrays.save(target, {**arrays, "measured": np.array(bits)}, checkpoint_sha256=sha256, key=key)
    graphs = {n: changed(graph, choice, n) for n, choice in measured.items()}
    return Rounding(graphs, f"{words}, {measured_on(photos)}" if graphs else "")


def of_bits(kept: Mapping[str, np.ndarray], bits: int) -> Choice:
    """What was kept for weights of so many bits: steps are whole numbers, biases are not."""
    own = {name[len(str(bits)) + 1 :]: array for name, array in kept.items() if name.startswith(f"{bits} ")}
    return Choice(
        {name: array for name, array in own.items() if array.dtype.kind != "f"},
        {name: array for name, array in own.items() if array.dtype.kind == "f"},
    )


def changed(graph: fx.GraphModule, choice: Choice, bits: int) -> fx.GraphModule:
    """A copy of the network with what was chosen. InputError if that does not fit it."""
    graph = rounded(graph, choice.steps, bits)
    try:
        with_biases(graph, choice.biases)
    except ValueError as error:
        raise unfit(str(error)) from error
    return graph


def enough_db(source: Source, bits: int) -> float:
    """The median SQNR with which a package of so many bits is near enough."""
    gate = COREML[RECIPE[bits]].gate_for(untrained=bool(source.checkpoint.untrained))
    return (gate.median_sqnr_db or 0.0) + MARGIN_DB[bits]


def measure(
    graph: fx.GraphModule, calibrating: np.ndarray, judging: np.ndarray, enough: Mapping[int, float]
) -> tuple[dict[int, Choice], str]:
    """For weights of so many bits what brings a package nearer, and what it gave in words.

    `enough`: bits -> dB with which the nearest numbers are near enough, and nothing is measured.
    """
    choices: dict[int, Choice] = {}
    words = []
    with torch_threads(1):
        wanted = answers(graph, {}, judging)
        before = {n: fidelity(wanted, rounded(graph, none(graph), n), judging) for n in enough}
        far = [n for n in enough if before[n] < enough[n]]
        moments = moments_of(graph, calibrating) if far else {}
        for n in far:
            steps = steps_for(graph, moments, n)
            tried = Choice(steps, corrected(graph, rounded(graph, steps, n), calibrating[:BIAS_IMAGES]))
            after = fidelity(wanted, changed(graph, tried, n), judging)
            if after > before[n]:
                choices[n] = tried
                words.append(f"{n}-bit weights {before[n]:.1f} -> {after:.1f} dB")
    return choices, "rounded together, biases corrected: " + ", ".join(words)


def none(graph: fx.GraphModule) -> dict[str, np.ndarray]:
    """Steps that leave every weight at the nearest number."""
    return {p.weight: np.zeros(rows_and_bias(graph, p)[0].shape, np.int32) for p in places_of(graph)}


def fidelity(wanted: np.ndarray, graph: fx.GraphModule, images: np.ndarray) -> float:
    """Median SQNR in dB of a network whose numbers are float16 as a package has them, its activations float32."""
    named = {**dict(graph.named_parameters()), **dict(graph.named_buffers())}
    floats = {name: value.detach() for name, value in named.items() if value.is_floating_point()}
    return faithfulness(wanted, answers(graph, floats, images))


def graph_key(graph: fx.GraphModule) -> str:
    """SHA-256 of the network's operations and the shapes of its constants."""
    plain = []
    for node in graph.graph.nodes:
        value = constant(graph, node)
        plain.append([node.op, str(node.target), node.name, None if value is None else list(value.shape)])
    return hashlib.sha256(json.dumps(plain).encode()).hexdigest()
