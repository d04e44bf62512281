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
    answer_places: int  # Q of the second input `answers`, (1, Q); 0: it takes a picture alone

    def run(self, images_u8: np.ndarray, answers: np.ndarray | None = None) -> Outputs:
        """uint8 (N, S, S, 3) RGB, and for a network with a second input float32 (N, Q); one image at a time.

        Without `answers` such a network is told that nothing was answered. Raises InputError for another shape or
        type, and for answers that the network has no input for.
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


def checked_answers(answers: np.ndarray | None, images: int, places: int, name: str) -> np.ndarray:
    """The answers for each image, float32 (N, Q); all 0 where none are given, and (N, 0) of a network with one input.

    Raises InputError where answers came for a network with one input, and for another shape or type.
    """
    if answers is None:
        return np.zeros((images, places), np.float32)
    if not places:
        raise InputError(f"{name} takes a picture alone; leave `answers` out, or open a file that has that input")
    wanted = (images, places)
    if not isinstance(answers, np.ndarray) or answers.dtype != np.float32 or answers.shape != wanted:
        came = f"{answers.dtype} {answers.shape}" if isinstance(answers, np.ndarray) else type(answers).__name__
        raise InputError(
            f"{name} takes `answers` as float32 {wanted}, a row for each picture, got {came}; `edge.answers.encode` "
            "makes one row"
        )
    if not np.isfinite(answers).all():
        raise InputError(f"{name}: `answers` are not all finite; a question that was not answered is all 0")
    return answers


def joined(parts: Sequence[Outputs]) -> Outputs:
    """What was said of several lots of images, one after the other."""
    masks = [part.masks for part in parts if part.masks is not None]
    return Outputs(np.concatenate([part.probabilities for part in parts]), np.concatenate(masks) if masks else None)
