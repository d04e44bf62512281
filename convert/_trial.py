"""Choices of 8-bit activations that were tried on images, what each gave, and which of them is taken."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from edge.progress import track
from edge.recipes import COREML
from edge.runtimes import Outputs
from edge.scheme import Layer

from ._curve import POINTS, TAIL_DB, point
from ._fidelity import sqnr

# Median SQNR: 3 dB above the .tflite file's, whose layers lose less to 8 bits with live ranges.
BUDGET_DB = 38.0
GATE_DB = COREML["int8"].gate.median_sqnr_db or 0.0
DOUBLED_DB = 10 * math.log10(2)  # dB that are lost when the noise doubles


class Stored(Protocol):
    """A network with its weights in 8 bits, whose activations may be."""

    def answers(self, images: np.ndarray, layers: Sequence[Layer]) -> Outputs:
        """What it says of uint8 (N, S, S, 3) with the layers in these kinds."""


class Trial:
    """Choices of layers that were tried on the judging images, and what each gave."""

    def __init__(self, stored: Stored, judging: np.ndarray, wanted: Outputs, total: int) -> None:
        self.stored, self.judging, self.wanted, self.total = stored, judging, wanted, total
        self.schemes: list[list[Layer]] = []
        self.curve: list[Mapping[str, float]] = []
        self.decibel: list[np.ndarray] = []  # of each image

    def point(self, layers: list[Layer]) -> int:
        """Place in the curve of this choice; it is run unless it was before."""
        kinds = [layer.kind for layer in layers]
        for place, earlier in enumerate(self.schemes):
            if kinds == [layer.kind for layer in earlier]:
                return place
        outputs = self.stored.answers(self.judging, layers)
        self.schemes.append(layers)
        self.curve.append(point(layers, self.wanted, outputs, self.total))
        self.decibel.append(sqnr(self.wanted, outputs))
        return len(self.curve) - 1


def along(trial: Trial, start: list[Layer], kind: str, order: Sequence[int]) -> list[int]:
    """Places in the curve of ever more layers of a kind, beginning with none."""
    counts = sorted({round(len(order) * k / POINTS) for k in range(1, POINTS + 1)} - {0})
    places = [trial.point(start)]
    for count in track(counts, f"int8: what 8-bit {kind}s cost", len(counts)):
        places.append(trial.point(with_kind(start, order[:count], kind)))
    return places


def with_kind(layers: Sequence[Layer], places: Sequence[int], kind: str) -> list[Layer]:
    return [replace(layer, kind=kind) if n in set(places) else layer for n, layer in enumerate(layers)]


def measured_alone(layers: Sequence[Layer], known: Sequence[Layer]) -> list[Layer]:
    """The layers with all that was measured of each alone, and their ranges, also if they were tried before that."""
    return [replace(full, kind=layer.kind) for layer, full in zip(layers, known, strict=True)]


def fewest_with(share: float, layers: Sequence[Layer], order: Sequence[int], total: int) -> int | None:
    """How many layers, in this order, have that share of the multiply-accumulates; None if nothing is asked for."""
    if not share:
        return None
    macs = np.cumsum([layers[n].macs for n in order])
    enough = np.flatnonzero(macs >= share * total)
    return int(enough[0]) + 1 if len(enough) else None


def best_of(trial: Trial, places: Sequence[int], limit: Limit, share: float) -> int:
    """Of the choices of inputs: the last within the limit that has the share; else the most faithful with the share.

    If none has the share, the last within the limit.
    """
    every = sorted({*places, *range(len(trial.curve))}, key=lambda n: trial.curve[n]["macs_8bit"])
    kept = [n for n in every if limit.holds(trial.curve[n])]
    shared = [n for n in every if share and trial.curve[n]["macs_8bit"] >= share]
    both = [n for n in kept if n in shared]
    if shared and not both:
        return max(shared, key=lambda n: trial.curve[n]["sqnr_db"])
    return (both or kept)[-1]


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
