"""The .mlpackage format: what the saved package says of itself is checked, then it is run and judged."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np

from edge.artifact import share_8bit
from edge.data.selection import calibration_set
from edge.data.squares import load_squares
from edge.metrics.gates import judge as judge_arrays
from edge.questions.observe import observations_of, parity_summary, shortfalls
from edge.recipes import COREML
from edge.runtimes.coreml.classifier import INTERPRETER, CoreML
from edge.runtimes.coreml_package import describe, shortcomings
from edge.scheme import COREML_SUFFIX
from edge.scheme import save as save_scheme

from .._format import Judged, Source, timed_run
from .audit import audit
from .half_ranges import LARGEST, Seen, half_ranges, kept_float32, summary
from .half_ranges import save as save_ranges
from .int8 import Found, scheme_for
from .palette_tuning import IMAGES, Tuned, tune
from .program import compact, exported, float_program, rewritten, save, with_int8_weights, with_palette

RANGE_IMAGES = 32  # of training patients
PALETTES = {"palette8": 8, "palette6": 6, "palette4": 4}  # bits of an index


class CoreMLFormat:
    suffix = ".mlpackage"

    def entry(self, recipe: str) -> dict:
        return {"format": "mlpackage", "input": {"layout": "image", "dtype": "uint8"}}

    def prepare(self, source: Source, recipes: list[str]) -> str:
        import coremltools  # noqa: F401 - its seven seconds of import belong here, where a status line is shown

        self.graph = rewritten(source.checkpoint)
        self.program = exported(source.checkpoint, self.graph)
        self.tuned: dict[str, Tuned] = {}
        self.half, self.full = None, float_program(source.checkpoint, self.program, "fp32")
        self.int8: Found | None = None
        line = "packages are run by the interpreter of edge.runtimes.coreml, with the types that they state"
        self.ranges = self.measure_ranges(source) if set(recipes) != {"fp32"} else []
        self.float32 = kept_float32(self.ranges)
        if self.ranges:
            found = summary(self.ranges)
            line += (
                f"; float16: the largest activation is {found['largest_activation']:.4g} of {LARGEST:.0f} "
                f"({found['largest_activation_at']}), {found['kept_float32']} operations stay float32"
            )
        if "int8" in recipes:
            self.int8 = self.int8_scheme(source)
            line += f"; int8: {self.int8.how}"
        if source.fine_tune:
            self.tuned = self.tune(source, [recipe for recipe in recipes if recipe in PALETTES])
            line += "".join(f"; {recipe}, fine-tuned: {found.words}" for recipe, found in self.tuned.items())
        return line

    def tune(self, source: Source, recipes: list[str]) -> dict[str, Tuned]:
        """Networks that have learned to live with few values a tensor."""
        photos = calibration_set(source.checkpoint, source.data, limit=IMAGES, skip_missing=source.skip_unreadable)
        photos, images = load_squares(photos, source.checkpoint.preprocess.side, skip_unreadable=source.skip_unreadable)
        return {
            recipe: tune(
                self.graph, PALETTES[recipe], photos, images, epochs=source.fine_tune, doing=f"{recipe}: fine-tuning"
            )
            for recipe in recipes
        }

    def measure_ranges(self, source: Source) -> list[Seen]:
        """What float16 has to hold, on photographs of training patients; the table is written beside the packages."""
        photos = calibration_set(
            source.checkpoint, source.data, limit=RANGE_IMAGES, skip_missing=source.skip_unreadable
        )
        photos, images = load_squares(photos, source.checkpoint.preprocess.side, skip_unreadable=source.skip_unreadable)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "full.mlpackage")
            self.full.save(str(path))
            found = half_ranges(path, images)
        save_ranges(
            source.folder / f"{source.checkpoint.model}-fp16.ranges.json", found, images=len(photos), data=photos.name
        )
        return found

    def int8_scheme(self, source: Source) -> Found:
        """Which activations the int8 package has in 8 bits; written beside the packages, for the report."""
        half = float_program(source.checkpoint, self.program, "fp16", ios=17, float32=self.float32)
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
        save_scheme(source.folder / f"{source.checkpoint.model}-int8{COREML_SUFFIX}", found.scheme)
        return found

    def convert(self, source: Source, recipe: str, target: Path, manifest: dict) -> None:
        save(self.made(source, recipe), target, manifest, recipe)

    def made(self, source: Source, recipe: str):
        """The MLModel of a recipe."""
        checkpoint = source.checkpoint
        if recipe == "fp32":
            return compact(self.full)
        if recipe == "int8" and self.int8:
            layers, places = self.int8.scheme.layers, self.int8.places
            model = float_program(
                checkpoint, self.program, "fp16", ios=17, float32=self.float32, layers=layers, places=places
            )
            return compact(with_int8_weights(model), names=False)
        self.half = self.half or float_program(checkpoint, self.program, "fp16", float32=self.float32)
        if recipe == "int8-weights":
            return compact(with_int8_weights(self.half), names=False)
        if recipe in self.tuned:
            program = exported(checkpoint, self.tuned[recipe].graph)
            half = float_program(checkpoint, program, "fp16", float32=self.float32)
            return compact(with_palette(half, PALETTES[recipe]), names=False)
        if recipe in PALETTES:
            return compact(with_palette(self.half, PALETTES[recipe]), names=False)
        return compact(self.half)

    def judge(self, source: Source, recipe: str, path: Path, test_images: np.ndarray, *, strict: bool) -> Judged:
        labels = [label.code for label in source.checkpoint.labels]
        wrong = shortcomings(
            describe(path), recipe=recipe, side=source.checkpoint.preprocess.side, labels=labels,
            mask=source.reference.masks is not None,
        )  # fmt: skip
        if wrong:
            return Judged(recipe, path, rejected=True, verdict="fail", remarks=tuple(wrong))
        runtime = CoreML(path)
        candidate, milliseconds = timed_run(runtime, source.images)
        answers = runtime.run_all(test_images)
        runtime.close()
        made_of = audit(path) | ({"float16": summary(self.ranges)} if recipe != "fp32" else {})
        found = judge_arrays(
            recipe,
            observations_of(source.photos, *source.reference),
            candidate.probabilities,
            masks=candidate.masks,
            mac_share_int8=share_8bit(made_of),
            untrained=bool(source.checkpoint.untrained),
        )
        binding = COREML[recipe].binds(source.checkpoint, strict=strict)
        broken = [line for line in made_of["warnings"] if not (recipe == "fp32" and line.startswith("ane-float32"))]
        return Judged(
            recipe,
            path,
            rejected=(binding and found.verdict == "fail") or (strict and bool(broken)),
            verdict=found.verdict,
            parity=parity_summary(found, runtime=INTERPRETER, photos=source.photos, binding=binding),
            milliseconds=milliseconds,
            remarks=shortfalls(found) if binding or found.verdict == "fail" else (),
            audit=made_of,
            fine_tuned=self.tuned[recipe].facts if recipe in self.tuned else None,
            self_test=answers,
        )
