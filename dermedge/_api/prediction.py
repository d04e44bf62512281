"""One photograph, one answer, with any file or checkpoint."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

import numpy as np

from edge import checks
from edge.answers import checked, encode
from edge.capture import read_photo, rgb_of
from edge.decision import CLASS, RETAKE, Decision, counts_as_malignant, decide, tempered
from edge.errors import InputError
from edge.labels import Label
from edge.preprocess import to_input
from edge.questionnaire import Answer, Answers, Question
from edge.runtimes.open import Opened, open_any

if TYPE_CHECKING:
    from PIL import Image

    Picture = str | Path | np.ndarray | Image.Image


@dataclass(frozen=True)
class Counted:
    """An answer beside the picture, and what it added."""

    question: str  # its id
    answer: Answer
    log_odds: dict[str, float]  # class code -> what it added to the logarithm of the class's odds


@dataclass(frozen=True)
class Outcome:
    """What is to be told of one photograph."""

    outcome: str  # "class", "uncertain" or "retake"; always "class" where no thresholds were measured
    label: Label | None  # the most probable class; None unless the outcome is "class"
    probabilities: dict[str, float]  # class code -> 0..1, whatever the outcome
    reason: str  # why, in words
    failed: tuple[str, ...]  # checks of the photograph that sent it back
    file: str  # what answered
    answers: tuple[Counted, ...] = ()  # what was answered beside the picture, in the order of the questions
    # whether the malignant classes together reach the operating point; None: not measured, or "retake"
    counts_as_malignant: bool | None = None


class Model:
    """An opened file or checkpoint. A context manager; `close` frees the runtime."""

    def __init__(self, opened: Opened) -> None:
        self._opened = opened
        self._closed = False
        self.name: str = opened.name
        self.side: int = opened.side
        self.labels: tuple[Label, ...] = opened.labels
        self.untrained: bool = opened.untrained
        self.questions: tuple[Question, ...] = opened.questions

    def predict(self, photo: Picture, *, answers: Answers | None = None) -> Outcome:
        """The outcome for a photograph: a path (JPEG, PNG, WebP, HEIC, AVIF), a PIL image, or pixels.

        `answers`: what a person answered beside it, by the id of each of `questions`: true or false, the id of a
        choice, or a number; None, or not there, where it was not answered.

        Pixels are upright sRGB, uint8 (H, W, 3). A PIL image is treated as its file is: turned as its EXIF block says,
        its colours brought to sRGB. Where thresholds were measured (`decision` of the manifest) the outcome may be
        "uncertain" or "retake". Raises InputError for what is no photograph, for answers that the questions do not
        take or the file has no input for, where the network's answer is not finite, and after `close`.
        """
        self._check_open()
        answer = answer_of(self._opened, photo, checked_for(self._opened, answers))
        best, by_class, decision = answer.best, answer.probabilities, answer.decision
        if decision is None:
            reason = f"{best.code} with {by_class[best.code]:.1%}; no thresholds were measured for this model"
            return Outcome(CLASS, best, by_class, reason, (), self.name, answer.counted)
        label = best if decision.outcome == CLASS else None
        return Outcome(
            decision.outcome, label, by_class, decision.reason, tuple(decision.failed), self.name, answer.counted,
            answer.counts_as_malignant,
        )  # fmt: skip

    def probabilities(self, squares: np.ndarray, *, answers: np.ndarray | None = None) -> np.ndarray:
        """Probabilities, float64 (N, K), of model inputs, uint8 (N, side, side, 3) RGB, in the order of `labels`.

        `answers`: the second input, float32 (N, Q), a row for each square as `edge.answers.encode` fills it.
        """
        self._check_open()
        wanted = (self.side, self.side, 3)
        if not isinstance(squares, np.ndarray) or squares.dtype != np.uint8 or squares.shape[1:] != wanted:
            came = f"{squares.dtype} {squares.shape}" if isinstance(squares, np.ndarray) else checks.shown(squares)
            raise InputError(
                f"`squares` is a uint8 array (N, {self.side}, {self.side}, 3), got {came}; "
                "`dermedge.preprocess.to_input` makes one square of a photograph"
            )
        return self._opened.runtime.run(squares, answers).probabilities

    def close(self) -> None:
        """Free what the runtime holds."""
        if not self._closed:
            self._closed = True
            self._opened.runtime.close()

    def _check_open(self) -> None:
        if self._closed:
            raise InputError(f"{self.name} was closed; open it again with `dermedge.open_model`")

    def __enter__(self) -> Model:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<dermedge.Model {self.name}: {self.side} px, {len(self.labels)} classes>"


@dataclass(frozen=True)
class Told:
    """What a file says of one photograph, and what is made of it."""

    probabilities: dict[str, float]  # class code -> 0..1
    best: Label  # the most probable class
    decision: Decision | None  # None where no thresholds were measured
    counted: tuple[Counted, ...] = ()  # what was answered beside the picture
    malignant_threshold: float | None = None  # of the malignant classes together; None: not measured
    counts_as_malignant: bool | None = None  # None: there is no threshold, or the picture is sent back


def checked_for(opened: Opened, answers: Answers | None) -> dict[str, Answer]:
    """What was answered, each as its question takes it; InputError where the file takes none, or as `checked`."""
    if answers is not None and not opened.questions:
        raise InputError(
            f"{opened.name} takes a picture alone; leave `answers` out, or open the file of the same folder with "
            "`-answers-` in its name (docs/answers.md)"
        )
    return {} if answers is None else checked(answers, opened.questions, where="`answers`")


def counted_of(opened: Opened, answers: Mapping[str, Answer]) -> tuple[Counted, ...]:
    """What each answer adds to each class, in the order of the questions; no figures where the manifest has none."""
    codes = [label.code for label in opened.labels]
    counted = []
    for question in opened.questions:
        if question.id in answers:
            answer, added = answers[question.id], {}
            if opened.log_odds is not None:
                vector = encode({question.id: answer}, opened.questions).astype(np.float64)
                added = dict(zip(codes, (np.array(opened.log_odds) @ vector).tolist(), strict=True))
            counted.append(Counted(question.id, answer, added))
    return tuple(counted)


def answer_of(opened: Opened, photo: Picture, answers: Mapping[str, Answer] | None = None) -> Told:
    """What is said of a photograph, as `Model.predict` takes it; InputError for no photograph, or no finite answer.

    `answers`: as `checked_for` gives them.
    """
    square = to_input(pixels_of(photo), opened.side)
    rows = encode(answers, opened.questions)[None] if answers else None
    probabilities = opened.runtime.run(square[None], rows).probabilities[0]
    if not np.isfinite(probabilities).all():
        where = str(photo) if isinstance(photo, str | Path) else "these pixels"
        raise InputError(f"{opened.name} gives no finite answer for {where}: its weights are damaged; convert again")
    counted = counted_of(opened, answers or {})
    rule = opened.decision.for_answers(len(counted)) if opened.decision else None
    if rule:
        probabilities = tempered(probabilities, rule.temperature)
    by_class = {label.code: float(p) for label, p in zip(opened.labels, probabilities, strict=True)}
    best = opened.labels[int(probabilities.argmax())]
    if not rule:
        return Told(by_class, best, None, counted)
    decision = decide(square, probabilities, rule)
    malignant = counts_as_malignant(probabilities, rule, [label.malignant for label in opened.labels])
    sent_back = decision.outcome == RETAKE
    return Told(by_class, best, decision, counted, rule.malignant_threshold, None if sent_back else malignant)


def open_model(file: str | Path, *, mode: str | None = None, threads: int = 1) -> Model:
    """Open a .tflite, .mlpackage, .aimodel or .onnx beside its manifest.json, a checkpoint, or a shipped model by name.

    `mode`: how a .tflite runs: "xnnpack" (default), "xnnpack-fp16" or "reference". Raises InputError where the file is
    not the one that the manifest describes, or the runtime is not installed. A .tflite needs no torch.
    """
    from edge.models import MODELS

    threads = checks.whole(threads, "threads", 1)
    mode = checks.text_or_none(mode, "mode", "how a .tflite runs")
    if isinstance(file, str) and file in MODELS:
        return Model(open_any(None, model=file, mode=mode, threads=threads))
    file = checks.path(file, "file", "a .tflite, .mlpackage, .aimodel or .onnx, or a checkpoint")
    return Model(open_any(file, mode=mode, threads=threads))


def pixels_of(photo: object) -> np.ndarray:
    """Upright sRGB, uint8 (H, W, 3), of whatever `predict` takes; InputError for anything else."""
    from PIL import Image

    if isinstance(photo, np.ndarray):
        return photo
    if isinstance(photo, Image.Image):
        return rgb_of(photo)
    if isinstance(photo, str | Path):
        return read_photo(checks.path(photo, "photo", "a photograph"))
    raise InputError(
        "`photo` is a path, a PIL image or upright sRGB pixels as a uint8 NumPy array (height, width, 3), got "
        f"{checks.shown(photo)}; `dermedge.capture.read_photo` reads the bytes of a file, and `.numpy()` makes an "
        "array of a tensor, which has to be of 0..255 with its channels last"
    )
