"""One photograph, one answer, with any file or checkpoint."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import numpy as np

from edge.capture import read_photo
from edge.decision import CLASS, decide
from edge.errors import InputError
from edge.labels import Label
from edge.preprocess import to_input
from edge.runtimes.open import Opened, open_any


@dataclass(frozen=True)
class Outcome:
    """What is to be told of one photograph."""

    outcome: str  # "class", "uncertain" or "retake"; always "class" where no thresholds were measured
    label: Label | None  # the most probable class; None unless the outcome is "class"
    probabilities: dict[str, float]  # class code -> 0..1, whatever the outcome
    reason: str  # why, in words
    failed: tuple[str, ...]  # checks of the photograph that sent it back
    file: str  # what answered


class Model:
    """An opened file or checkpoint. A context manager; `close` frees the runtime."""

    def __init__(self, opened: Opened) -> None:
        self._opened = opened
        self.name: str = opened.name
        self.side: int = opened.side
        self.labels: tuple[Label, ...] = opened.labels
        self.untrained: bool = opened.untrained

    def predict(self, photo: str | Path | np.ndarray) -> Outcome:
        """The outcome for a photograph: a path (JPEG, PNG, WebP, HEIC) or upright sRGB pixels, uint8 (H, W, 3).

        Where thresholds were measured (`decision` of the manifest) it may be "uncertain" or "retake". Raises InputError
        for what is no photograph, and where the network's answer is not finite.
        """
        rgb = photo if isinstance(photo, np.ndarray) else read_photo(Path(photo))
        square = to_input(rgb, self.side)
        probabilities = self._opened.runtime.run(square[None]).probabilities[0]
        if not np.isfinite(probabilities).all():
            where = "these pixels" if isinstance(photo, np.ndarray) else str(photo)
            raise InputError(f"{self.name} gives no finite answer for {where}: its weights are damaged; convert again")
        by_class = {label.code: float(p) for label, p in zip(self.labels, probabilities, strict=True)}
        best = self.labels[int(probabilities.argmax())]
        if self._opened.decision is None:
            reason = f"{best.code} with {by_class[best.code]:.1%}; no thresholds were measured for this model"
            return Outcome(CLASS, best, by_class, reason, (), self.name)
        decision = decide(square, probabilities, self._opened.decision)
        label = best if decision.outcome == CLASS else None
        return Outcome(decision.outcome, label, by_class, decision.reason, tuple(decision.failed), self.name)

    def probabilities(self, squares: np.ndarray) -> np.ndarray:
        """Probabilities, float64 (N, K), of model inputs, uint8 (N, side, side, 3) RGB, in the order of `labels`."""
        return self._opened.runtime.run(squares).probabilities

    def close(self) -> None:
        """Free what the runtime holds."""
        self._opened.runtime.close()

    def __enter__(self) -> Model:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<dermedge.Model {self.name}: {self.side} px, {len(self.labels)} classes>"


def open_model(file: str | Path, *, mode: str | None = None, threads: int = 1) -> Model:
    """Open a .tflite, .mlpackage or .aimodel beside its manifest.json, a checkpoint, or a shipped model by name.

    `mode`: how a .tflite runs: "xnnpack" (default), "xnnpack-fp16" or "reference". Raises InputError where the file is
    not the one that the manifest describes, or the runtime is not installed. A .tflite needs no torch.
    """
    from edge.models import MODELS

    if isinstance(file, str) and file in MODELS:
        return Model(open_any(None, model=file, mode=mode, threads=threads))
    return Model(open_any(Path(file), mode=mode, threads=threads))
