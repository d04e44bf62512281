"""Measure thresholds on photographs of training patients; judge them on photographs of patients that nothing saw."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

import edge
from edge.capture import read_photo
from edge.checkpoint import Checkpoint
from edge.data.selection import Photographs, judging_set, role_sets
from edge.data.squares import load_squares
from edge.data.table import PhotoSet
from edge.decision import (
    CHECKS,
    OUTCOMES,
    RETAKE,
    UNCERTAIN,
    VERSION,
    Decision,
    Thresholds,
    decide,
    faults,
    measure,
    retake,
    thresholds_of,
)
from edge.errors import InputError
from edge.metrics.statistics import wilson
from edge.progress import busy, counting, track
from edge.questions.decision.choose import limits_of, threshold_of
from edge.questions.decision.coverage import risk_coverage
from edge.questions.decision.pictures import WORSE, corners, cuts_of_other_photographs, drawings
from edge.questions.parity.report import NOTICE, plain
from edge.runtimes.reference import Reference

SCHEMA = "dermedge/decision-report/1"
COVERAGE = 0.9
ALARM_SHARE = 0.005  # of good photographs, that one check may send back
ALARM_LIMIT = (
    0.05  # of good photographs, that the gate may send back: with nine checks of half a per cent, 4.5 % at most
)
ALL = "all together"


@dataclass(frozen=True)
class Judged:
    report: dict[str, Any]
    thumbnails: dict[str, np.ndarray]  # image id -> uint8 (S, S, 3), of the photographs that are sent back

    @property
    def failed(self) -> list[str]:
        return [part["name"] for part in self.report["sets"] if part["verdict"] == "fail"]


def choose(
    checkpoint: Checkpoint, data: Photographs, *, coverage: float, share: float, skip_unreadable: bool = False
) -> dict[str, Any]:
    """A manifest's `decision`, without the false alarms that only unseen photographs can show.

    Limits come from the photographs of patients that trained the checkpoint; the threshold from those of patients held
    back, because a network is surer of what it has learned by heart. InputError where they are not at hand.
    """
    quality_from, trained = listed(checkpoint, "trained", data, skip_unreadable)
    limits = limits_of([measure(square) for square in track(trained, "measuring", len(trained))], share)
    abstain_from, held_back = listed(checkpoint, "held_back", data, skip_unreadable)
    passing = np.array([not faults(measure(square), limits) for square in held_back])
    with busy("running the float32 model"):
        answered = held_back[passing]
        largest = Reference(checkpoint).run(answered).probabilities.max(axis=1) if len(answered) else np.empty(0)
    return {
        "version": VERSION,
        "side": checkpoint.preprocess.side,
        "quality": limits,
        "abstain_threshold": threshold_of(largest, coverage),
        "coverage": coverage,
        "measured": {
            "quality_from": described(quality_from),
            "abstain_from": described(abstain_from, passing),
            "alarm_share_per_check": share,
            "false_alarms": [],
        },
    }


def listed(
    checkpoint: Checkpoint, role: str, data: Photographs, skip_unreadable: bool
) -> tuple[list[PhotoSet], np.ndarray]:
    """The real photographs of a role, by set, and their squares together."""
    found = [part for part in role_sets(checkpoint, role, data, skip_missing=skip_unreadable) if not part.synthetic]
    if not found:
        raise InputError(
            f"found none of the photographs that the checkpoint lists as {role}; thresholds are measured on real ones: "
            "give --data (or DERMEDGE_PHOTOS) the folder that it was trained on"
        )
    loaded = [load_squares(part, checkpoint.preprocess.side, skip_unreadable=skip_unreadable) for part in found]
    return [part for part, _ in loaded], np.concatenate([squares for _, squares in loaded])


def described(sets: Sequence[PhotoSet], chosen: np.ndarray | None = None) -> dict[str, Any]:
    """Name and numbers of the photographs of these sets, or of the `chosen` ones, bool (N,)."""
    photos = [photo for part in sets for photo in part.photos]
    if chosen is not None:
        photos = [photo for photo, kept in zip(photos, chosen, strict=True) if kept]
    patients = len({(photo.domain, photo.patient) for photo in photos})
    return {"name": " + ".join(part.name for part in sets), "images": len(photos), "patients": patients}


def judge(
    checkpoint: Checkpoint,
    section: Mapping[str, Any],
    data: Photographs,
    *,
    skip_unreadable: bool = False,
    limit: float = ALARM_LIMIT,
) -> Judged:
    """Everything that the page says, on all photographs of unseen patients: false alarms, detection, abstention."""
    rule = thresholds_of(section, [label.code for label in checkpoint.labels])
    photos = judging_set(checkpoint, data, skip_missing=skip_unreadable)
    photos, squares = load_squares(photos, rule.side, skip_unreadable=skip_unreadable)
    network = Reference(checkpoint)
    steps = track(squares, "running the float32 model", len(squares))
    probabilities = np.concatenate([network.run(square[None]).probabilities for square in steps])
    found = [decide(square, p, rule) for square, p in zip(squares, probabilities, strict=True)]
    sets: dict[str, list[int]] = {}
    for place, photo in enumerate(photos.photos):
        sets.setdefault(photo.domain, []).append(place)
    parts = sets if len(sets) == 1 else {**sets, ALL: list(range(len(photos)))}
    report = {
        "schema": SCHEMA,
        "notice": NOTICE,
        "dermedge": edge.__version__,
        "model": checkpoint.model,
        "checkpoint_sha256": checkpoint.sha256,
        "photographs": photos.name,
        "synthetic": photos.synthetic,
        "decision": dict(section),
        "alarm_limit": limit,
        "sets": [of_set(name, places, photos, probabilities, found, rule, limit) for name, places in parts.items()],
        "worse": worse(sets, squares, network, rule) + beside(sets, photos, network, rule),
        "not_skin": not_skin(network, rule),
        "alarms": [alarm(photo, one) for photo, one in zip(photos.photos, found, strict=True) if one.failed],
    }
    shown = {
        name_of(photo): np.array(square)
        for photo, square, one in zip(photos.photos, squares, found, strict=True)
        if one.failed
    }
    return Judged(plain(report), shown)


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


def of_set(
    name: str,
    places: list[int],
    photos: PhotoSet,
    probabilities: np.ndarray,
    found: Sequence[Decision],
    rule: Thresholds,
    limit: float,
) -> dict[str, Any]:
    """One set: how many are sent back and why, how abstention does on the rest."""
    chosen = [photos.photos[i] for i in places]
    outcomes = Counter(found[i].outcome for i in places)
    back = wilson(outcomes[RETAKE], len(places))
    codes = list(rule.labels)
    judged = [i for i in places if not found[i].failed and photos.photos[i].label in codes]
    truth = np.array([codes.index(photos.photos[i].label) for i in judged], np.int64)
    answers = probabilities[judged]
    curve = risk_coverage(
        answers.max(axis=1) if judged else np.empty(0),
        answers.argmax(axis=1) != truth if judged else np.empty(0, bool),
        [photos.photos[i].patient for i in judged],
        rule.abstain_threshold,
    )
    return {
        "name": name,
        "images": len(places),
        "patients": len({photo.patient for photo in chosen}),
        "sent_back": back,
        "verdict": "fail" if back.low > limit else "pass" if back.high <= limit else "inconclusive",
        "outcomes": {outcome: outcomes[outcome] for outcome in OUTCOMES},
        "by_check": {check: sum(check in found[i].failed for i in places) for check in CHECKS},
        "malignant": malignant(places, photos, probabilities, found),
        "curve": curve,
    }


def malignant(
    places: list[int], photos: PhotoSet, probabilities: np.ndarray, found: Sequence[Decision]
) -> dict[str, int]:
    """What becomes of the photographs of malignant lesions."""
    is_malignant = [label.malignant for label in photos.classes]
    codes = {label.code for label in photos.classes if label.malignant}
    mine = [i for i in places if photos.photos[i].label in codes]
    kept = [i for i in mine if found[i].outcome not in (RETAKE, UNCERTAIN)]
    called = [is_malignant[int(probabilities[i].argmax())] for i in kept]
    return {
        "images": len(mine),
        "called_malignant": sum(answer is True for answer in called),
        "called_benign": sum(answer is False for answer in called),
        UNCERTAIN: sum(found[i].outcome == UNCERTAIN for i in mine),
        RETAKE: sum(found[i].outcome == RETAKE for i in mine),
        "called_benign_without_decision": sum(is_malignant[int(probabilities[i].argmax())] is False for i in mine),
    }


def worse(
    sets: Mapping[str, list[int]], squares: np.ndarray, network: Reference, rule: Thresholds
) -> list[dict[str, Any]]:
    """Every photograph, made worse in every way: what becomes of it."""
    done, total, rows = 0, len(WORSE) * sum(map(len, sets.values())), []
    with counting("making photographs worse") as advance:
        for what, spoil in WORSE.items():
            for name, places in sets.items():
                copies = [spoil(np.array(squares[i]), n) for n, i in enumerate(places)]
                rows.append({"what": what, "photographs": name} | outcomes_of(copies, network, rule))
                done += len(places)
                advance(done, total)
    return rows


def beside(
    sets: Mapping[str, list[int]], photos: PhotoSet, network: Reference, rule: Thresholds
) -> list[dict[str, Any]]:
    """The corners of every photograph instead of its middle: what becomes of skin without a spot."""
    rows = []
    for name, places in sets.items():
        cuts = []
        for i in track(places, f"corners of {name}", len(places)):
            cuts += corners(read_photo(photos.photos[i].path), rule.side)
        rows.append({"what": "a corner of the photograph", "photographs": name} | outcomes_of(cuts, network, rule))
    return rows


def not_skin(network: Reference, rule: Thresholds) -> list[dict[str, Any]]:
    """What is no skin at all: drawings, and cuts of photographs."""
    kinds = [*drawings(rule.side), *cuts_of_other_photographs(rule.side).items()]
    return [
        {"what": what} | outcomes_of(pictures, network, rule)
        for what, pictures in track(kinds, "pictures of what is no skin", len(kinds))
    ]


def outcomes_of(pictures: Iterable[np.ndarray], network: Reference, rule: Thresholds) -> dict[str, Any]:
    # the model is asked for what passes alone: most of these pictures do not
    found = [
        retake(picture, rule) or decide(picture, network.run(picture[None]).probabilities[0], rule)
        for picture in pictures
    ]
    counted = Counter(one.outcome for one in found)
    return {
        "images": len(found),
        "outcomes": {outcome: counted[outcome] for outcome in OUTCOMES},
        "sent_back": wilson(counted[RETAKE], len(found)),
        "by_check": {check: sum(check in one.failed for one in found) for check in CHECKS},
    }


def alarm(photo: Any, one: Decision) -> dict[str, Any]:
    return {
        "image": name_of(photo),
        "set": photo.domain,
        "reason": one.reason,
        "failed": list(one.failed),
        "measurements": one.measurements,
    }


def name_of(photo: Any) -> str:
    return f"{photo.domain}/{photo.image_id}"
