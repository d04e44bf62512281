"""Chooses the layers with fixed 8-bit ranges, with ranges measured at run time, and in float, by trying each.

Every convolution is made static and every layer dynamic, one at a time with all else float, and the answers are
compared with the float file's on photographs of training patients that gave neither ranges nor rounding. Noise of
several layers adds up to a first order, so layers are then made static in the order of noise per multiply-accumulate,
and the curve of what each choice costs and gives is measured, not predicted. The most static point that keeps the
budget is taken. If not even all-dynamic keeps it, the layers that hurt most go back to float first, as far as the share
of 8-bit products that is asked of an int8 file allows.

Never static: layers that are faster in float (`layers.PAYS`, and depthwise convolutions), and fully connected layers
(dynamic keeps a scale for each token at the same speed). Products of two activations, softmax, layer norm, GELU and
SiLU stay float: XNNPACK has no dynamic form of them, and fixed ranges for them make hybrid networks collapse.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from edge.progress import track
from edge.runtimes import Outputs
from edge.scheme import Layer, Range, Scheme
from edge.tflite.flatbuffer import unpack

from .._aim import Aim
from .._curve import POINTS, TAIL_DB, noise, point
from .._fidelity import sqnr
from .._kept_rounding import Rounding
from .._ranges import SAMPLED, least_squares
from .audit import macs_with_weights
from .half_constants import with_half_constants
from .layers import WANTED_SHARE, Modules, Weighted, activations, described, name_of, weighted
from .quantise import FloatFile, shipped
from .rounding import rounded, with_float_depthwise

log = logging.getLogger("dermedge")

BUDGET_DB = 35.0  # median SQNR at which 99 % of the answers stay the same; the gate is at 30
STATIC = {"CONV_2D"}
NO_AIM = Aim()


def choose(
    content: bytes,
    rounding: Rounding,
    calibrating: np.ndarray,
    judging: np.ndarray,
    *,
    modules: Modules,
    facts: Mapping[str, Any],
    fixed: Sequence[Layer] | None = None,
    aim: Aim = NO_AIM,
) -> Scheme:
    """The scheme of a float file: uint8 images `calibrating` (N, S, S, 3) give ranges, `judging` measure the loss.

    `facts` are model, checkpoint_sha256, graph and data of the scheme. `fixed` layers are judged as they are, without a
    choice, as for a checkpoint that was fine-tuned for them. Raises Unreachable if no choice can pass the gate.
    """
    base = FloatFile(with_float_depthwise(rounded(content, rounding), content))
    wanted = Judge(content, judging)
    if fixed is not None:
        curve = [wanted.point(base, fixed)]
        return Scheme(
            **facts, images=len(calibrating), budget_db=BUDGET_DB, layers=tuple(fixed), curve=tuple(curve), chosen=0
        )
    aim.check_fidelity(wanted.sqnr(base.content), "with nothing but its weights in 8 bits")
    layers, candidates = described(content, modules), ranges_of(content, calibrating)
    layers = tried_alone(base, layers, candidates, wanted)
    schemes = choices(layers, wanted.total)
    curve = [
        wanted.point(base, candidate) for candidate in track(schemes, "int8: what each choice costs", len(schemes))
    ]
    chosen = best_of(curve)
    return Scheme(
        **facts,
        images=len(calibrating),
        budget_db=BUDGET_DB,
        layers=tuple(schemes[chosen]),
        curve=tuple(curve),
        chosen=chosen,
    )


def best_of(curve: Sequence[Mapping[str, float]]) -> int:
    """Place of the choice with most MACs in 8 bits, then most static, among those within budget and share of int8.

    If none has both: the most faithful with the share; if none has the share, the one with most MACs within the budget.
    """
    shared = [n for n, entry in enumerate(curve) if entry["macs_8bit"] >= WANTED_SHARE]
    kept = [n for n, entry in enumerate(curve) if keeps_budget(entry)]
    both = [n for n in shared if n in kept]
    if shared and not both:
        return max(shared, key=lambda n: curve[n]["sqnr_db"])
    if not kept:
        return max(range(len(curve)), key=lambda n: curve[n]["sqnr_db"])
    return max(both or kept, key=lambda n: (curve[n]["macs_8bit"], curve[n]["macs_static"]))


def keeps_budget(point: Mapping[str, float], decibel: float = BUDGET_DB) -> bool:
    return point["sqnr_db"] >= decibel and point["sqnr_db_p5"] >= decibel - TAIL_DB


class Judge:
    """Compares files with the float file on the same images."""

    def __init__(self, content: bytes, images: np.ndarray) -> None:
        self.images = images
        self.total = macs_with_weights(unpack(content))
        self.wanted, _ = answers(content, images)

    def sqnr(self, content: bytes) -> np.ndarray:
        """dB per image."""
        outputs, _ = answers(content, self.images)
        return sqnr(self.wanted, outputs)

    def point(self, base: FloatFile, layers: Sequence[Layer]) -> dict[str, float]:
        """Fidelity, size and time of a choice, in the form that is shipped."""
        content = shipped(with_half_constants(base.with_layers(layers)))
        outputs, milliseconds = answers(content, self.images)
        return point(layers, self.wanted, outputs, self.total) | {
            "bytes": len(content),
            "host_ms": round(milliseconds, 3),
        }


def answers(content: bytes, images: np.ndarray) -> tuple[Outputs, float]:
    """The file's outputs, and the median milliseconds of one image on this host, one thread."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_content=content, num_threads=1)
    interpreter.allocate_tensors()
    entry, outputs = interpreter.get_input_details()[0], interpreter.get_output_details()
    answer, mask = (
        next((output["index"] for output in outputs if len(output["shape"]) == rank), None) for rank in (2, 4)
    )
    rows, masks, times = [], [], []
    for image in images:
        interpreter.set_tensor(entry["index"], image[None].astype(entry["dtype"]))  # bytes where it takes those
        begun = time.perf_counter()
        interpreter.invoke()
        times.append(1e3 * (time.perf_counter() - begun))
        rows.append(interpreter.get_tensor(answer)[0].astype(np.float64))
        if mask is not None:
            masks.append(interpreter.get_tensor(mask)[0, ..., 0])
    return Outputs(np.array(rows), np.array(masks) if masks else None), float(np.median(times))


