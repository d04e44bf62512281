"""The record of a file's inside: operations, the precision that each states, and inner values."""

from __future__ import annotations

from dataclasses import dataclass

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
        """The precision of both, one after the other."""
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
    """A file's operations and inner values; a value is named by its key."""

    image: str  # key of the input
    ops: tuple[Op, ...]
    values: dict[str, list[np.ndarray]]  # key -> the value for each image, float32
