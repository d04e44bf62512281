"""The .tflite format: one lowering, one quantisation per recipe, judged on XNNPACK."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from edge.checkpoint import Checkpoint
from edge.data.selection import calibration_set
from edge.data.squares import load_squares
from edge.errors import InputError
from edge.parity.gates import judge as judge_arrays
from edge.parity.observe import observations_of, parity_summary, shortfalls
from edge.runtimes.litert import LiteRT
from edge.scheme import KINDS, SUFFIX, Scheme
from edge.scheme import beside as scheme_beside
from edge.scheme import load as load_scheme
from edge.scheme import save as save_scheme

from . import _rounding
from ._audit import audit
from ._choose import choose
from ._format import Judged, Source
from ._layers import described
from ._quantise import CHOSEN, ROUNDED, made
from ._recipes import TFLITE
from ._tflite import Lowered, float_model, graph_key, with_metadata

MEASURED_IMAGES = 192  # of training patients: two thirds give rounding and ranges, one third judges the choice
INSIDE = ("model", "checkpoint_sha256", "labels", "input", "preprocess", "output", "training", "intended_use")


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
            line += "; 8-bit: " + self.measure(source, lowered, choosing=bool(CHOSEN & set(recipes)))
        return line

    def measure(self, source: Source, lowered: Lowered, *, choosing: bool) -> str:
        """Find the rounding of weights and, if wanted, the scheme: those kept for this graph, else measured ones."""
        checkpoint, key, content = source.checkpoint, graph_key(lowered.content), lowered.content
        places = [] if source.measure_again else [source.path, source.folder / source.path.name]
        steps = first(_rounding.load(_rounding.beside(p), checkpoint_sha256=checkpoint.sha256, key=key) for p in places)
        scheme = first(kept_scheme(scheme_beside(p), checkpoint.sha256, key) for p in places)
        if steps is not None and (scheme is not None or not choosing):
            self.rounded, self.scheme = _rounding.rounded(content, steps), scheme
            self.keep(source)
            return "rounding and scheme as kept with the checkpoint"
        photos = calibration_set(checkpoint, source.data, limit=MEASURED_IMAGES, skip_missing=source.skip_unreadable)
        photos, squares = load_squares(photos, checkpoint.preprocess.side, skip_unreadable=source.skip_unreadable)
        squares = squares[np.random.default_rng(0).permutation(len(squares))]  # sets mixed in both halves
        given, judging = np.split(squares, [len(squares) * 2 // 3])
        steps = _rounding.steps_for(content, _rounding.second_moments(content, given))
        self.rounded = _rounding.rounded(content, steps)
        target = source.folder / _rounding.beside(source.path).name
        _rounding.save(target, steps, checkpoint_sha256=checkpoint.sha256, key=key)
        tuned: dict = {}
        if choosing:
            facts = {
                "model": checkpoint.model,
                "checkpoint_sha256": checkpoint.sha256,
                "graph": key,
                "data": photos.name,
            }
            tuned = fine_tuned_for(checkpoint, content)
            kinds = tuned.get("kinds")
            self.scheme = choose(content, steps, given, judging, modules=lowered.modules, facts=facts, kinds=kinds)
            save_scheme(source.folder / scheme_beside(source.path).name, self.scheme)
        self.keep(source)
        more = compared(tuned["before"], self.scheme.measured) if self.scheme and tuned else ""
        if photos.synthetic:
            return f"measured on {len(photos)} synthetic images; give --data or set DERMEDGE_PHOTOS for real ones{more}"
        return f"measured on {len(photos)} photographs of training patients ({photos.name}){more}"

    def keep(self, source: Source) -> None:
        """The scheme beside the files, for the report and for fine-tuning."""
        if self.scheme:
            save_scheme(source.folder / f"{source.checkpoint.model}-int8{SUFFIX}", self.scheme)

    def convert(self, source: Source, recipe: str, target: Path, manifest: dict) -> None:
        content = made(recipe, self.float32, self.rounded, self.scheme.layers if self.scheme else None)
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
        # of weights that nothing was learned with only the arithmetic can be judged, so the answers do not bind
        binding = strict or TFLITE[recipe].binding == "always" or bool(source.checkpoint.trained)
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


def first(found: Iterable[Any]) -> Any:
    """The first that is not None, or None."""
    return next((one for one in found if one is not None), None)


def kept_scheme(path: Path, checkpoint_sha256: str, key: str) -> Scheme | None:
    """The scheme kept at `path`, if it is there and of this checkpoint and graph."""
    if not path.is_file():
        return None
    scheme = load_scheme(path)
    return scheme if (scheme.checkpoint_sha256, scheme.graph) == (checkpoint_sha256, key) else None


def fine_tuned_for(checkpoint: Checkpoint, content: bytes) -> dict:
    """What `train.py --qat` wrote of the scheme that this checkpoint was fine-tuned for; empty if it was not.

    InputError if that scheme is of another graph: fine-tuning keeps the graph, so the checkpoint was changed since.
    """
    tuned = checkpoint.recipe.get("qat")
    if not isinstance(tuned, dict):
        return {}
    kinds, before = tuned.get("kinds"), tuned.get("before")
    tensors = {layer.tensor for layer in described(content)}
    if not isinstance(kinds, dict) or set(kinds) != tensors or not set(kinds.values()) <= set(KINDS):
        raise InputError("the checkpoint says that it was fine-tuned for a scheme of another graph; fine-tune it again")
    if not isinstance(before, dict) or not all(isinstance(before.get(k), int | float) for k in COMPARED):
        raise InputError("the checkpoint does not say what its scheme gave before fine-tuning; fine-tune it again")
    return tuned


COMPARED = ("sqnr_db", "agreement")


def compared(before: Mapping[str, float], after: Mapping[str, float]) -> str:
    """In words: whether the fine-tuned int8 file is nearer to its float model than the one before was to its own."""
    no_worse = all(after[key] >= before[key] for key in COMPARED)
    return (
        f"; fine-tuned for this scheme: median SQNR {before['sqnr_db']:.1f} -> {after['sqnr_db']:.1f} dB, same class "
        f"{before['agreement']:.1%} -> {after['agreement']:.1%}: "
        + ("no worse than without fine-tuning" if no_worse else "WORSE than without fine-tuning; keep the old file")
    )
