"""What thresholds do on unseen patients with no, some and all questions answered."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from edge.checkpoint import Checkpoint
from edge.data.table import Photo
from edge.decision import Thresholds, counts_as_malignant, tempered
from edge.metrics.statistics import reliability, wilson
from edge.questions.decision.by_answers import Answered, answered_cases
from edge.runtimes.reference import Reference

NONE = "none"


def judge_answers(
    network: Reference, checkpoint: Checkpoint, photos: Sequence[Photo], squares: np.ndarray, rule: Thresholds
) -> list[dict[str, Any]]:
    """A row for each case, with the thresholds of nothing answered and with those that `rule` has for it.

    `photos` pass the gate, with `squares` uint8 (N, S, S, 3); those count whose tables answer more than half of the
    questions, the same in every case. No rows for a network without answers, or where there are no such photographs.
    """
    if checkpoint.answers_weight is None or not photos:
        return []
    cases = answered_cases(network, checkpoint, photos, squares)
    if not len(cases[0].targets):
        return []
    alone = replace(cases[0], case=NONE, start=0, probabilities=network.run(squares[cases[0].places]).probabilities)
    return [
        {
            "answered": own.case,
            "from": own.start,
            "images": len(own.targets),
            "patients": len(set(own.patients)),
            "of_nothing_answered": judged(own, rule.for_answers(0), checkpoint),
            "own": judged(own, rule.for_answers(own.start), checkpoint),
        }
        for own in (alone, *cases)
    ]


def judged(own: Answered, rule: Thresholds, checkpoint: Checkpoint) -> dict[str, Any]:
    """Shares with 95 % intervals; photographs of unknown class count for the share that is answered alone."""
    tempered_rows = np.array([tempered(row, rule.temperature) for row in own.probabilities])
    sure = tempered_rows.max(axis=1) >= rule.abstain_threshold
    known = own.targets >= 0
    wrong = sure & known & (tempered_rows.argmax(axis=1) != own.targets)
    flags = [label.malignant for label in checkpoint.labels]
    called = np.array([counts_as_malignant(row, rule, flags) is True for row in tempered_rows])
    truth = np.array([t >= 0 and flags[t] is True for t in own.targets])
    benign = np.array([t >= 0 and flags[t] is False for t in own.targets])
    measured = rule.malignant_threshold is not None
    return {
        "coverage": wilson(int(sure.sum()), len(sure)),
        "risk": wilson(int(wrong.sum()), int((sure & known).sum())),
        "calibration_error": float(reliability(tempered_rows[known], own.targets[known]).error)
        if known.any()
        else None,
        "sensitivity": wilson(int((called & truth).sum()), int(truth.sum())) if measured else None,
        "specificity": wilson(int((~called & benign).sum()), int(benign.sum())) if measured else None,
    }
