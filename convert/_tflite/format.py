"""The .tflite format: one lowering, one quantisation per recipe."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from edge.manifest import Audit, FineTuned, Manifest
from edge.recipes import TFLITE
from edge.scheme import SUFFIX, Scheme
from edge.scheme import save as save_scheme

from .._format import Source
from .audit import audit
from .file import Lowered, float_model, with_metadata
from .measured import measure
from .opens_from import opens_from
from .quantise import CHOSEN, ROUNDED, recipe_file


@dataclass(frozen=True)
class Prepared:
    """The lowered network, the same with its weights on the 8-bit grid, and the scheme of its layers."""

    remark: str
    lowered: Lowered
    rounded: bytes  # the float32 file itself until weights are rounded for a recipe
    scheme: Scheme | None = None  # None: no recipe asked for one

    def measured(self, source: Source, recipes: Sequence[str]) -> Prepared:
        if not ROUNDED & set(recipes):
            return self
        measurement = measure(
            source.checkpoint,
            self.lowered,
            data=source.data,
            kept=source.kept,
            target=source.written,
            choosing=bool(CHOSEN & set(recipes)),
            skip_unreadable=source.skip_unreadable,
        )
        if measurement.scheme:  # beside the files, for the report and for fine-tuning
            save_scheme(source.folder / f"{source.checkpoint.model}-int8{SUFFIX}", measurement.scheme)
        remark = f"{self.remark}; 8-bit: {measurement.how}"
        return replace(self, remark=remark, rounded=measurement.rounded, scheme=measurement.scheme)

    def unreachable(self, recipe: str) -> str | None:
        return None

    def write(self, recipe: str, target: Path, manifest: Manifest) -> None:
        layers = self.scheme.layers if self.scheme else None
        content = recipe_file(recipe, self.lowered.content, self.rounded, layers)
        target.write_bytes(with_metadata(content, manifest.facts_inside() | {"recipe": recipe}))

    def shortcomings(self, recipe: str, path: Path) -> list[str]:
        return []  # opening it checks the tensor contract

    def audit(self, recipe: str, path: Path) -> Audit:
        return audit(path)

    def opens_from(self, recipe: str, path: Path) -> str:
        return opens_from(path.read_bytes())

    def fine_tuned(self, recipe: str) -> FineTuned | None:
        return None


class TFLiteFormat:
    name, suffix, recipes = "tflite", ".tflite", TFLITE

    def lower(self, source: Source) -> Prepared:
        lowered = float_model(source.checkpoint)
        passes = ", ".join(f"{name} {count}" for name, count in lowered.fired.items() if count)
        return Prepared(f"graph rewrites: {passes or 'none'}; lowered {lowered.by}", lowered, lowered.content)
