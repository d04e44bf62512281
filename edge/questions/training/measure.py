"""What a training run left, as a report: figures of unseen patients, the worst errors, the data and its split."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
from scipy.special import softmax

from edge.data.table import PhotoSet
from edge.metrics.statistics import confusion, reliability
from edge.report.header import data_block, header
from edge.report.pictures import jpeg
from edge.report.question import QuestionReport
from edge.report.strict import plain

from .groups import Group, by_person, by_set
from .section import SCHEMA

WORST = 12  # errors that are shown


@dataclass(frozen=True)
class Judged:
    """The network's answers on photographs of unseen patients; satisfies `groups.Answered`."""

    photos: PhotoSet
    logits: npt.NDArray[np.float64]  # (N, K), calibrated

    @property
    def targets(self) -> npt.NDArray[np.int64]:
        return np.array(self.photos.targets)

    @property
    def answers(self) -> npt.NDArray[np.int64]:
        return self.logits.argmax(axis=1)

    @property
    def patients(self) -> list[str]:
        return self.photos.patients

    @property
    def probabilities(self) -> npt.NDArray[np.float64]:
        return softmax(self.logits, axis=1)


class TrainingReport(QuestionReport):
    """The section of a training run."""

    name: ClassVar[str] = "training"


def training_report(
    judged: Judged,
    squares: npt.NDArray[np.uint8],
    *,
    model: str,
    checkpoint_sha256: str,
    unseen_sha256: str,
    figures: Mapping[str, Any],
    history: Sequence[Mapping[str, Any]],
    recipe: Mapping[str, Any],
    sets: Sequence[Mapping[str, Any]],
    leaks: Mapping[str, Any],
    masks: Mapping[str, Any] | None = None,
) -> TrainingReport:
    """The report of a run that is finished.

    `squares`: uint8 (N, S, S, 3), the model's inputs of the judged photographs; `figures`: those of the run with 95 %
    intervals (`train/_summary.py`); `history`: a row an epoch; `sets`: what was learned from, held back and kept unseen
    of each set, and its digest; `leaks`: what the run's look at its own split gave; `masks`: "by_set"
    (`train/_masks.py`) and the "sha256" of the list that they are of, where masks were learned. `checkpoint_sha256` and
    `unseen_sha256` (of the list of logits) say which run the figures are of.
    """
    photos = judged.photos
    wrong, pictures = worst_errors(judged, squares)
    curve = reliability(judged.probabilities, judged.targets)
    groups = {**by_person(judged), "data set": by_set(judged)}
    report = {
        **header(SCHEMA, model=model, checkpoint_sha256=checkpoint_sha256, data=data_block(photos)),
        "unseen_sha256": unseen_sha256,
        "recipe": dict(recipe),
        "history": [dict(row) for row in history],
        "figures": dict(figures),
        "classes": [{"code": c.code, "name": c.name, "malignant": c.malignant} for c in photos.classes],
        "confusion": confusion(judged.targets, judged.answers, len(photos.classes)),
        "reliability": {"confidence": curve.confidence, "correct": curve.correct, "counts": curve.counts},
        "groups": [{"by": by, "groups": [of_group(group) for group in own]} for by, own in groups.items() if own],
        "wrong": wrong,
        "sets": [dict(own) for own in sets],
        "leaks": dict(leaks),
        **({"masks": dict(masks)} if masks else {}),
    }
    return TrainingReport(plain(report), pictures)


def of_group(group: Group) -> dict[str, Any]:
    return {
        "name": group.name,
        "photographs": group.photographs,
        "patients": group.patients,
        "few": group.few,
        "malignant": group.malignant,
        "balanced_accuracy": group.balanced_accuracy,
        "sensitivity": group.sensitivity,
        "specificity": group.specificity,
    }


def worst_errors(judged: Judged, squares: npt.NDArray[np.uint8]) -> tuple[list[dict[str, Any]], dict[str, str]]:
    """The wrong answers that were surest of themselves, and their pictures by number.

    Malignant lesions that were called benign come first: they are the errors that cost most.
    """
    photos, probabilities = judged.photos, judged.probabilities
    flags = [label.malignant for label in photos.classes]
    targets, answers = judged.targets, judged.answers
    missed = np.array([flags[t] is True and flags[a] is False for t, a in zip(targets, answers, strict=True)], bool)
    wrong = np.flatnonzero(targets != answers)
    sure = probabilities.max(axis=1)
    order = sorted(wrong.tolist(), key=lambda n: (not missed[n], -sure[n]))[:WORST]
    rows = [
        {
            "image": photos.photos[n].image_id,
            "patient": photos.photos[n].patient,
            "label": photos.codes[targets[n]],
            "answer": photos.codes[answers[n]],
            "confidence": float(sure[n]),
            "of_label": float(probabilities[n, targets[n]]),
            "missed": bool(missed[n]),
        }
        for n in order
    ]
    return rows, {str(place): jpeg(np.asarray(squares[n])) for place, n in enumerate(order)}
