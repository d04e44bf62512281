"""What is said of a set of answers, in numbers and in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edge.labels import Label
from edge.metrics.bootstrap import balanced_accuracy_interval
from edge.metrics.statistics import Estimate, malignant_or_benign, reliability, sensitivities

if TYPE_CHECKING:
    from rich.table import Table


def summarise(targets: np.ndarray, patients: list[str], logits: np.ndarray, classes: tuple[Label, ...]) -> dict:
    """Balanced accuracy with a patient-bootstrap interval, sensitivities and calibration, JSON-able.

    `targets` (N,) class indices, `logits` (N, K) calibrated.
    """
    answers = logits.argmax(1)
    shifted = np.exp(logits - logits.max(1, keepdims=True))
    probabilities = shifted / shifted.sum(1, keepdims=True)
    malignant = [label.malignant for label in classes]
    found = {
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
    if True in malignant and False in malignant:
        sensitivity, specificity = malignant_or_benign(targets, answers, malignant)
        found["malignant"] = {"sensitivity": interval(sensitivity), "specificity": interval(specificity)}
    return found


def interval(estimate: Estimate) -> dict:
    numbers = {"value": estimate.value, "low": estimate.low, "high": estimate.high}  # 95 %
    return {name: float(value) if np.isfinite(value) else None for name, value in numbers.items()}


def summary_table(found: dict, title: str) -> Table:
    from rich.table import Table

    table = Table(title=f"{title}: {found['images']} photographs, {found['patients']} patients")
    table.add_column("figure")
    table.add_column("value", justify="right")
    table.add_column("95 % interval", justify="right")
    table.add_row("balanced accuracy", *cells(found["balanced_accuracy"]))
    table.add_row("accuracy", f"{found['accuracy']:.3f}", "")
    table.add_row("expected calibration error", f"{found['calibration_error']:.3f}", "")
    for name, value in found.get("malignant", {}).items():
        table.add_row(f"malignant against benign: {name}", *cells(value))
    for code, value in found["sensitivity"].items():
        table.add_row(f"sensitivity {code} ({value['images']})", *cells(value))
    return table


def cells(value: dict) -> tuple[str, str]:
    if value["value"] is None:
        return "-", ""
    return f"{value['value']:.3f}", f"{value['low']:.3f} to {value['high']:.3f}"
