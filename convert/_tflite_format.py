"""The .tflite format: one lowering, one quantisation per recipe, judged on XNNPACK."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np

from edge.data.selection import calibration_set
from edge.data.squares import load_squares
from edge.errors import InputError
from edge.parity.gates import judge as judge_arrays
from edge.parity.observe import observations_of, parity_summary, shortfalls
from edge.runtimes.litert import LiteRT

from ._audit import audit
from ._format import Judged, Source
from ._ranges import beside, load, save
from ._recipes import TFLITE
from ._tflite import Ranges, calibrate, float_model, graph_key, quantise, with_metadata

CALIBRATION_IMAGES = 64
INSIDE = ("model", "checkpoint_sha256", "labels", "input", "preprocess", "output", "training", "intended_use")


class TFLiteFormat:
    suffix = ".tflite"
    entry = {"format": "tflite", "input": {"layout": "NHWC", "dtype": "float32"}}  # noqa: RUF012 - read only

    def prepare(self, source: Source, recipes: list[str]) -> str:
        lowered = float_model(source.checkpoint)
        self.float32 = lowered.content
        self.ranges: Ranges | None = None
        passes = ", ".join(f"{name} {count}" if count else f"{name} nothing" for name, count in lowered.fired.items())
        line = f"graph rewrites: {passes}; lowered {lowered.by}"
        if "int8" in recipes:
            self.ranges, origin = self.find_ranges(source)
            line += f"; int8 ranges {origin}"
        return line

    def find_ranges(self, source: Source) -> tuple[Ranges, str]:
        """From training photographs where they are at hand, else as stored with the checkpoint, else synthetic."""
        checkpoint, key = source.checkpoint, graph_key(self.float32)
        photos = calibration_set(checkpoint, source.data, limit=CALIBRATION_IMAGES, skip_missing=source.skip_unreadable)
        if photos.synthetic:
            stored = load(beside(source.path), checkpoint_sha256=checkpoint.sha256, key=key)
            if stored is not None:
                return stored, "stored with the checkpoint"
        photos, squares = load_squares(photos, checkpoint.preprocess.side, skip_unreadable=source.skip_unreadable)
        ranges = calibrate(self.float32, squares)
        if photos.synthetic:
            return ranges, f"from {len(photos)} synthetic images; give --data or set DERMEDGE_PHOTOS for real ones"
        target = source.folder / beside(source.path).name
        save(target, ranges, checkpoint_sha256=checkpoint.sha256, key=key, images=len(photos), data=photos.name)
        return ranges, f"from {len(photos)} photographs of training patients ({photos.name}), kept in {target.name}"

    def convert(self, source: Source, recipe: str, target: Path, manifest: dict) -> None:
        content = quantise(self.float32, recipe, ranges=self.ranges)
        facts = {key: manifest[key] for key in INSIDE} | {"recipe": recipe}
        target.write_bytes(with_metadata(content, facts))

    def judge(self, source: Source, recipe: str, path: Path, test_images: np.ndarray, *, strict: bool) -> Judged:
        runtime = LiteRT(path)
        if runtime.side != source.checkpoint.preprocess.side:
            raise InputError(f"{path.name} takes {runtime.side} pixels, the model {source.checkpoint.preprocess.side}")
        candidate, milliseconds = timed_run(runtime, source.images)
        answers = runtime.run(test_images)
        runtime.close()
        found = judge_arrays(recipe, observations_of(source.photos, source.reference), candidate)
        binding = strict or TFLITE[recipe].binding
        made_of = audit(path)
        parity = parity_summary(found, runtime="xnnpack", photos=source.photos, binding=binding)
        return Judged(
            recipe,
            path,
            rejected=(binding and found.verdict == "fail") or (strict and bool(made_of["warnings"])),
            verdict=found.verdict,
            parity=parity,
            milliseconds=milliseconds,
            remarks=shortfalls(found) if binding else (),
            audit=made_of,
            probabilities=answers,
        )


def timed_run(runtime: LiteRT, images: np.ndarray) -> tuple[np.ndarray, float]:
    """Probabilities (N, K), and the median milliseconds of one image after a warm-up. This host's, not a phone's."""
    runtime.run(images[:1])
    rows, times = [], []
    for image in images:
        begun = time.perf_counter()
        rows.append(runtime.run(image[None])[0])
        times.append(1e3 * (time.perf_counter() - begun))
    return np.array(rows), float(np.median(times))
