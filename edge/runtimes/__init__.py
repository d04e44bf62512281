"""Runtimes: each opens a file, or holds the float network, and answers for uint8 squares; `open.py` chooses."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import numpy as np

from edge.errors import InputError


class Refused(InputError):
    """A way of running does not take a file that others take, or a phone's library stopped: it is left out."""


class Outputs(NamedTuple):
    """What a network says of N images."""

    probabilities: np.ndarray  # float64 (N, K)
    masks: np.ndarray | None  # float32 (N, S, S), probability of each pixel; None: the network gives none


class Runtime(Protocol):
    """One opened network."""

    name: str  # of the file, or words for the float network
    side: int  # of the input, pixels
    labels: tuple[str, ...]  # class codes in output order; empty where the file has no names

    def run(self, images_u8: np.ndarray, answers: np.ndarray | None = None) -> Outputs:
        """uint8 (N, S, S, 3) RGB, and for a network with a second input float32 (N, Q); one image at a time.

        Raises InputError for another shape or type, and for answers that the network has no input for.
        """

    def run_floats(self, images: np.ndarray) -> Outputs:
        """float32 (N, S, S, 3) of any numbers in place of 0..255, as an app that makes a mistake hands them over.

        Raises InputError where the file takes bytes alone.
        """

    def close(self) -> None:
        """Free what the runtime holds."""


def check_images(images: np.ndarray, side: int, name: str, *, dtype: type = np.uint8) -> None:
    """InputError unless `images` are (N, side, side, 3) of `dtype`, N at least 1."""
    wanted = (side, side, 3)
    if (
        not isinstance(images, np.ndarray) or images.dtype != dtype or images.shape[1:] != wanted or not len(images)
    ):  # fmt: skip
        came = f"{images.dtype} {images.shape}" if isinstance(images, np.ndarray) else type(images).__name__
        raise InputError(f"{name} takes {np.dtype(dtype).name} (N, {side}, {side}, 3), got {came}")


def refuse_answers(answers: np.ndarray | None, name: str) -> None:
    """InputError where answers came for a network with one input."""
    if answers is not None:
        raise InputError(f"{name} takes a picture alone; leave `answers` out, or open a file that has that input")


def joined(parts: Sequence[Outputs]) -> Outputs:
    """What was said of several lots of images, one after the other."""
    masks = [part.masks for part in parts if part.masks is not None]
    return Outputs(np.concatenate([part.probabilities for part in parts]), np.concatenate(masks) if masks else None)
