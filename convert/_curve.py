"""What a choice of 8-bit layers costs and gives: one point of the curve that a scheme keeps, in any format."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edge.runtimes import Outputs
from edge.scheme import Layer

from ._fidelity import sqnr

TAIL_DB = 12.0  # the 5th percentile may lie so far below the budget
POINTS = 10  # of the curve


def point(layers: Sequence[Layer], wanted: Outputs, outputs: Outputs, total: int | None = None) -> dict[str, float]:
    """What a choice of layers gives: answers `outputs` in place of `wanted`.

    `total`: multiply-accumulates of all operations with weights, as the gate counts them; None: of the layers.
    """
    decibel = sqnr(wanted, outputs)
    total = max(1, total or sum(layer.macs for layer in layers))
    return {
        "static": sum(layer.kind == "static" for layer in layers),
        "float": sum(layer.kind == "float" for layer in layers),
        "macs_static": sum(layer.macs for layer in layers if layer.kind == "static") / total,
        "macs_8bit": sum(layer.macs for layer in layers if layer.kind != "float") / total,
        "sqnr_db": float(np.median(decibel)),
        "sqnr_db_p5": float(np.percentile(decibel, 5)),
        "agreement": float((outputs.probabilities.argmax(1) == wanted.probabilities.argmax(1)).mean()),
    }


def noise(layer: Layer, kind: str) -> float:
    """Noise power over signal power at the logits."""
    return 10 ** (-(layer.alone_db.get(kind) or 200.0) / 10)
