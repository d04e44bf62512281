"""The .tflite format: one lowering, one quantisation per recipe."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from edge.manifest import Audit, FineTuned, Manifest
from edge.recipes import TFLITE
from edge.scheme import SUFFIX, Scheme
from edge.scheme import save as save_scheme

from .._format import Source
from .audit import audit
from .file import float_model, with_metadata
from .measured import measure
from .opens_from import opens_from
from .quantise import CHOSEN, ROUNDED, recipe_file


@dataclass(frozen=True)
class Prepared:
    """The float32 file, the same with its weights on the 8-bit grid, and the scheme of its layers."""

    remark: str
    float32: bytes
    rounded: bytes
    scheme: Scheme | None  # None: no recipe asked for one

    def write(self, recipe: str, target: Path, manifest: Manifest) -> None:
        content = recipe_file(recipe, self.float32, self.rounded, self.scheme.layers if self.scheme else None)
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

    def prepare(self, source: Source, recipes: Sequence[str]) -> Prepared:
        lowered = float_model(source.checkpoint)
        passes = ", ".join(f"{name} {count}" for name, count in lowered.fired.items() if count)
        remark = f"graph rewrites: {passes or 'none'}; lowered {lowered.by}"
        if not ROUNDED & set(recipes):
            return Prepared(remark, lowered.content, lowered.content, None)
        measurement = measure(
            source.checkpoint,
            lowered,
            data=source.data,
            kept=source.kept,
            target=source.written,
            choosing=bool(CHOSEN & set(recipes)),
            skip_unreadable=source.skip_unreadable,
        )
        if measurement.scheme:  # beside the files, for the report and for fine-tuning
            save_scheme(source.folder / f"{source.checkpoint.model}-int8{SUFFIX}", measurement.scheme)
        remark += f"; 8-bit: {measurement.how}"
        return Prepared(remark, lowered.content, measurement.rounded, measurement.scheme)
