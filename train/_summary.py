"""What is said of a set of answers, in numbers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.special import softmax

from edge.labels import Label
from edge.metrics.bootstrap import balanced_accuracy_interval
from edge.metrics.roc import auc_interval
from edge.metrics.statistics import Estimate, malignant_or_benign, reliability, sensitivities


def summarise(targets: np.ndarray, patients: list[str], logits: np.ndarray, classes: tuple[Label, ...]) -> dict:
    """Balanced accuracy with a patient-bootstrap interval, sensitivities and calibration, JSON-able.

    `targets` (N,) class indices, `logits` (N, K) calibrated. Malignant against benign is over the photographs of
    classes of which that is known, and absent unless both kinds are among the classes; `malignancy_unknown` names
    the others. `without_photographs` names the classes of which there is none, and is absent where there are none such:
    the balanced accuracy is that of the others.
    """
    answers = logits.argmax(1)
    probabilities = softmax(logits, axis=1)
    summary = {
        "images": len(targets),
        "patients": len(set(patients)),
        "accuracy": float((answers == targets).mean()),
        "balanced_accuracy": interval(balanced_accuracy_interval(targets, answers, patients)),
        "sensitivity": {
            label.code: {**interval(estimate), "images": int((targets == i).sum())}
            for i, (label, estimate) in enumerate(
                zip(classes, sensitivities(targets, answers, len(classes)), strict=True)
            )
        },
        "calibration_error": float(reliability(probabilities, targets).error),
    }
    malignant = [label.malignant for label in classes]
    if True in malignant and False in malignant:
        sensitivity, specificity = malignant_or_benign(targets, answers, malignant)
        summary["malignant"] = {
            "sensitivity": interval(sensitivity),
            "specificity": interval(specificity),
            "auc": interval(malignant_auc(targets, patients, probabilities, classes)),
        }
    unknown = [label.code for label in classes if label.malignant is None]
    if unknown:
        summary["malignancy_unknown"] = unknown
    absent = [label.code for i, label in enumerate(classes) if not (targets == i).any()]
    if absent:
        summary["without_photographs"] = absent
    return summary


def malignant_auc(
    targets: np.ndarray, patients: Sequence[str], probabilities: np.ndarray, classes: Sequence[Label]
) -> Estimate:
    """Area under the ROC curve of the malignant classes' summed probabilities (N, K), of photographs whose malignancy
    is known; the interval is over patients."""
    malignant = np.array([label.malignant is True for label in classes])
    known = np.array([label.malignant is not None for label in classes])[targets]
    scores = probabilities[:, malignant].sum(axis=1)
    return auc_interval(scores[known], malignant[targets][known], np.array(patients)[known].tolist())


def interval(estimate: Estimate) -> dict:
    numbers = {"value": estimate.value, "low": estimate.low, "high": estimate.high}  # 95 %
    return {name: float(value) if np.isfinite(value) else None for name, value in numbers.items()}
