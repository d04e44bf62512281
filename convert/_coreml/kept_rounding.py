"""Rounding of a package's weights: kept with the checkpoint, or measured on photographs now, where it helps."""

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
from .palette_tuning import answers, faithfulness
from .rounding import BYTE, HALF, Steps, moments_of, places_of, rounded, rows_and_bias, steps_for

SUFFIX = ".coreml.rounding.npz"
IMAGES = 96  # of training patients: two thirds give the rounding, one third judges it
# dB above the gate that the nearest numbers have to leave, or the rounding is measured; 8-bit activations cost most
MARGIN_DB = {HALF: 3.0, BYTE: 15.0}
RECIPE = {HALF: "fp16", BYTE: "int8-weights"}


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
        steps = {n: {name[len(str(n)) + 1 :]: v for name, v in kept.items() if name.startswith(f"{n} ")} for n in bits}
        graphs = {n: rounded(graph, own, n) for n, own in steps.items() if own}
        return Rounding(graphs, "rounding as kept with the checkpoint" if graphs else "")
    photos, images = photographs()
    images = images[np.random.default_rng(0).permutation(len(images))]  # sets mixed in both parts
    calibrating, judging = np.split(images, [len(images) * 2 // 3])
    measured, words = measure(graph, calibrating, judging, {n: enough_db(source, n) for n in bits})
    arrays = {f"{n} {name}": own for n, steps in measured.items() for name, own in steps.items()}
    target = source.written.with_suffix(SUFFIX)
    if arrays:
        _kept_arrays.save(target, {**arrays, "measured": np.array(bits)}, checkpoint_sha256=sha256, key=key)
    graphs = {n: rounded(graph, steps, n) for n, steps in measured.items()}
    return Rounding(graphs, f"{words}, {measured_on(photos)}" if graphs else "")


def enough_db(source: Source, bits: int) -> float:
    """The median SQNR with which a package of so many bits is near enough."""
    gate = COREML[RECIPE[bits]].gate_for(untrained=bool(source.checkpoint.untrained))
    return (gate.median_sqnr_db or 0.0) + MARGIN_DB[bits]


def measure(
    graph: fx.GraphModule, calibrating: np.ndarray, judging: np.ndarray, enough: Mapping[int, float]
) -> tuple[dict[int, Steps], str]:
    """Steps for the weights of so many bits that rounding together brings nearer, and what it gave in words.

    `enough`: bits -> dB with which the nearest numbers are near enough, and nothing is measured.
    """
    steps: dict[int, Steps] = {}
    words = []
    with torch_threads(1):
        wanted = answers(graph, {}, judging)
        before = {n: fidelity(wanted, rounded(graph, none(graph), n), judging) for n in enough}
        far = [n for n in enough if before[n] < enough[n]]
        moments = moments_of(graph, calibrating) if far else {}
        for n in far:
            tried = steps_for(graph, moments, n)
            after = fidelity(wanted, rounded(graph, tried, n), judging)
            if after > before[n]:
                steps[n] = tried
                words.append(f"{n}-bit weights {before[n]:.1f} -> {after:.1f} dB")
    return steps, "rounded together: " + ", ".join(words)


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
