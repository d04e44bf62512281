"""Files of anybody's: no manifest, an image in and a vector out; .tflite in any runtime, .mlpackage, .onnx."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from .pixels import PIXELS, Pixels

__all__ = ["PIXELS", "Foreign", "Pixels", "as_kind", "probabilities_of"]

SUM_OFF = 0.02  # probabilities of an 8-bit output add up to 1 within this


class Foreign(Protocol):
    """One opened file."""

    name: str
    pixels: Pixels  # how it takes a picture
    classes: int  # length of its vector

    def run(self, pictures_u8: np.ndarray) -> np.ndarray:
        """uint8 (N, height, width, 3) RGB -> its vector for each, float64 (N, K), dequantised."""

    def close(self) -> None:
        """Free what the runtime holds."""


def probabilities_of(vectors: np.ndarray) -> tuple[np.ndarray, str]:
    """Vectors (N, K) as numbers from 0 to 1 that can be compared, and what they are: `probabilities`, where each row
    adds up to 1; `shares`, where every number lies between 0 and 1 but rows add up to something else; `logits`, of
    which the softmax is returned.
    """
    values = np.asarray(vectors, np.float64)
    gives = kind_of(values)
    return as_kind(values, gives), gives


def as_kind(vectors: np.ndarray, gives: str) -> np.ndarray:
    """Vectors (N, K) as numbers that can be compared, float64 (N, K), by what `probabilities_of` said of the file they
    come from: of `logits` the softmax, where all are finite; others as they are.

    Decided once for a file: numbers that are a little off, or wrong, must not change what they are taken for.
    """
    values = np.asarray(vectors, np.float64)
    return softmax(values) if gives == "logits" and np.isfinite(values).all() else values


def kind_of(values: np.ndarray) -> str:
    if not np.isfinite(values).all():
        return "not finite"
    if values.min() >= -1e-6 and values.max() <= 1 + 1e-6:
        if values.shape[1] > 1 and np.abs(values.sum(axis=1) - 1).max() <= SUM_OFF:
            return "probabilities"
        return "shares"
    return "logits"


def softmax(values: np.ndarray) -> np.ndarray:
    powers = np.exp(values - values.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)
