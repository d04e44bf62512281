"""What a file computes on the way: its operations in order, the precision that each states, and every inner value.

A .tflite is run by LiteRT's own kernels without XNNPACK, which keeps no inner values; a Core ML package by our
interpreter; an .aimodel by Core AI's own runtime, with every inner value as an output. Values are dequantised: they are
what the next operation reads.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

FLOAT32, FLOAT16 = 24, 11  # bits of the significand, the hidden one counted


@dataclass(frozen=True)
class Precision:
    """How finely an operation may compute, as the file states it."""

    result: int = FLOAT32  # bits of the significand of its result
    step: float | None = None  # between two values of an 8-bit result
    weights: int | None = None  # None: float32; FLOAT16; fewer: so many bits a weight
    by_channel: bool = True  # weights of few bits: a grid for each output channel, or one for the tensor
    given: int | None = None  # bits to which the operation itself rounds what it reads (dynamic quantisation)

    def coarser(self, other: Precision) -> Precision:
        """What may be lost where both compute, one after the other."""
        steps = [step for step in (self.step, other.step) if step]
        return Precision(
            min(self.result, other.result),
            max(steps, default=None),
            min((bits for bits in (self.weights, other.weights) if bits), default=None),
            self.by_channel and other.by_channel,
            min((bits for bits in (self.given, other.given) if bits), default=None),
        )


@dataclass(frozen=True)
class Op:
    """One operation with its results; constants are not among `inputs`."""

    place: int  # in the file, from 0
    kind: str  # the format's name of it
    name: str  # of its first result
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    precision: Precision


@dataclass(frozen=True)
class Inside:
    """A file that was looked into; a value is known by its key."""

    image: str  # key of the input
    ops: tuple[Op, ...]
    values: dict[str, list[np.ndarray]]  # key -> the value for each image, float32


def look_inside(path: Path, form: str, images_u8: np.ndarray) -> Inside:
    """Run uint8 images (N, S, S, 3) and keep all that is computed; `form` is tflite, mlpackage or aimodel."""
    if form == "tflite":
        from .tflite import of_tflite as look
    elif form == "mlpackage":
        from .coreml import of_package as look
    else:
        from .coreai import of_aimodel as look
    return look(path, images_u8)
