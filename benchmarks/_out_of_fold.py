"""Two cross-validations of the same photographs, compared on the patients that neither run of a fold saw."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from edge.errors import InputError
from edge.metrics.bootstrap import DRAWS, balanced_accuracy_interval, class_counts, mean_recall, multiplicities, totals
from edge.metrics.statistics import Estimate, balanced_accuracy, mcnemar


def compare_runs(first: Path, second: Path) -> dict[str, Any]:
    """Balanced accuracy out of fold of two cross-validations, and the second's minus the first's, with 95 % intervals.

    Only folds that both finished count. Patients are resampled, both models together. One run a fold: what another seed
    would give is not in the interval.
    """
    both = [k for k in folds_of(first) if k in folds_of(second)]
    if not both:
        raise InputError(f"{first} and {second} have no finished fold in common; expected fold-0/unseen.csv in both")
    answers = [answers_of(folder, both) for folder in (first, second)]
    if answers[0].keys() != answers[1].keys():
        raise InputError(f"{first} and {second} had other photographs unseen; repeat one with the other's flags")
    images = sorted(answers[0])
    patients = [answers[0][image][0] for image in images]
    labels, *guesses = (
        np.array([run[image][place] for image in images])
        for run, place in ((answers[0], 1), (answers[0], 2), (answers[1], 2))
    )
    lost, gained, p = mcnemar(guesses[0] == labels, guesses[1] == labels)
    return {
        "folds": both,
        "images": len(images),
        "patients": len(set(patients)),
        "balanced_accuracy": [asdict(balanced_accuracy_interval(labels, guess, patients)) for guess in guesses],
        "difference": asdict(difference(labels, guesses[0], guesses[1], patients)),
        "lost": lost,
        "gained": gained,
        "mcnemar_p": p,
    }


def folds_of(folder: Path) -> list[int]:
    return sorted(int(path.parent.name.removeprefix("fold-")) for path in folder.glob("fold-*/unseen.csv"))


def answers_of(folder: Path, folds: list[int]) -> dict[str, tuple[str, str, str]]:
    """Image -> patient, label and the class with the largest logit."""
    answers = {}
    for fold in folds:
        with (folder / f"fold-{fold}" / "unseen.csv").open(newline="") as file:
            for row in csv.DictReader(file):
                logits = {name.removeprefix("logit_"): float(row[name]) for name in row if name.startswith("logit_")}
                answers[row["image"]] = (row["patient"], row["label"], max(logits, key=logits.__getitem__))
    return answers


def difference(labels: np.ndarray, plain: np.ndarray, other: np.ndarray, patients: list[str]) -> Estimate:
    """Balanced accuracy of `other` minus that of `plain`, with the interval of a paired bootstrap over patients."""
    images = class_counts(labels, patients)
    weights = multiplicities(len(images), DRAWS, 0)
    before, after = (
        mean_recall(totals(weights, class_counts(labels, patients, guess == labels)), totals(weights, images))
        for guess in (plain, other)
    )
    low, high = np.quantile(after - before, [0.025, 0.975])
    value = balanced_accuracy(labels, other) - balanced_accuracy(labels, plain)
    return Estimate(value, float(low), float(high))


def words(estimate: Mapping[str, float], sign: str = "") -> str:
    """`value [low, high]`; `sign` "+" for a difference."""
    value, low, high = (format(estimate[name], f"{sign}.3f") for name in ("value", "low", "high"))
    return f"{value} [{low}, {high}]"


def sample(comparison: Mapping[str, Any]) -> str:
    """What a comparison rests on."""
    folds = ", ".join(map(str, comparison["folds"]))
    return (
        f"{comparison['images']} photographs of {comparison['patients']} patients, folds {folds}, one run each; "
        "95 % intervals over patients"
    )