Candidates = Mapping[str, Mapping[str, tuple[Range, Range]]]  # layer -> way of finding a range -> input, output


def ranges_of(content: bytes, images: np.ndarray) -> Candidates:
    """For every layer that could be static: the widest range seen, and the one with the least squared error."""
    model = unpack(content)
    layers = [layer for layer in weighted(model) if layer.operator in STATIC]
    tensors = sorted({t for layer in layers for t in (layer.input, layer.output)})
    low, high = dict.fromkeys(tensors, 0.0), dict.fromkeys(tensors, 0.0)  # 0 is always held exactly
    samples: dict[int, list[np.ndarray]] = {t: [] for t in tensors}
    pick = np.random.default_rng(0)
    for tensor in activations(content, images, "int8: ranges"):
        for t in tensors:
            values = tensor(t).ravel()
            low[t], high[t] = min(low[t], float(values.min())), max(high[t], float(values.max()))
            samples[t].append(values[pick.integers(0, values.size, SAMPLED)])
    picture = from_picture(model, layers)
    widest = {t: (0.0, 255.0) if t in picture else (low[t], high[t]) for t in tensors}
    narrow = {t: widest[t] if t in picture else least_squares(np.concatenate(samples[t]), widest[t]) for t in tensors}
    return {
        name_of(model, layer.output): {
            "widest": (widest[layer.input], widest[layer.output]),
            "least squares": (narrow[layer.input], narrow[layer.output]),
        }
        for layer in layers
    }


def from_picture(model, layers: Iterable[Weighted]) -> set[int]:
    """Tensors that hold the picture's own bytes, padded or not, whose range is known exactly."""
    graph = model.subgraphs[0]
    makers = {int(o.outputs[0]): o for o in graph.operators}
    graph_inputs = {int(t) for t in graph.inputs}
    tensors = set()
    for layer in layers:
        maker = makers.get(layer.input)
        if layer.input in graph_inputs or (
            maker is not None and len(maker.inputs) == 2 and int(maker.inputs[0]) in graph_inputs
        ):
            tensors.add(layer.input)
    return tensors


def tried_alone(base: FloatFile, layers: list[Layer], candidates: Candidates, judge: Judge) -> list[Layer]:
    """Each layer with the SQNR of every kind, all else float, and the range that is best if it becomes static."""
    silent = [replace(layer, kind="float") for layer in layers]
    measured = []
    for number, layer in track(enumerate(layers), "int8: each layer alone", len(layers)):
        alone: dict[str, float | None] = {}
        best: Layer = layer

        def tried(candidate: Layer, place: int = number) -> float:
            return float(judge.sqnr(base.with_layers([*silent[:place], candidate, *silent[place + 1 :]])).mean())

        if layer.kind == "dynamic":
            alone["dynamic"] = tried(layer)
        for way in candidates.get(layer.tensor, {}) if layer.kind == "dynamic" else ():
            taken, answer = candidates[layer.tensor][way]
            candidate = replace(layer, kind="static", input=taken, output=answer)
            decibel = tried(candidate)
            if decibel > (alone.get("static") or -np.inf):
                alone["static"], best = decibel, replace(candidate, kind=layer.kind)
        measured.append(replace(best, alone_db=alone))
    return measured


def choices(layers: list[Layer], total: int) -> list[list[Layer]]:
    """Choices to measure: the most harmful layers in float, all dynamic, then ever more static by noise per MAC.

    The first leaves no more of the `total` multiply-accumulates in 8 bits than the gate asks for: where that is not
    faithful enough, nothing is.
    """
    order = sorted(
        (n for n, layer in enumerate(layers) if layer.alone_db.get("static") is not None),
        key=lambda n: noise(layers[n], "static") / max(1, layers[n].macs),
    )
    counts = sorted({round(len(order) * k / POINTS) for k in range(POINTS + 1)})
    static = [
        [replace(layer, kind="static") if n in order[:count] else layer for n, layer in enumerate(layers)]
        for count in counts
    ]
    hurting = sorted(
        (n for n, layer in enumerate(layers) if layer.kind == "dynamic"), key=lambda n: -noise(layers[n], "dynamic")
    )
    careful = [
        [
            replace(layer, kind="float") if n in hurting[: len(hurting) // share] else layer
            for n, layer in enumerate(layers)
        ]
        for share in (4, 10)
    ]
    return [least_8bit(layers, total), *careful, *static]


def least_8bit(layers: list[Layer], total: int) -> list[Layer]:
    """As many layers in float, those with most noise per multiply-accumulate first, as leave the wanted share."""
    spare = sum(layer.macs for layer in layers if layer.kind == "dynamic") - WANTED_SHARE * total
    chosen = set()
    dynamic = (n for n, layer in enumerate(layers) if layer.kind == "dynamic")
    for n in sorted(dynamic, key=lambda n: -noise(layers[n], "dynamic") / max(1, layers[n].macs)):
        if layers[n].macs <= spare:
            chosen.add(n)
            spare -= layers[n].macs
    return [replace(layer, kind="float") if n in chosen else layer for n, layer in enumerate(layers)]
