"""The .tflite format: one lowering, one quantisation per recipe."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from edge.manifest import Audit, FineTuned, Manifest
from edge.recipes import TFLITE
from edge.scheme import SUFFIX, Scheme
from edge.scheme import save as save_scheme
from edge.tflite.opens_from import opens_from

from .._aim import Unreachable
from .._format import Source
from .audit import audit
from .file import Lowered, float_model
from .layers import reachable_share
from .measured import measure
from .model_metadata import with_facts
from .quantise import CHOSEN, FULL, HALF, ROUNDED, recipe_file
from .second_input import with_second_input
from .whole import Chain, chain_file
from .whole_weights import WholeWeights

EIGHT_BITS = {name for name, recipe in TFLITE.items() if recipe.activations == 8}
OTHERS = " (the rest are of operators that XNNPACK has no 8-bit kernel for)"


@dataclass(frozen=True)
class Prepared:
    """The lowered network, the same with its weights on the 8-bit grid, and the scheme of its layers."""

    remark: str
    lowered: Lowered
    rounded: bytes  # the float32 file itself until weights are rounded for a recipe
    halves: bytes | None = None  # with weights as half precision has them; None until a recipe asks for it
    scheme: Scheme | None = None  # None: no recipe asked for one
    whole: WholeWeights | None = None  # of a chain in 8 bits, where there is one
    missed: Mapping[str, str] = field(default_factory=dict)  # recipe -> why no file of it can pass its gate

    def measured(self, source: Source, recipes: Sequence[str]) -> Prepared:
        missed: dict[str, str] = {}
        try:
            source.aim(TFLITE["int8"]).check_share(reachable_share(self.lowered.content), OTHERS)
        except Unreachable as error:
            missed = dict.fromkeys(EIGHT_BITS, str(error))
        refusal = Chain(self.lowered.content).refusal(self.lowered.modules) if FULL in recipes else None
        if refusal:
            missed.setdefault(FULL, refusal)
        wanted = set(recipes) - missed.keys()
        if not (ROUNDED | HALF) & wanted:
            return replace(self, missed=missed)
        measurement = measure(
            source.checkpoint,
            self.lowered,
            data=source.data,
            kept=source.kept,
            target=source.written,
            rounding=bool(ROUNDED & wanted),
            choosing=bool(CHOSEN & wanted),
            full=FULL in wanted,
            skip_unreadable=source.skip_unreadable,
            aim=source.aim(TFLITE["int8"]),
        )
        if measurement.scheme:  # beside the files, for the report and for fine-tuning
            save_scheme(source.folder / f"{source.checkpoint.model}-int8{SUFFIX}", measurement.scheme)
        if measurement.unreachable:
            missed = dict.fromkeys(CHOSEN, measurement.unreachable) | missed
        remark = f"{self.remark}; rounding: {measurement.how}"
        return replace(
            self,
            remark=remark,
            rounded=measurement.rounded,
            halves=measurement.halves,
            scheme=measurement.scheme,
            whole=measurement.whole,
            missed=missed,
        )

    def unreachable(self, recipe: str) -> str | None:
        return self.missed.get(recipe)

    def write(self, recipe: str, target: Path, manifest: Manifest) -> None:
        layers = self.scheme.layers if self.scheme else None
        chain = None
        if self.scheme and self.whole and recipe in CHOSEN:
            floats, on_grid = self.whole.floats(self.lowered.content), self.whole.on_grid(self.lowered.content)
            chain = chain_file(floats, on_grid, self.scheme, whole=recipe == FULL)
        content = recipe_file(recipe, self.lowered.content, self.rounded, layers, halves=self.halves, chain=chain)
        target.write_bytes(with_facts(content, manifest, recipe))

    def write_with_answers(self, recipe: str, alone: Path, target: Path, manifest: Manifest) -> None:
        content = with_second_input(alone.read_bytes(), np.array(manifest.log_odds, np.float32))
        target.write_bytes(with_facts(content, manifest, recipe, answers=True))

    def shortcomings(self, recipe: str, path: Path, *, answers: int = 0) -> list[str]:
        return []  # opening it checks the tensor contract

    def audit(self, recipe: str, path: Path) -> Audit:
        return audit(path, self.lowered.places)

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
