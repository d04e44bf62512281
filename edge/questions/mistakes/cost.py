"""Answers by the right path and by a wrong one -> what the mistake costs. Arrays only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from edge.metrics import statistics as st
from edge.metrics.bootstrap import balanced_accuracy_drop
from edge.metrics.observations import UNKNOWN, Observations
from edge.questions.mistakes.answers import AnswersMistake
from edge.questions.mistakes.catalogue import Mistake


@dataclass(frozen=True)
class Answers:
    """What one model says of all photographs, by the right path and by the wrong one: (N, K) each."""

    right: np.ndarray
    wrong: np.ndarray


def compare(answers: Answers, labels: np.ndarray, groups: Sequence[str]) -> dict[str, Any]:
    """The cost of a mistake; `labels` (N,) and `groups` (the patients) as in `Observations`."""
    largest = np.abs(answers.right - answers.wrong).max(axis=1)
    before, after = answers.right.argmax(axis=1), answers.wrong.argmax(axis=1)
    known = labels != UNKNOWN
    accuracy = None
    if known.any():
        people = [group for group, use in zip(groups, known, strict=True) if use]
        drop = balanced_accuracy_drop(labels[known], before[known], after[known], people)
        accuracy = {
            "before": st.balanced_accuracy(labels[known], before[known]),
            "after": st.balanced_accuracy(labels[known], after[known]),
            "change": st.Estimate(-drop.value, -drop.high, -drop.low),  # one-sided 95 % bounds
        }
    return {
        "images": len(largest),
        "changed": int(np.count_nonzero(largest)),  # images whose answer is not the same to the last bit
        "agreement": st.wilson(int((before == after).sum()), len(largest)),
        "largest_delta_p": float(largest.max()),
        "median_delta_p": float(np.median(largest)),
        "balanced_accuracy": accuracy,
    }


def row(
    mistake: Mistake | AnswersMistake, forms: Mapping[str, Answers], counted: np.ndarray, observed: Observations
) -> dict[str, Any]:
    """One mistake with its words and, for each form, its cost on the photographs `counted`."""
    words = {key: getattr(mistake, key) for key in ("code", "name", "did", "mend", "simulated")}
    groups = [observed.groups[i] for i in counted]
    labels = observed.labels[counted]
    costs = {
        form: compare(Answers(answers.right[counted], answers.wrong[counted]), labels, groups)
        for form, answers in forms.items()
    }
    return {**words, "images": len(counted), "forms": costs}


def as_they_lie(orientations: Sequence[int], seen: Mapping[str, Mapping[str, Answers]]) -> dict[str, Answers]:
    """Every photograph with the orientation ignored that it really has; right and wrong are alike where it has none."""
    by_form = {}
    for form, answers in seen["exif-6"].items():
        wrong = [
            answers.right[i] if orientation == 1 else seen[f"exif-{orientation}"][form].wrong[i]
            for i, orientation in enumerate(orientations)
        ]
        by_form[form] = Answers(answers.right, np.array(wrong))
    return by_form


def damage(row: Mapping[str, Any]) -> tuple[float, float]:
    """For sorting, the worst first: fewest answers that stay, then the largest typical change."""
    first = next(iter(row["forms"].values()))
    return first["agreement"].value, -first["median_delta_p"]


def typical(shapes: Sequence[tuple[int, int]], seen: Mapping[str, Mapping[str, Answers]]) -> int:
    """The photograph that the page shows: of the oblong ones, if there are any, the one with the median harm."""
    harm = np.mean(
        [np.abs(a.right - a.wrong).max(axis=1) for forms in seen.values() for a in list(forms.values())[:1]], axis=0
    )
    some = [i for i, (height, width) in enumerate(shapes) if height != width] or list(range(len(shapes)))
    return sorted(some, key=lambda i: harm[i])[len(some) // 2]
