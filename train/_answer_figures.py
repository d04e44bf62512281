"""How good a picture, answers, blanks and both are on unseen patients, and whether thresholds hold with answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import softmax

from edge.labels import Label
from edge.metrics.bootstrap import balanced_accuracy_drop, balanced_accuracy_interval
from edge.metrics.statistics import reliability
from edge.metrics.temperature import fit_temperature

from ._summary import interval, malignant_auc

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

# What an answer can be made of; of each the logits (N, K) on unseen patients.
IMAGE, ANSWERS, BLANKS, BOTH, SOME = "image", "answers", "blanks", "both", "some"
KINDS = {
    IMAGE: "image only",
    ANSWERS: "answers only",
    BLANKS: "which questions are blank, only (a control)",
    BOTH: "image and answers",
    SOME: "image and half of the answers",
}
CASES = {"none": IMAGE, "some": SOME, "all": BOTH}  # how much was answered
COVERAGE = 0.9  # of held-back photographs, that get an answer
SENSITIVITY = 0.9  # for malignant lesions on held-back patients, at the operating point


def figures_of(
    logits: Mapping[str, Floats], targets: Ints, patients: Sequence[str], classes: Sequence[Label]
) -> dict[str, dict[str, Any]]:
    """Kind -> balanced accuracy and area under the ROC curve for malignancy, each with a patient-clustered interval.

    `logits`: kind of KINDS -> (N, K), of targets (N,). Those of `both` have beside them what they lose to `image`, with
    its one-sided 95 % bounds (negative: a gain).
    """
    figures: dict[str, dict[str, Any]] = {}
    for kind, values in logits.items():
        predicted = values.argmax(axis=1)
        figures[kind] = {
            "balanced_accuracy": interval(balanced_accuracy_interval(targets, predicted, patients)),
            "malignant_auc": interval(malignant_auc(targets, patients, softmax(values, axis=1), classes)),
        }
    if {IMAGE, BOTH} <= logits.keys():
        before, after = (logits[kind].argmax(axis=1) for kind in (IMAGE, BOTH))
        drop = balanced_accuracy_drop(targets, before, after, patients)
        figures[BOTH]["loss_to_image"] = {"value": drop.value, "low": drop.low, "high": drop.high}
    return figures


def operating_points(logits: Mapping[str, Floats], targets: Ints, classes: Sequence[Label]) -> dict[str, dict]:
    """Case -> temperature on top of the graph's, abstain threshold and malignant threshold, of held-back patients.

    `logits`: kind -> (N, K), divided by the graph's temperature already. A malignant threshold is the sum of the
    malignant classes' probabilities from which `SENSITIVITY` of the malignant lesions are found; absent without any.
    """
    malignant = np.array([label.malignant is True for label in classes])
    points: dict[str, dict] = {}
    for case, kind in CASES.items():
        probabilities = softmax(logits[kind], axis=1)
        points[case] = {
            "temperature": fit_temperature(logits[kind], targets),
            "abstain_threshold": float(np.quantile(probabilities.max(axis=1), 1 - COVERAGE, method="lower")),
        }
        if malignant[targets].any():
            scores = probabilities[:, malignant].sum(axis=1)[malignant[targets]]
            points[case]["malignant_threshold"] = float(np.quantile(scores, 1 - SENSITIVITY, method="lower"))
    return points


def judge_points(
    points: Mapping[str, Mapping[str, float]], logits: Mapping[str, Floats], targets: Ints, classes: Sequence[Label]
) -> dict[str, dict]:
    """Case -> what the points do on unseen patients: those of the case itself, and those of nothing answered.

    For each: calibration error with the graph's temperature and with that of the case, share that gets an answer, and
    sensitivity and specificity for malignancy. Photographs of classes of unknown malignancy count in neither.
    """
    malignant = np.array([label.malignant is True for label in classes])
    benign = np.array([label.malignant is False for label in classes])
    judged: dict[str, dict] = {}
    for case, kind in CASES.items():
        probabilities = softmax(logits[kind], axis=1)
        refitted = softmax(logits[kind] / points[case]["temperature"], axis=1)
        judged[case] = {
            "calibration_error": float(reliability(probabilities, targets).error),
            "calibration_error_refitted": float(reliability(refitted, targets).error),
        }
        for name, own in (("own", points[case]), ("none", points["none"])):
            judged[case][f"coverage_{name}"] = float((probabilities.max(axis=1) >= own["abstain_threshold"]).mean())
            if "malignant_threshold" in own:
                called = probabilities[:, malignant].sum(axis=1) >= own["malignant_threshold"]
                judged[case][f"sensitivity_{name}"] = share(called[malignant[targets]])
                judged[case][f"specificity_{name}"] = share(~called[benign[targets]])
    return judged


def share(chosen: npt.NDArray[np.bool_]) -> float | None:
    return float(chosen.mean()) if len(chosen) else None
