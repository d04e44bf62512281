""".tflite files by the old road: the same contract, gates and audit, the float recipes alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from edge.recipes import TFLITE

from .._format import Source
from .._tflite import format as direct
from .road import float_model

RECIPES = {name: recipe for name, recipe in TFLITE.items() if recipe.weights >= 16}


@dataclass(frozen=True)
class Prepared(direct.Prepared):
    """What TensorFlow made; its weights are rounded to the nearest, because no tensor of it is known by its module."""

    def measured(self, source: Source, recipes: Sequence[str]) -> Prepared:
        return self


class OnnxTfFormat:
    name, suffix, recipes = "tflite", ".tflite", RECIPES

    def lower(self, source: Source) -> Prepared:
        lowered = float_model(source.checkpoint)
        passes = ", ".join(f"{name} {count}" for name, count in lowered.fired.items() if count)
        return Prepared(f"graph rewrites: {passes or 'none'}; lowered {lowered.by}", lowered, lowered.content)
