"""What a file format has to bring to a conversion."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from edge.checkpoint import Checkpoint
from edge.data.selection import Photographs
from edge.data.table import PhotoSet
from edge.manifest import Audit, FineTuned, Manifest
from edge.recipes import Recipe
from edge.runtimes import Outputs

from ._aim import Aim
from ._answered import Answered
from ._views import limits_changes


@dataclass(frozen=True)
class Source:
    """What is converted, what the files are judged on, and where they go."""

    checkpoint: Checkpoint
    photos: PhotoSet
    images: np.ndarray  # uint8 (N views, S, S, 3) RGB: the photographs, then all of them in another view, and so on
    reference: Outputs  # what the float32 torch model says of the images
    data: Photographs  # where photographs of training patients are looked for
    path: Path | None  # of the checkpoint's weights; None of a network that was handed over in memory
    folder: Path  # that is written to
    skip_unreadable: bool = False
    measure_again: bool = False  # what was kept of earlier measurements is not used
    fine_tune: int = 0  # epochs for palettes (Core ML)
    strict: bool = False  # every gate binds
    answered: Answered | None = None  # files that take answers are wanted, too
    views: int = 1  # of each photograph

    def aim(self, recipe: Recipe) -> Aim:
        """What the gate of an 8-bit recipe asks for, and whether a file that misses it is rejected."""
        gate = recipe.gate_for(untrained=bool(self.checkpoint.untrained))
        return Aim(gate, recipe.binds(trained=self.checkpoint.learned, strict=self.strict))

    def views_for(self, recipe: Recipe) -> int:
        """How many views a recipe's files are judged in: the photographs alone where its gate has no rare event.

        Only a limit on changed classes needs many images; logits differ on every one.
        """
        return self.views if limits_changes(recipe.gate_for(untrained=bool(self.checkpoint.untrained))) else 1

    @property
    def written(self) -> Path:
        """The name of the weights in the folder, beside which measurements are kept."""
        return self.folder / (self.path.name if self.path else f"{self.checkpoint.model}.pt2")

    @property
    def kept(self) -> list[Path]:
        """Weight files beside which an earlier measurement may lie."""
        if self.measure_again:
            return []
        return [self.path, self.written] if self.path else [self.written]


class Prepared(Protocol):
    """One network in one format: what all recipes share, done once."""

    @property
    def remark(self) -> str:
        """A line about what was done, for the screen."""

    def measured(self, source: Source, recipes: Sequence[str]) -> Prepared:
        """With what these recipes need beyond the lowered network: ranges, rounding, schemes, fine-tuned networks."""

    def unreachable(self, recipe: str) -> str | None:
        """Why no file of a recipe can pass its gate, with both figures, where that is known before it is written."""

    def write(self, recipe: str, target: Path, manifest: Manifest) -> None:
        """Write one recipe to `target`, with the manifest's facts inside."""

    def write_with_answers(self, recipe: str, alone: Path, target: Path, manifest: Manifest) -> None:
        """Write the file that takes `answers` as well, of the recipe's written file `alone`, with facts inside.

        InputError where the file has no place for them.
        """

    def shortcomings(self, recipe: str, path: Path, *, answers: int = 0) -> list[str]:
        """What a written file says of itself that differs from the contract and the recipe; empty if nothing does.

        `answers`: places of the second input, 0 of a file that takes a picture alone.
        """

    def audit(self, recipe: str, path: Path) -> Audit | None:
        """What a written file is made of; None where the format has no audit."""

    def opens_from(self, recipe: str, path: Path) -> str:
        """The oldest runtime or system that opens a written file."""

    def fine_tuned(self, recipe: str) -> FineTuned | None:
        """What a recipe's network learned, where it did."""


class Format(Protocol):
    name: str  # "tflite", "mlpackage", "aimodel" or "onnx"
    suffix: str  # of a file
    recipes: Mapping[str, Recipe]

    def lower(self, source: Source) -> Prepared:
        """Trace and lower the network: enough to write the recipe `fp32`, from which all others are made."""
