"""The .mlpackage format: what the saved package says of itself is checked, then it is run and judged."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from edge.parity.gates import judge as judge_arrays
from edge.parity.observe import observations_of, parity_summary, shortfalls
from edge.runtimes.coreml.classifier import INTERPRETER, CoreML
from edge.runtimes.coreml_package import describe, shortcomings
from edge.scheme import save as save_scheme

from ._coreml import exported, float_program, save, with_int8_weights, with_palette, with_short_names
from ._coreml_int8 import SUFFIX, Found, scheme_for
from ._format import Judged, Source, timed_run
from ._recipes import COREML

PALETTES = {"palette8": 8, "palette6": 6, "palette4": 4}  # bits of an index


class CoreMLFormat:
    suffix = ".mlpackage"

    def entry(self, recipe: str) -> dict:
        return {"format": "mlpackage", "input": {"layout": "image", "dtype": "uint8"}}

    def prepare(self, source: Source, recipes: list[str]) -> str:
        import coremltools  # noqa: F401 - its seven seconds of import belong here, where a status line is shown

        self.program = exported(source.checkpoint)
        self.half = None
        self.int8: Found | None = None
        line = "packages are run by the interpreter of edge.runtimes.coreml, with the types that they state"
        if "int8" in recipes:
            self.int8 = self.int8_scheme(source)
            line += f"; int8: {self.int8.how}"
        return line

    def int8_scheme(self, source: Source) -> Found:
        """Which activations the int8 package has in 8 bits; written beside the packages, for the report."""
        half = float_program(source.checkpoint, self.program, "fp16", ios=17)
        written = source.folder / source.path.name
        found = scheme_for(
            source.checkpoint,
            half,
            with_int8_weights(half),
            data=source.data,
            kept=[] if source.measure_again else [source.path, written],
            target=written,
            skip_unreadable=source.skip_unreadable,
        )
        save_scheme(source.folder / f"{source.checkpoint.model}-int8{SUFFIX}", found.scheme)
        return found

    def convert(self, source: Source, recipe: str, target: Path, manifest: dict) -> None:
        save(self.made(source, recipe), target, manifest, recipe)

    def made(self, source: Source, recipe: str):
        """The MLModel of a recipe."""
        checkpoint = source.checkpoint
        if recipe == "fp32":
            return float_program(checkpoint, self.program, "fp32")
        if recipe == "int8" and self.int8:
            layers, places = self.int8.scheme.layers, self.int8.places
            model = float_program(checkpoint, self.program, "fp16", ios=17, layers=layers, places=places)
            return with_short_names(with_int8_weights(model))
        self.half = self.half or float_program(checkpoint, self.program, "fp16")
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
            remarks=shortfalls(found) if binding or found.verdict == "fail" else (),
            probabilities=answers,
        )
