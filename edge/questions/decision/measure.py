"""Judge thresholds on photographs of patients that neither the model nor the limits have seen."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from edge.checkpoint import Checkpoint
from edge.data.selection import Photographs, judging_set
from edge.data.squares import load_squares
from edge.data.table import Photo, PhotoSet
from edge.decision import CHECKS, OUTCOMES, RETAKE, UNCERTAIN, Decision, Thresholds, decide, thresholds_of
from edge.errors import InputError
from edge.metrics.statistics import wilson
from edge.progress import Listener, listening, track
from edge.questions.decision import tables
from edge.questions.decision.coverage import risk_coverage
from edge.questions.decision.judged import judge_answers
from edge.questions.decision.section import MOST_ALARMS, SCHEMA
from edge.questions.decision.thresholds import ALL
from edge.questions.decision.tried import not_skin, skin_without_spot, worse_copies
from edge.report.header import data_block, header
from edge.report.pictures import jpeg
from edge.report.question import QuestionReport
from edge.report.strict import plain
from edge.runtimes.reference import Reference

if TYPE_CHECKING:
    from rich.table import Table

# of good photographs, that the gate may send back: with nine checks of half a per cent, 4.5 % at most
ALARM_LIMIT = 0.05


@dataclass(frozen=True, repr=False)
class DecisionReport(QuestionReport):
    """What becomes of good and of bad photographs, and what abstention buys."""

    name: ClassVar[str] = "decision"

    def failing(self, *, strict: bool = False) -> list[str]:
        """The sets of good photographs of which more are sent back than the limit allows, beyond doubt."""
        return [part["name"] for part in self.report["sets"] if part["verdict"] == "fail"]

    def tables(self) -> list[Table | str]:
        return [*tables.tables(self.report)]


def measure(
    checkpoint: Checkpoint,
    photos: Photographs,
    *,
    thresholds: Mapping[str, Any],
    alarm_limit: float = ALARM_LIMIT,
    skip_unreadable: bool = False,
    on_progress: Listener | None = None,
) -> DecisionReport:
    """False alarms, detection and abstention on photographs of unseen patients, by a manifest's `decision`.

    `thresholds`: that `decision`. `alarm_limit`: share of good photographs that may be sent back, 0 to 1. InputError
    if the photographs cannot be used or the thresholds are of another version.
    """
    if not 0 < alarm_limit < 1:
        raise InputError(f"`alarm_limit` is a share between 0 and 1, got {alarm_limit}")
    rule = thresholds_of(thresholds, [label.code for label in checkpoint.labels])
    with listening(on_progress):
        judged_on = judging_set(checkpoint, photos, skip_missing=skip_unreadable)
        judged_on, squares = load_squares(judged_on, rule.side, skip_unreadable=skip_unreadable)
        network = Reference(checkpoint)
        steps = track(squares, "running the float32 model", len(squares))
        probabilities = np.concatenate([network.run(square[None]).probabilities for square in steps])
        decisions = [decide(square, p, rule) for square, p in zip(squares, probabilities, strict=True)]
        sets = places_by_set(judged_on)
        worse = worse_copies(sets, squares, network, rule) + skin_without_spot(sets, judged_on, network, rule)
        without_skin = not_skin(network, rule)
        passing = [n for n, decision in enumerate(decisions) if not decision.failed]
        by_answers = judge_answers(network, checkpoint, [judged_on.photos[n] for n in passing], squares[passing], rule)
    parts = sets if len(sets) == 1 else {**sets, ALL: list(range(len(judged_on)))}
    sent_back = [
        (photo, square, decision)
        for photo, square, decision in zip(judged_on.photos, squares, decisions, strict=True)
        if decision.failed
    ]
    report = {
        **header(
            SCHEMA, model=checkpoint.model, checkpoint_sha256=checkpoint.sha256, data=data_block(judged_on, checkpoint)
        ),
        "photographs": judged_on.name,
        "synthetic": judged_on.synthetic,
        "classes": [
            {"code": label.code, "name": label.name, "malignant": label.malignant} for label in checkpoint.labels
        ],
        "decision": dict(thresholds),
        "alarm_limit": alarm_limit,
        "sets": [
            of_set(name, places, judged_on, probabilities, decisions, rule, alarm_limit)
            for name, places in parts.items()
        ],
        "worse": worse,
        "not_skin": without_skin,
        **({"by_answers": by_answers} if by_answers else {}),
        "alarms": [alarm(photo, decision) for photo, _, decision in sent_back],
    }
    pictures = {name_of(photo): jpeg(square, name=name_of(photo)) for photo, square, _ in sent_back[:MOST_ALARMS]}
    return DecisionReport(plain(report), pictures)


def places_by_set(photos: PhotoSet) -> dict[str, list[int]]:
    """Data set -> places of its photographs."""
    sets: dict[str, list[int]] = {}
    for place, photo in enumerate(photos.photos):
        sets.setdefault(photo.domain, []).append(place)
    return sets


def of_set(
    name: str,
    places: list[int],
    photos: PhotoSet,
    probabilities: np.ndarray,
    decisions: Sequence[Decision],
    rule: Thresholds,
    limit: float,
) -> dict[str, Any]:
    """One set: how many are sent back and why, how abstention does on the rest."""
    chosen = [photos.photos[i] for i in places]
    outcomes = Counter(decisions[i].outcome for i in places)
    back = wilson(outcomes[RETAKE], len(places))
    codes = list(rule.labels)
    judged = [i for i in places if not decisions[i].failed and photos.photos[i].label in codes]
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
        "by_check": {check: sum(check in decisions[i].failed for i in places) for check in CHECKS},
        "malignant": malignant(places, photos, probabilities, decisions),
        "curve": curve,
    }


def malignant(
    places: list[int], photos: PhotoSet, probabilities: np.ndarray, decisions: Sequence[Decision]
) -> dict[str, int]:
    """What becomes of the photographs of lesions that are known to be malignant."""
    flags = [label.malignant for label in photos.classes]
    codes = {label.code for label in photos.classes if label.malignant}
    mine = [i for i in places if photos.photos[i].label in codes]
    kept = [i for i in mine if decisions[i].outcome not in (RETAKE, UNCERTAIN)]
    called = [flags[int(probabilities[i].argmax())] for i in kept]
    return {
        "images": len(mine),
        "called_malignant": sum(answer is True for answer in called),
        "called_benign": sum(answer is False for answer in called),
        "called_unknown": sum(answer is None for answer in called),  # a class whose malignancy nobody knows
        UNCERTAIN: sum(decisions[i].outcome == UNCERTAIN for i in mine),
        RETAKE: sum(decisions[i].outcome == RETAKE for i in mine),
        "called_benign_without_decision": sum(flags[int(probabilities[i].argmax())] is False for i in mine),
    }


def alarm(photo: Photo, decision: Decision) -> dict[str, Any]:
    return {
        "image": name_of(photo),
        "set": photo.domain,
        "reason": decision.reason,
        "failed": list(decision.failed),
        "measurements": decision.measurements,
    }


def name_of(photo: Photo) -> str:
    return f"{photo.domain}/{photo.image_id}"
