"""Two mistakes at once, each at another place between photograph and answer.

A picture is turned, then sized (or comes through a camera frame), its channels are put in an order, and its numbers on
a scale. One mistake at each of two of these places is a pair; two at one place exclude each other.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations

import numpy as np

from edge.questions.mistakes.catalogue import Mistake, mistakes_for
from edge.questions.mistakes.geometry import STORED
from edge.questions.mistakes.model import Model
from edge.questions.mistakes.scene import Scene, Target

TURNED = {f"exif-{orientation}": orientation for orientation in STORED}
# code of a mistake -> its place on the way, the first is taken first
PLACES = {
    **dict.fromkeys(TURNED, 0),
    **dict.fromkeys(("nearest", "bilinear", "bilinear-antialiased", "stretch", "letterbox"), 1),
    **dict.fromkeys(("limited-as-full", "full-as-limited", "bt709-as-bt601", "bt601-as-bt709", "vu-swapped"), 1),
    **dict.fromkeys(("bgr", "planes", "interleaved"), 2),
    **dict.fromkeys(("signed-bytes", "unit", "symmetric", "normalised", "other-mean-std"), 3),
}


@dataclass(frozen=True)
class Pair:
    first: Mistake
    second: Mistake

    @property
    def code(self) -> str:
        return f"{self.first.code}+{self.second.code}"

    @property
    def name(self) -> str:
        return f"{self.first.name}, and {self.second.name}"

    def wrong(self, scene: Scene) -> np.ndarray:
        """uint8 or float32 (S, S, 3): the first mistake, then the second one on its result."""
        if self.first.code in TURNED:
            turned = STORED[TURNED[self.first.code]](scene.upright)
            return self.second.wrong(Scene(np.ascontiguousarray(turned), scene.target))
        return self.second.wrong(Taken(scene.upright, scene.target, self.first.wrong(scene)))


@dataclass(frozen=True)
class Taken(Scene):
    """A photograph of which a wrong square has been made already, uint8 (S, S, 3)."""

    square: np.ndarray

    @cached_property
    def right(self) -> np.ndarray:
        return self.square


def pairs_for(target: Target) -> Iterator[Pair]:
    """Every pair of mistakes at two places, the earlier one first."""
    for one, other in combinations(mistakes_for(target), 2):
        first, second = sorted((one, other), key=lambda mistake: PLACES[mistake.code])
        if PLACES[first.code] != PLACES[second.code]:
            yield Pair(first, second)


def answers(pair: Pair, scenes: Sequence[Scene], models: Sequence[Model]) -> dict[str, np.ndarray]:
    """Form of the file -> probabilities, float64 (P, K), of the photographs."""
    wrong = [pair.wrong(scene) for scene in scenes]
    return {model.form: np.array([model.ask(image) for image in wrong]) for model in models}
