"""The .mlpackage format: one exported program, compressed per recipe; the package's own description is checked."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from edge.checkpoint import Checkpoint
from edge.data.selection import calibration_set
from edge.data.squares import load_squares
from edge.data.table import PhotoSet
from edge.manifest import Audit, FineTuned, Manifest
from edge.recipes import COREML
from edge.runtimes.coreml_package import describe, shortcomings
from edge.scheme import COREML_SUFFIX, Layer
from edge.scheme import save as save_scheme

from .._aim import Unreachable
from .._format import Source
from .audit import audit, modules_of
from .half_noise import too_coarse
from .half_ranges import LARGEST, RangeRow, half_ranges, kept_float32, summary
from .half_ranges import save as save_ranges
from .int8 import Int8Scheme, scheme_for
from .kept_rounding import IMAGES as ROUNDING_IMAGES
from .kept_rounding import enough_db, rounding_for
from .layers import Weighted
from .palette_tuning import IMAGES, Tuned, tune
from .program import (
    compact,
    describe_second_input,
    exported,
    float_program,
    lowered,
    save,
    with_int8_weights,
    with_palette,
)
from .rounding import BYTE, HALF
from .second_input import store, write_with_second_input

RANGE_IMAGES = 32  # of training patients
NOISE_IMAGES = 6  # of those
WEIGHTS = {name: recipe.weights for name, recipe in COREML.items() if recipe.weights < 32 and not recipe.palette}
PALETTES = {name: recipe.weights for name, recipe in COREML.items() if recipe.palette}  # bits of an index


@dataclass(frozen=True)
class Prepared:
    """The float32 program, and all that the recipes need to compress it."""

    checkpoint: Checkpoint
    graph: Any  # the rewritten network
    program: Any  # torch.export's, of that graph
    full: Any  # the float32 MLModel
    masks: bool
    rounded: Mapping[int, Any] = field(default_factory=dict)  # bits -> the program with weights on that grid
    ranges: Sequence[RangeRow] = ()  # measured, of every operation's result
    int8: Int8Scheme | None = None
    no_int8: str | None = None  # why no int8 package can pass its gate, where none can
    tuned: Mapping[str, Tuned] = field(default_factory=dict)  # palette -> the network that was fine-tuned for it
    remark: str = ""

    @property
    def float32(self) -> frozenset[str]:
        """Results that stay float32 in an fp16 program."""
        return kept_float32(self.ranges)

    @cached_property
    def half(self) -> Any:
        """The fp16 MLModel."""
        return self.half_of(HALF)

    def half_of(
        self, bits: int, *, ios: int = 16, layers: Sequence[Layer] = (), places: Sequence[Weighted] = ()
    ) -> Any:
        """The fp16 MLModel whose weights lie on the grid of so many bits; `layers` as `float_program` takes them."""
        program = self.rounded.get(bits, self.program)
        return float_program(
            self.checkpoint, program, "fp16", ios=ios, float32=self.float32, layers=layers, places=places
        )

    def measured(self, source: Source, recipes: Sequence[str]) -> Prepared:
        prepared = self
        if set(recipes) != {"fp32"}:
            prepared = with_rounding(with_ranges(prepared, source), source, recipes)
        if "int8" in recipes:
            try:
                int8 = int8_scheme(prepared, source)
                prepared = replace(prepared, int8=int8, remark=f"{prepared.remark}; int8: {int8.how}")
            except Unreachable as error:
                prepared = replace(prepared, no_int8=str(error))
        if source.fine_tune:
            tuned = tuned_palettes(self.graph, source, [recipe for recipe in recipes if recipe in PALETTES])
            words = "".join(f"; {recipe}, fine-tuned: {network.words}" for recipe, network in tuned.items())
            prepared = replace(prepared, tuned=tuned, remark=prepared.remark + words)
        return prepared

    def unreachable(self, recipe: str) -> str | None:
        return self.no_int8 if recipe == "int8" else None

    def write(self, recipe: str, target: Path, manifest: Manifest) -> None:
        save(self.model(recipe), target, manifest, recipe)

    def model(self, recipe: str) -> Any:
        """The MLModel of a recipe."""
        if recipe == "fp32":
            return compact(self.full)
        if recipe == "int8" and self.int8:
            model = self.half_of(BYTE, ios=17, layers=self.int8.scheme.layers, places=self.int8.places)
            return compact(with_int8_weights(model), names=False)
        if recipe == "int8-weights":
            return compact(with_int8_weights(self.half_of(BYTE)), names=False)
        if recipe in self.tuned:
            program = exported(self.checkpoint, self.tuned[recipe].graph)
            half = float_program(self.checkpoint, program, "fp16", float32=self.float32)
            return compact(with_palette(half, PALETTES[recipe]), names=False)
        if recipe in PALETTES:
            return compact(with_palette(self.half, PALETTES[recipe]), names=False)
        return compact(self.half)

    def write_with_answers(self, recipe: str, alone: Path, target: Path, manifest: Manifest) -> None:
        spec = write_with_second_input(alone, target, np.array(manifest.log_odds, np.float32))
        describe_second_input(spec, manifest)
        store(spec, target)

    def shortcomings(self, recipe: str, path: Path, *, answers: int = 0) -> list[str]:
        labels = [label.code for label in self.checkpoint.labels]
        side = self.checkpoint.preprocess.side
        return shortcomings(describe(path), recipe=recipe, side=side, labels=labels, mask=self.masks, answers=answers)

    def audit(self, recipe: str, path: Path) -> Audit:
        return replace(
            audit(path, modules_of(self.program)),
            float16=summary(self.ranges) if self.ranges and recipe != "fp32" else None,
        )

    def opens_from(self, recipe: str, path: Path) -> str:
        return COREML[recipe].opens_from

    def fine_tuned(self, recipe: str) -> FineTuned | None:
        return self.tuned[recipe].facts if recipe in self.tuned else None


class CoreMLFormat:
    name, suffix, recipes = "mlpackage", ".mlpackage", COREML

    def lower(self, source: Source) -> Prepared:
        checkpoint = source.checkpoint
        return Prepared(
            checkpoint,
            *lowered(checkpoint),
            source.reference.masks is not None,
            remark="packages are run by the interpreter of edge.runtimes.coreml, with the types that they state",
        )


def training_photographs(source: Source, limit: int) -> tuple[PhotoSet, np.ndarray]:
    """Photographs of patients that trained the checkpoint, and their squares, uint8 (N, S, S, 3)."""
    skip = source.skip_unreadable
    photos = calibration_set(source.checkpoint, source.data, limit=limit, skip_missing=skip)
    return load_squares(photos, source.checkpoint.preprocess.side, skip_unreadable=skip)


def with_ranges(prepared: Prepared, source: Source) -> Prepared:
    """Adds activation ranges on photographs of training patients, and writes their table beside the packages."""
    photos, images = training_photographs(source, RANGE_IMAGES)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "full.mlpackage")
        prepared.full.save(str(path))
        ranges = half_ranges(path, images)
        coarse = too_coarse(path, images[:NOISE_IMAGES], enough_db(source, HALF), float32=kept_float32(ranges))
    ranges = [replace(row, float32=row.float32 or row.name in coarse) for row in ranges]
    table = source.folder / f"{source.checkpoint.model}-fp16.ranges.json"
    save_ranges(table, ranges, images=len(photos), data=photos.name)
    facts = summary(ranges)
    remark = (
        f"{prepared.remark}; float16: the largest activation is {facts.largest_activation:.4g} of {LARGEST:.0f} "
        f"({facts.largest_activation_at}), {facts.kept_float32} operations stay float32"
    )
    return replace(prepared, ranges=tuple(ranges), remark=remark)


def with_rounding(prepared: Prepared, source: Source, recipes: Sequence[str]) -> Prepared:
    """Adds programs whose weights are rounded together, for the recipes where the nearest numbers are not enough."""
    bits = sorted({WEIGHTS[recipe] for recipe in recipes if recipe in WEIGHTS})
    if not bits:
        return prepared
    rounding = rounding_for(prepared.graph, source, lambda: training_photographs(source, ROUNDING_IMAGES), bits)
    if not rounding.graphs:
        return prepared
    programs = {n: exported(prepared.checkpoint, graph) for n, graph in rounding.graphs.items()}
    return replace(prepared, rounded=programs, remark=f"{prepared.remark}; {rounding.how}")


def int8_scheme(prepared: Prepared, source: Source) -> Int8Scheme:
    """Which activations the int8 package has in 8 bits; written beside the packages, for the report."""
    checkpoint = source.checkpoint
    chosen = scheme_for(
        checkpoint,
        prepared.half_of(HALF, ios=17),
        with_int8_weights(prepared.half_of(BYTE, ios=17)),
        data=source.data,
        kept=source.kept,
        target=source.written,
        skip_unreadable=source.skip_unreadable,
        aim=source.aim(COREML["int8"]),
    )
    save_scheme(source.folder / f"{checkpoint.model}-int8{COREML_SUFFIX}", chosen.scheme)
    return chosen


def tuned_palettes(graph: Any, source: Source, recipes: Sequence[str]) -> dict[str, Tuned]:
    """Recipe -> the network fine-tuned for its palette."""
    photos, images = training_photographs(source, IMAGES)
    return {
        recipe: tune(graph, PALETTES[recipe], photos, images, epochs=source.fine_tune, doing=f"{recipe}: fine-tuning")
        for recipe in recipes
    }
