"""How near a network in 8 bits is to itself in float, as the gates of parity will judge the converted file."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from scipy.special import softmax
from torch import nn

from edge.checkpoint import Preprocess
from edge.metrics.statistics import balanced_accuracy, read_back_logits, sqnr_db
from edge.scheme import Layer

from ._fake_quant import FakeQuantised
from ._predict import predict

EQUAL_DB = 200.0  # said of answers that are equal, which are infinitely near; beyond double precision


def nearness(
    net: nn.Module,
    layers: Iterable[Layer],
    preprocess: Preprocess,
    held_back: tuple[np.ndarray, np.ndarray],
    *,
    temperature: float,
) -> dict[str, float]:
    """Figures of `net` and its fake quantisation on uint8 squares (N, S, S, 3) and their classes (N,); JSON-able."""
    images, targets = held_back
    plain, quantised = (predict(m, images, preprocess) / temperature for m in (net, FakeQuantised(net, layers)))
    answers = [read_back_logits(softmax(logits, axis=1)) for logits in (plain, quantised)]
    return {
        "images": len(targets),
        "sqnr_db": float(np.median(np.minimum(sqnr_db(*answers), EQUAL_DB))),
        "agreement": float((plain.argmax(1) == quantised.argmax(1)).mean()),
        "balanced_accuracy": balanced_accuracy(targets, plain.argmax(1)),
        "balanced_accuracy_quantised": balanced_accuracy(targets, quantised.argmax(1)),
    }
