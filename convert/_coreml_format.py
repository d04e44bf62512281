"""The .mlpackage format: what the saved package says of itself is checked, then it is run and judged."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from edge.parity.gates import judge as judge_arrays
from edge.parity.observe import observations_of, parity_summary, shortfalls
from edge.runtimes.coreml.classifier import INTERPRETER, CoreML
from edge.runtimes.coreml_package import describe, shortcomings

from ._coreml import float_program, save, with_int8_weights, with_palette, with_short_names
from ._format import Judged, Source, timed_run
from ._recipes import COREML

PALETTES = {"palette8": 8, "palette6": 6, "palette4": 4}  # bits of an index


class CoreMLFormat:
    suffix = ".mlpackage"

    def entry(self, recipe: str) -> dict:
        return {"format": "mlpackage", "input": {"layout": "image", "dtype": "uint8"}}

    def prepare(self, source: Source, recipes: list[str]) -> str:
        import coremltools  # noqa: F401 - its seven seconds of import belong here, where a status line is shown

        self.half = None
        return "packages are run by the interpreter of edge.runtimes.coreml, with the types that they state"

    def convert(self, source: Source, recipe: str, target: Path, manifest: dict) -> None:
        if recipe == "fp32":
            model = float_program(source.checkpoint, "fp32")
        else:
            self.half = self.half or float_program(source.checkpoint, "fp16")
            model = self.compressed(recipe)
        save(model, target, manifest, recipe)

    def compressed(self, recipe: str):
        """The fp16 program with its weights as the recipe stores them."""
        if recipe == "int8-weights":
            return with_short_names(with_int8_weights(self.half))
        return with_short_names(with_palette(self.half, PALETTES[recipe])) if recipe in PALETTES else self.half

    def judge(self, source: Source, recipe: str, path: Path, test_images: np.ndarray, *, strict: bool) -> Judged:
        labels = [label.code for label in source.checkpoint.labels]
        wrong = shortcomings(describe(path), recipe=recipe, side=source.checkpoint.preprocess.side, labels=labels)
        if wrong:
            return Judged(recipe, path, rejected=True, verdict="fail", remarks=tuple(wrong))
        runtime = CoreML(path)
        candidate, milliseconds = timed_run(runtime, source.images)
        answers = runtime.run(test_images)
        runtime.close()
        found = judge_arrays(recipe, observations_of(source.photos, source.reference), candidate)
        binding = COREML[recipe].binds(source.checkpoint, strict=strict)
        return Judged(
            recipe,
            path,
            rejected=binding and found.verdict == "fail",
            verdict=found.verdict,
            parity=parity_summary(found, runtime=INTERPRETER, photos=source.photos, binding=binding),
            milliseconds=milliseconds,
            remarks=shortfalls(found) if binding else (),
            probabilities=answers,
        )
