"""The .tflite format: one lowering, one quantisation per recipe, judged on XNNPACK."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from edge.artifact import share_8bit
from edge.errors import InputError
from edge.metrics.gates import judge as judge_arrays
from edge.questions.observe import observations_of, parity_summary, shortfalls
from edge.recipes import TFLITE
from edge.runtimes.litert import LiteRT
from edge.scheme import SUFFIX, Scheme
from edge.scheme import save as save_scheme

from .._format import Judged, Source, timed_run
from .audit import audit
from .file import float_model, with_metadata
from .measured import measured
from .quantise import CHOSEN, ROUNDED, made

INSIDE = ("model", "checkpoint_sha256", "labels", "input", "preprocess", "output", "mask", "training", "intended_use")


class TFLiteFormat:
    suffix = ".tflite"

    def entry(self, recipe: str) -> dict:
        dtype = "uint8" if recipe == "int8-io" else "float32"
        return {"format": "tflite", "input": {"layout": "NHWC", "dtype": dtype}}

    def prepare(self, source: Source, recipes: list[str]) -> str:
        lowered = float_model(source.checkpoint)
        self.float32 = self.rounded = lowered.content
        self.scheme: Scheme | None = None
        passes = ", ".join(f"{name} {count}" if count else f"{name} nothing" for name, count in lowered.fired.items())
        line = f"graph rewrites: {passes}; lowered {lowered.by}"
        if ROUNDED & set(recipes):
            written = source.folder / source.path.name
            found = measured(
                source.checkpoint,
                lowered,
                data=source.data,
                kept=[] if source.measure_again else [source.path, written],
                target=written,
                choosing=bool(CHOSEN & set(recipes)),
                skip_unreadable=source.skip_unreadable,
            )
            self.rounded, self.scheme = found.rounded, found.scheme
            if self.scheme:  # beside the files, for the report and for fine-tuning
                save_scheme(source.folder / f"{source.checkpoint.model}-int8{SUFFIX}", self.scheme)
            line += f"; 8-bit: {found.how}"
        return line

    def convert(self, source: Source, recipe: str, target: Path, manifest: dict) -> None:
        content = made(recipe, self.float32, self.rounded, self.scheme.layers if self.scheme else None)
        facts = {key: manifest[key] for key in INSIDE if key in manifest} | {"recipe": recipe}
        target.write_bytes(with_metadata(content, facts))

    def judge(self, source: Source, recipe: str, path: Path, test_images: np.ndarray, *, strict: bool) -> Judged:
        runtime = LiteRT(path)
        if runtime.side != source.checkpoint.preprocess.side:
            raise InputError(f"{path.name} takes {runtime.side} pixels, the model {source.checkpoint.preprocess.side}")
        candidate, milliseconds = timed_run(runtime, source.images)
        answers = runtime.run_all(test_images)
        runtime.close()
        made_of = audit(path)
        found = judge_arrays(
            recipe,
            observations_of(source.photos, *source.reference),
            candidate.probabilities,
            masks=candidate.masks,
            mac_share_int8=share_8bit(made_of),
            untrained=bool(source.checkpoint.untrained),
        )
        binding = TFLITE[recipe].binds(source.checkpoint, strict=strict)
        parity = parity_summary(found, runtime="xnnpack", photos=source.photos, binding=binding)
        return Judged(
            recipe,
            path,
            rejected=(binding and found.verdict == "fail") or (strict and bool(made_of["warnings"])),
            verdict=found.verdict,
            parity=parity,
            milliseconds=milliseconds,
            remarks=shortfalls(found) if binding or found.verdict == "fail" else (),
            audit=made_of,
            self_test=answers,
        )
