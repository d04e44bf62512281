"""The corruptions by name, and the pictures that a run shows to every file.

All are pure functions (uint8 RGB square, severity 1 to 5, random generator) -> uint8 RGB of the same size. They work on
the upright square before it becomes the model's input: of at most WORKING_SIDE pixels, which is four model pixels wide
where the model takes 128 and costs a few milliseconds; larger squares are shrunk to that first, also the clean ones.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from edge.preprocess import area, square, to_input
from edge.questions.robustness import drawn, handling, optics, sensor
from edge.questions.robustness.levels import LEVELS

WORKING_SIDE = 512  # pixels
CLEAN = ("clean", 0)

Corruption = Callable[[np.ndarray, int, np.random.Generator], np.ndarray]
Condition = tuple[str, int]  # corruption and severity; CLEAN for the picture as it is

CORRUPTIONS: dict[str, Corruption] = {
    "defocus": optics.defocus,
    "motion": optics.motion,
    "noise": sensor.noise,
    "underexposure": sensor.underexposure,
    "overexposure": sensor.overexposure,
    "white-balance": sensor.white_balance,
    "jpeg": handling.jpeg,
    "downscale": handling.downscale,
    "rotation": handling.rotation,
    "hair": drawn.hair,
    "pen": drawn.pen,
}
assert CORRUPTIONS.keys() == LEVELS.keys()


def conditions_of(names: Sequence[str], severities: Sequence[int]) -> list[Condition]:
    """The clean picture first, then every severity of every corruption."""
    return [CLEAN, *((name, severity) for name in names for severity in severities)]


def working_square(rgb: np.ndarray) -> np.ndarray:
    """The centred square of an upright photograph, at most WORKING_SIDE pixels wide."""
    crop = square(rgb)
    return area(crop, min(len(crop), WORKING_SIDE))


def corrupt(picture: np.ndarray, condition: Condition, photo: str, seed: int = 0) -> np.ndarray:
    """The square under a condition. Chance depends on photograph, condition and seed alone, not on what ran before."""
    if condition == CLEAN:
        return picture
    name, severity = condition
    key = hashlib.sha256("\0".join((str(seed), photo, name, str(severity))).encode()).digest()
    return CORRUPTIONS[name](picture, severity, np.random.default_rng(list(key)))


def inputs(
    rgb: np.ndarray, conditions: Sequence[Condition], photo: str, side: int, seed: int = 0
) -> Iterator[np.ndarray]:
    """Model inputs, uint8 (side, side, 3), of one upright photograph under each condition."""
    picture = working_square(rgb)
    for condition in conditions:
        yield to_input(corrupt(picture, condition, photo, seed), side)
