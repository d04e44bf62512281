"""The .onnx format: one lowering, one change of the weights per recipe, every file run by ONNX Runtime."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edge.manifest import Audit, FineTuned, Manifest
from edge.recipes import ONNX
from edge.runtimes.onnx import OnnxRuntime, check_installed

from .._format import Source
from .half import with_half_weights
from .program import Lowered, float_model, save
from .second_input import with_second_input


@dataclass(frozen=True)
class Prepared:
    """The lowered network."""

    remark: str
    lowered: Lowered
    labels: tuple[str, ...]
    side: int

    def measured(self, source: Source, recipes: Sequence[str]) -> Prepared:
        return self

    def unreachable(self, recipe: str) -> str | None:
        return None

    def model(self, recipe: str) -> Any:
        from onnx import ModelProto

        if recipe == "fp16":
            return with_half_weights(self.lowered.content)
        return ModelProto.FromString(self.lowered.content)

    def write(self, recipe: str, target: Path, manifest: Manifest) -> None:
        save(self.model(recipe), target, manifest, recipe)

    def write_with_answers(self, recipe: str, alone: Path, target: Path, manifest: Manifest) -> None:
        model = with_second_input(alone.read_bytes(), np.array(manifest.log_odds, np.float32))
        save(model, target, manifest, recipe, answers=True)

    def shortcomings(self, recipe: str, path: Path, *, answers: int = 0) -> list[str]:
        runtime = OnnxRuntime(path)
        try:
            return runtime.shortcomings(recipe=recipe, side=self.side, labels=self.labels, answers=answers)
        finally:
            runtime.close()

    def audit(self, recipe: str, path: Path) -> Audit | None:
        return None

    def opens_from(self, recipe: str, path: Path) -> str:
        return ONNX[recipe].opens_from

    def fine_tuned(self, recipe: str) -> FineTuned | None:
        return None


class ONNXFormat:
    name, suffix, recipes = "onnx", ".onnx", ONNX

    def lower(self, source: Source) -> Prepared:
        check_installed(converting=True)
        lowered = float_model(source.checkpoint)
        passes = ", ".join(f"{name} {count}" for name, count in lowered.fired.items() if count)
        codes = tuple(label.code for label in source.checkpoint.labels)
        remark = f"graph rewrites: {passes or 'none'}; lowered operator by operator"
        return Prepared(remark, lowered, codes, source.checkpoint.preprocess.side)
