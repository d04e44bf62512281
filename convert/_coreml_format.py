"""The .mlpackage format. Core ML runs on macOS only, so here the saved package is checked for what it says."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from edge.runtimes.coreml_package import describe, shortcomings

from ._coreml import float_program, save, with_int8_weights
from ._format import Judged, Source


class CoreMLFormat:
    suffix = ".mlpackage"

    def entry(self, recipe: str) -> dict:
        return {"format": "mlpackage", "input": {"layout": "image", "dtype": "uint8"}}

    def prepare(self, source: Source, recipes: list[str]) -> str:
        import coremltools  # noqa: F401 - its seven seconds of import belong here, where a status line is shown

        self.half = None
        return "Core ML runs on macOS only: packages are checked for structure and metadata"

    def convert(self, source: Source, recipe: str, target: Path, manifest: dict) -> None:
        if recipe == "fp32":
            model = float_program(source.checkpoint, "fp32")
        else:
            self.half = self.half or float_program(source.checkpoint, "fp16")
            model = self.half if recipe == "fp16" else with_int8_weights(self.half)
        save(model, target, manifest, recipe)

    def judge(self, source: Source, recipe: str, path: Path, test_images: np.ndarray, *, strict: bool) -> Judged:
        labels = [label.code for label in source.checkpoint.labels]
        wrong = shortcomings(describe(path), recipe=recipe, side=source.checkpoint.preprocess.side, labels=labels)
        return Judged(recipe, path, rejected=bool(wrong), verdict="fail" if wrong else "checked", remarks=tuple(wrong))
