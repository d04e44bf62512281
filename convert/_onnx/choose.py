"""Chooses the layers of an ONNX model that compute in 8 bits, by trying each of them in ONNX Runtime.

A convolution becomes `static`, with fixed ranges for input and output, which is the form that ONNX Runtime and phones'
accelerators have kernels for. A linear layer becomes `dynamic`: the runtime takes the range of its input. Each is tried
alone with all else float32, on photographs of training patients that gave neither ranges nor rounding; then ever more
are taken, those with least noise per multiply-accumulate first, and what each choice gives is measured. What the gate
asks for comes first: if the share of 8-bit products that it wants does not fit into the budget, that share is taken all
the same. Products of two activations, softmax, norms and activation functions stay float32.

Left out: convolutions with live ranges (ConvInteger). ONNX Runtime has no fast form of them: with all layers live
hierattn_xs took 2.5 times as long as in float32, and efficientnet_lite0 1.9 times.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from edge.progress import track
from edge.runtimes import Outputs
from edge.runtimes.onnx import IMAGE, MASK, MODES, PROBABILITIES, opened
from edge.scheme import Layer, Range, Scheme

from .._aim import Aim
from .._curve import POINTS, noise
from .._fidelity import sqnr
from .._kept_rounding import Rounding
from .._ranges import SAMPLED, least_squares
from .._trial import Limit, Trial, best_of, fewest_with, measured_alone
from .layer_inputs import activations
from .layers import Graph, Weighted
from .quantise import quantised, with_weights
from .rounding import Held, held

ALONE = 16  # images for trying each layer alone
KINDS = {"Conv": "static", "Gemm": "dynamic", "MatMul": "dynamic"}  # operator -> its kind in 8 bits
OTHERS = " (the rest are of operators that ONNX Runtime has no fast 8-bit form of)"
NO_AIM = Aim()
Candidates = Mapping[str, Sequence[tuple[Range, Range]]]  # layer -> ranges of input and output to try


class Network:
    """A float32 model with what its layers are in 8 bits."""

    def __init__(self, content: bytes, rounding: Rounding) -> None:
        self.content, self.graph = content, Graph(content)
        self.holding: dict[str, Held] = {layer.tensor: held(self.graph, layer, rounding) for layer in able(self.graph)}

    def file(self, layers: Sequence[Layer]) -> bytes:
        return quantised(self.content, layers, self.holding)

    def answers(self, images: np.ndarray, layers: Sequence[Layer]) -> Outputs:
        """What the model says of uint8 (N, S, S, 3); with no layer in 8 bits, what its 8-bit weights alone do."""
        inactive = all(layer.kind == "float" for layer in layers)
        return answers(with_weights(self.content, self.holding) if inactive else self.file(layers), images)


def choose(
    content: bytes,
    rounding: Rounding,
    calibrating: np.ndarray,
    judging: np.ndarray,
    *,
    facts: Mapping[str, Any],
    aim: Aim = NO_AIM,
) -> Scheme:
    """The scheme of a float32 model: uint8 images `calibrating` (N, S, S, 3) give ranges, `judging` measure the loss.

    `facts` are model, checkpoint_sha256, graph and data of the scheme. Raises Unreachable if no choice can pass.
    """
    network = Network(content, rounding)
    graph = network.graph
    wanted = answers(content, judging)
    trial = Trial(network, judging, wanted, graph.macs_weights)
    layers = described(graph)
    aim.check_share(reachable_share(graph), OTHERS)
    trial.point(layers)
    aim.check_fidelity(trial.decibel[0], "with nothing but its weights in 8 bits")
    limit = Limit.of(trial.curve[0])

    layers = tried_alone(network, layers, ranges_of(graph, calibrating), judging[:ALONE], some(wanted, ALONE))
    order = in_order(layers)
    fewest = fewest_with(aim.share, layers, order, trial.total)
    if fewest is not None:
        trial.point(taken(layers, order[:fewest]))
    counts = sorted({round(len(order) * k / POINTS) for k in range(1, POINTS + 1)} - {0})
    places = [trial.point(taken(layers, order[:n])) for n in track(counts, "int8: what each choice costs", len(counts))]
    chosen = best_of(trial, [0, *places], limit, aim.share)
    if trial.curve[chosen]["macs_8bit"] >= aim.share:
        aim.check_fidelity(trial.decibel[chosen], f"with the wanted {aim.share:.0%} of its MACs on 8-bit activations")
    return Scheme(
        **facts,
        images=len(calibrating),
        budget_db=limit.median_db,
        layers=tuple(measured_alone(trial.schemes[chosen], layers)),
        curve=tuple(trial.curve),
        chosen=chosen,
    )


def able(graph: Graph) -> list[Weighted]:
    """The layers that have an 8-bit form here."""
    return [layer for layer in graph.layers if layer.operator in KINDS]


def described(graph: Graph) -> list[Layer]:
    """Every layer, float32."""
    return [Layer(layer.tensor, layer.operator, "float", layer.macs) for layer in graph.layers]


def reachable_share(graph: Graph) -> float:
    """Of the multiply-accumulates of layers with weights, those that can be on 8-bit activations, 0..1."""
    return sum(layer.macs for layer in able(graph)) / max(1, graph.macs_weights)


def taken(layers: Sequence[Layer], places: Sequence[int]) -> list[Layer]:
    return [replace(one, kind=KINDS[one.operator]) if n in set(places) else one for n, one in enumerate(layers)]


def in_order(layers: Sequence[Layer]) -> list[int]:
    """Places of the layers that were tried, least noise per multiply-accumulate first."""
    tried = [n for n, layer in enumerate(layers) if layer.alone_db]
    return sorted(tried, key=lambda n: noise(layers[n], KINDS[layers[n].operator]) / max(1, layers[n].macs))


def ranges_of(graph: Graph, images: np.ndarray) -> Candidates:
    """For every convolution: the widest ranges seen, and those with the least squared error."""
    layers = [layer for layer in able(graph) if KINDS[layer.operator] == "static"]
    names = sorted({name for layer in layers for name in (layer.input, layer.after)})
    low, high = dict.fromkeys(names, 0.0), dict.fromkeys(names, 0.0)  # 0 is always held exactly
    samples: dict[str, list[np.ndarray]] = {name: [] for name in names}
    pick = np.random.default_rng(0)
    for values in activations(graph, names, images, "int8: ranges"):
        for name in names:
            seen = values[name].ravel()
            low[name], high[name] = min(low[name], float(seen.min())), max(high[name], float(seen.max()))
            samples[name].append(seen[pick.integers(0, seen.size, SAMPLED)])
    widest = {name: (0.0, 255.0) if name == IMAGE else (low[name], high[name]) for name in names}
    narrow = {
        name: widest[name] if name == IMAGE else least_squares(np.concatenate(samples[name]), widest[name])
        for name in names
    }
    return {
        layer.tensor: list(dict.fromkeys((ends[layer.input], ends[layer.after]) for ends in (widest, narrow)))
        for layer in layers
    }


def tried_alone(
    network: Network, layers: list[Layer], candidates: Candidates, images: np.ndarray, wanted: Outputs
) -> list[Layer]:
    """Each layer, float, with the SQNR of its 8-bit kind, all else float32, and the ranges that are best then."""
    measured = []
    for place, layer in track(enumerate(layers), "int8: each layer alone", len(layers)):
        kind = KINDS.get(layer.operator, "float")
        trials: list[Layer] = []
        if kind == "dynamic":
            trials = [replace(layer, kind=kind)]
        elif kind == "static":
            trials = [replace(layer, kind=kind, input=i, output=o) for i, o in candidates[layer.tensor]]
        best = layer
        for trial in trials:
            with_it = [*layers[:place], trial, *layers[place + 1 :]]
            decibel = float(sqnr(wanted, answers(network.file(with_it), images)).mean())
            if decibel > (best.alone_db.get(trial.kind) or -np.inf):
                best = replace(trial, kind="float", alone_db={trial.kind: decibel})
        measured.append(best)
    return measured


def answers(content: bytes, images: np.ndarray) -> Outputs:
    """What a model says of uint8 (N, S, S, 3)."""
    session = opened(Path("a model with layers in 8 bits"), content, MODES[0], 1)
    wanted = [entry.name for entry in session.get_outputs()]
    rows, masks = [], []
    for image in images:
        picture = image[None].astype(np.float32)
        outputs = dict(zip(wanted, session.run(wanted, {IMAGE: picture}), strict=True))
        rows.append(outputs[PROBABILITIES][0].astype(np.float64))
        if MASK in outputs:
            masks.append(outputs[MASK][0, ..., 0])
    return Outputs(np.array(rows), np.array(masks) if masks else None)


def some(outputs: Outputs, count: int) -> Outputs:
    return Outputs(outputs.probabilities[:count], None if outputs.masks is None else outputs.masks[:count])
