"""Answers under every condition -> numbers: what bad photographs cost, and whether quantisation costs more on them.

NumPy only. Shapes: N photographs, C conditions (the clean one first), K classes. Means over bad photographs give every
condition the same weight. Intervals are 95 %, two-sided, by resampling patients; a patient is resampled with all
conditions and all files, so that differences are paired.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from edge.metrics.bootstrap import class_counts, mean_recall, multiplicities, totals
from edge.metrics.observations import UNKNOWN
from edge.metrics.statistics import Estimate, Floats, Ints, balanced_accuracy, reliability
from edge.questions.robustness.corruptions import Condition

DRAWS = 4000
FEW = 20  # photographs; of fewer, resampling says nothing about how far probabilities move
UNBOUNDED = "+0.00 points (no answer changed between right and wrong, so there is no interval)"
FLOAT = "float32"


@dataclass(frozen=True)
class Extra:
    """A cost of quantisation on good and on bad photographs; `extra` is bad minus good."""

    good: float
    bad: Estimate
    extra: Estimate

    @property
    def verdict(self) -> str:
        return "more" if self.extra.low > 0 else "less" if self.extra.high < 0 else "cannot tell"


def figures(
    answers: Mapping[str, Floats], labels: Ints, patients: Sequence[str], conditions: Sequence[Condition], seed: int = 0
) -> dict[str, Any]:
    """`answers`: name -> probabilities (N, C, K), FLOAT among them; `labels`: (N,), UNKNOWN where nobody knows."""
    known = labels != UNKNOWN
    those = [patient for patient, use in zip(patients, known, strict=True) if use]
    accuracy = {
        name: accuracy_draws(values[known].argmax(axis=2), labels[known], those, seed)
        for name, values in answers.items()
    }
    weights = multiplicities(len(set(patients)), DRAWS, seed)
    model = answers[FLOAT]
    files = []
    for name, probabilities in answers.items():
        changed = (probabilities.argmax(axis=2) != model.argmax(axis=2)).astype(np.float64)
        moved = np.abs(probabilities - model).max(axis=2)
        value, draws = accuracy[name]
        file: dict[str, Any] = {
            "name": name,
            "conditions": [
                {
                    "corruption": condition[0],
                    "severity": condition[1],
                    "balanced_accuracy": value[c],
                    "balanced_accuracy_low": quantile(draws[:, c], 0.025),
                    "balanced_accuracy_high": quantile(draws[:, c], 0.975),
                    "same_as_clean": float(
                        (probabilities[:, c].argmax(axis=1) == probabilities[:, 0].argmax(axis=1)).mean()
                    ),
                    "same_as_float": 1 - float(changed[:, c].mean()),
                    "mean_largest_delta_p": float(moved[:, c].mean()),
                    "calibration_error": reliability(probabilities[known][:, c], labels[known]).error
                    if known.any()
                    else float("nan"),
                }
                for c, condition in enumerate(conditions)
            ],
            "balanced_accuracy_clean": estimate(value[0], draws[:, 0]),
            "balanced_accuracy_bad": estimate(value[1:].mean(), draws[:, 1:].mean(axis=1)),
        }
        for key in ("same_as_clean", "same_as_float", "calibration_error"):
            file[f"{key}_bad"] = float(np.mean([c[key] for c in file["conditions"][1:]]))
        file["calibration_error_clean"] = file["conditions"][0]["calibration_error"]
        if name != FLOAT:
            lost, lost_draws = accuracy[FLOAT][0] - value, accuracy[FLOAT][1] - draws
            file["class_changes"] = extra_by_image(changed, patients, weights, unseen=True, seed=seed)
            file["delta_p"] = extra_by_image(moved, patients, weights, unseen=False, seed=seed)
            file["accuracy_lost"] = Extra(
                float(lost[0]),
                estimate(lost[1:].mean(), lost_draws[:, 1:].mean(axis=1)),
                estimate(lost[1:].mean() - lost[0], lost_draws[:, 1:].mean(axis=1) - lost_draws[:, 0]),
            )
            file["sentence"], file["detail"] = sentence(file, len(labels)), detail(file, len(labels))
        files.append(file)
    return {"photographs": len(labels), "labelled": int(known.sum()), "patients": len(set(patients)), "files": files}


def accuracy_draws(classes: Ints, labels: Ints, patients: Sequence[str], seed: int) -> tuple[Floats, Floats]:
    """Balanced accuracy by condition, (C,), and resampled, (draws, C), of predicted classes (N, C)."""
    if len(labels) == 0:
        return np.full(classes.shape[1], np.nan), np.full((DRAWS, classes.shape[1]), np.nan)
    images = class_counts(labels, patients)
    weights = multiplicities(len(images), DRAWS, seed)
    total = totals(weights, images)
    columns = [mean_recall(totals(weights, class_counts(labels, patients, c == labels)), total) for c in classes.T]
    return np.array([balanced_accuracy(labels, c) for c in classes.T]), np.stack(columns, axis=1)


def extra_by_image(values: Floats, patients: Sequence[str], weights: np.ndarray, *, unseen: bool, seed: int) -> Extra:
    """`values`: (N, C), what quantisation did to each picture; a mean over images.

    Resampling cannot see a change that did not happen in the sample: no change among 60 clean photographs would pass
    for a proof that there is none. With `unseen`, each draw holds one more patient whose class changed on the clean
    picture only (for the lower bound) or on the bad ones only (for the upper), as `balanced_accuracy_drop` does.
    """
    _, group = np.unique(np.asarray(patients, dtype=object).astype(str), return_inverse=True)
    count = np.bincount(group).astype(np.float64)
    clean, bad = values[:, 0], values[:, 1:].mean(axis=1)
    size = weights @ count
    clean_draws, bad_draws = (weights @ np.bincount(group, v) / size for v in (clean, bad))
    effective = count.sum() ** 2 / np.square(count).sum()  # Kish 1965
    more = np.random.default_rng([seed, 1]).poisson(1.0, len(weights)) / effective if unseen else np.zeros(len(weights))
    value, draws = float(bad.mean() - clean.mean()), bad_draws - clean_draws
    between = Estimate(value, quantile(draws - more, 0.025), quantile(draws + more, 0.975))
    return Extra(float(clean.mean()), estimate(bad.mean(), bad_draws), between)


def estimate(value: float, draws: Floats) -> Estimate:
    return Estimate(float(value), quantile(draws, 0.025), quantile(draws, 0.975))


def quantile(draws: Floats, share: float) -> float:
    return float(np.quantile(draws, share))


def sentence(file: Mapping[str, Any], photographs: int) -> str:
    """Whether quantisation costs more on bad photographs, by the classes that it changes."""
    changes = file["class_changes"]
    judged = {
        "more": "Quantisation costs more on bad photographs than on good ones",
        "less": "Quantisation costs less on bad photographs than on good ones",
        "cannot tell": f"{photographs} photographs are too few to tell whether quantisation costs more on bad ones",
    }[changes.verdict]
    return (
        f"{judged}: {file['name']} gives another class than float on {100 * changes.good:.1f} % of the good and "
        f"{100 * changes.bad.value:.1f} % of the bad ones, difference {points(changes.extra)}."
    )


def detail(file: Mapping[str, Any], photographs: int) -> str:
    """What else is known of it: probabilities, which say more than classes do, and accuracy."""
    lost, moved = file["accuracy_lost"], file["delta_p"]
    wording = {"more": "more on bad ones", "less": "less on bad ones", "cannot tell": "no clear difference"}
    verdict = moved.verdict if photographs >= FEW else "cannot tell"
    text = f"Mean largest |Δp|: {moved.good:.4f} on good and {moved.bad.value:.4f} on bad ones ({wording[verdict]})."
    if np.isfinite(lost.good):
        text += (
            f" Lost balanced accuracy: {100 * lost.good:+.2f} points on good, {100 * lost.bad.value:+.2f} on "
            f"bad ones, difference {points(lost.extra) if lost.extra.low < lost.extra.high else UNBOUNDED}."
        )
    return text


def points(value: Estimate) -> str:
    return f"{100 * value.value:+.2f} points [{100 * value.low:+.2f}, {100 * value.high:+.2f}]"
