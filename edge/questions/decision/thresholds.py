"""Measure a manifest's thresholds on the photographs that a checkpoint was trained on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from edge.checkpoint import Checkpoint
from edge.data.identity import patient_key
from edge.data.selection import Photographs, role_sets
from edge.data.squares import load_squares
from edge.data.table import PhotoSet
from edge.decision import RETAKE, VERSION, faults, measure
from edge.errors import InputError
from edge.progress import Listener, busy, listening, track
from edge.questions.decision.by_answers import measured_points
from edge.questions.decision.choose import limits_of, threshold_of
from edge.runtimes.reference import Reference

COVERAGE = 0.9
ALARM_SHARE = 0.005  # of good photographs, that one check may send back
ALL = "all together"


def measure_thresholds(
    checkpoint: Checkpoint,
    photos: Photographs,
    *,
    coverage: float = COVERAGE,
    alarm_share: float = ALARM_SHARE,
    skip_unreadable: bool = False,
    on_progress: Listener | None = None,
) -> dict[str, Any]:
    """A manifest's `decision`, without the false alarms that only unseen photographs can show.

    `coverage`: share of the held-back photographs that get an answer, 0 to 1. `alarm_share`: of the training
    photographs that each check may send back, 0 to 0.5. Limits come from the photographs of patients that trained the
    checkpoint; the threshold from those of patients held back, because a network is surer of what it has learned by
    heart, and so the operating point for malignancy and what holds with answers beside the picture (`by_answers.py`).
    InputError where they are not at hand.
    """
    with listening(on_progress):
        quality_from, trained = listed(checkpoint, "trained", photos, skip_unreadable)
        limits = limits_of([measure(square) for square in track(trained, "measuring", len(trained))], alarm_share)
        abstain_from, held_back = listed(checkpoint, "held_back", photos, skip_unreadable)
        passing = np.array([not faults(measure(square), limits) for square in held_back])
        aside = [photo for part in abstain_from for photo in part.photos]
        kept = [photo for photo, good in zip(aside, passing, strict=True) if good]
        with busy("running the float32 model"):
            answered, network = held_back[passing], Reference(checkpoint)
            probabilities = network.run(answered).probabilities if len(answered) else np.empty((0, 2))
            threshold = threshold_of(probabilities.max(axis=1), coverage)
            points = measured_points(network, checkpoint, kept, answered, probabilities, threshold, coverage)
    return {
        "version": VERSION,
        "side": checkpoint.preprocess.side,
        "quality": limits,
        "abstain_threshold": threshold,
        **points,
        "coverage": coverage,
        "measured": {
            "quality_from": described(quality_from),
            "abstain_from": described(abstain_from, passing),
            "alarm_share_per_check": alarm_share,
            "false_alarms": [],
        },
    }


def listed(
    checkpoint: Checkpoint, role: str, photos: Photographs, skip_unreadable: bool
) -> tuple[list[PhotoSet], np.ndarray]:
    """The real photographs of a role, by set, and their squares together."""
    sets = [part for part in role_sets(checkpoint, role, photos, skip_missing=skip_unreadable) if not part.synthetic]
    if not sets:
        raise InputError(
            f"found none of the photographs that the checkpoint lists as {role}; thresholds are measured on real ones: "
            "give `photos` (or DERMEDGE_PHOTOS) the folder that it was trained on"
        )
    loaded = [load_squares(part, checkpoint.preprocess.side, skip_unreadable=skip_unreadable) for part in sets]
    return [part for part, _ in loaded], np.concatenate([squares for _, squares in loaded])


def described(sets: Sequence[PhotoSet], chosen: np.ndarray | None = None) -> dict[str, Any]:
    """Name and numbers of the photographs of these sets, or of the `chosen` ones, bool (N,)."""
    photos = [photo for part in sets for photo in part.photos]
    if chosen is not None:
        photos = [photo for photo, kept in zip(photos, chosen, strict=True) if kept]
    patients = len({patient_key(photo) for photo in photos})
    return {"name": " + ".join(part.name for part in sets), "images": len(photos), "patients": patients}


def with_false_alarms(section: Mapping[str, Any], report: Mapping[str, Any]) -> dict[str, Any]:
    """The section with what the gate did to good photographs that it was not measured on."""
    alarms = [
        {
            "photographs": part["name"],
            "images": part["images"],
            "sent_back": part["outcomes"][RETAKE],
            "share": round(part["sent_back"]["value"], 4),
            "low": round(part["sent_back"]["low"], 4),
            "high": round(part["sent_back"]["high"], 4),
        }
        for part in report["sets"]
        if part["name"] != ALL
    ]
    return {**section, "measured": {**section["measured"], "false_alarms": alarms}}
