"""The operating point for malignancy, and what thresholds hold with some or all questions answered.

Temperature, abstain threshold and malignant threshold are those of nothing answered wherever these do, on held-back
patients with answers, what they are meant to do: within a 95 % interval. Where one of them does not, a case gets its
own. Nothing here is judged; `judged.py` does that on unseen patients.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from edge.answers import encode
from edge.checkpoint import Checkpoint
from edge.data.identity import patient_key
from edge.data.table import Photo
from edge.decision import tempered
from edge.metrics.bootstrap import multiplicities
from edge.metrics.statistics import Floats, wilson
from edge.metrics.temperature import fit_temperature
from edge.questionnaire import Answer, Question
from edge.questions.decision import choose
from edge.runtimes.reference import Reference

log = logging.getLogger("dermedge")

SENSITIVITY = 0.9  # for malignant lesions, at the operating point
SOME, ALL = "some", "all"  # of the questions
DRAWS = 200  # of patients, for the interval of a temperature
SEED = 0
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Answered:
    """What the float model says of photographs with so many questions answered."""

    case: str  # SOME or ALL
    start: int  # answers from which the case counts
    probabilities: Floats  # (N, K)
    targets: Ints  # (N,) class indices, -1 where unknown
    patients: list[str]
    places: list[int]  # of these photographs among those that were asked about


def starts_of(questions: int) -> dict[str, int]:
    """Case -> the number of answers from which it counts: some from the first, all from more than half on.

    Of a single question there is no some.
    """
    return {SOME: 1, ALL: questions // 2 + 1} if questions > 1 else {ALL: 1}


def measured_points(
    network: Reference,
    checkpoint: Checkpoint,
    photos: Sequence[Photo],
    squares: np.ndarray,
    probabilities: Floats,
    threshold: float,
    coverage: float,
) -> dict[str, Any]:
    """`malignant_threshold` and `by_answers` of a manifest's `decision`, as far as they can be measured.

    `photos` are held back and pass the gate, with `squares` uint8 (N, S, S, 3) and `probabilities` (N, K) of nothing
    answered; `threshold` lets `coverage` of them pass. What cannot be measured is said and left out.
    """
    malignant = [label.malignant for label in checkpoint.labels]
    targets = targets_of(photos, checkpoint)
    point = malignant_threshold_of(probabilities, targets, malignant)
    if point is None and True in malignant:
        log.warning(
            "no operating point for malignancy: it takes %d photographs of malignant lesions held back from training",
            choose.FEWEST_ANSWERS,
        )
    whole: dict[str, Any] = {} if point is None else {"malignant_threshold": point}
    if checkpoint.answers_weight is None:
        return whole
    cases = answered_cases(network, checkpoint, photos, squares)
    few = [f"{len(own.targets)} with {own.case}" for own in cases if len(own.targets) < choose.FEWEST_ANSWERS]
    if few:
        log.warning(
            "thresholds with answers are not measured, those of nothing answered stand for all: it takes %d "
            "held-back photographs with answers, there are %s", choose.FEWEST_ANSWERS, " and ".join(few),
        )  # fmt: skip
        return whole
    entries = [entry_of(own, threshold, point, coverage, malignant) for own in cases]
    for entry in entries:
        log.info("with %s of the questions answered: %s", entry["answered"], holding(entry))
    if all(not entry["refitted"] for entry in entries):
        return whole
    return {**whole, "by_answers": [{k: v for k, v in entry.items() if k != "refitted"} for entry in entries]}


def answered_cases(
    network: Reference, checkpoint: Checkpoint, photos: Sequence[Photo], squares: np.ndarray
) -> list[Answered]:
    """Some and all questions answered, of the photographs whose tables answer more than half of them."""
    questions = checkpoint.questions
    starts = starts_of(len(questions))
    said = [answers_to(photo, questions) for photo in photos]
    rich = [n for n, answers in enumerate(said) if len(answers) >= starts[ALL]]
    targets, rng = targets_of(photos, checkpoint), np.random.default_rng(SEED)
    cases = []
    for case, start in starts.items():
        rows = [encode(said[n] if case == ALL else a_few(said[n], starts[ALL] - 1, rng), questions) for n in rich]
        given = network.run(squares[rich], np.array(rows, np.float32)).probabilities if rich else np.empty((0, 2))
        patients = [patient_key(photos[n]) for n in rich]
        cases.append(Answered(case, start, given, targets[rich], patients, rich))
    return cases


def answers_to(photo: Photo, questions: Sequence[Question]) -> dict[str, Answer]:
    """What a photograph's table answers of these questions."""
    return {question.id: photo.answers[question.id] for question in questions if question.id in photo.answers}


def a_few(answers: dict[str, Answer], most: int, rng: np.random.Generator) -> dict[str, Answer]:
    """1 to `most` of the answers, every number alike likely."""
    kept = rng.permutation(list(answers))[: int(rng.integers(1, most + 1))].tolist()
    return {name: answers[name] for name in kept}


def targets_of(photos: Sequence[Photo], checkpoint: Checkpoint) -> Ints:
    """(N,) places among the checkpoint's classes; -1 of a class that it has not."""
    places = {label.code: place for place, label in enumerate(checkpoint.labels)}
    return np.array([places.get(photo.label, -1) for photo in photos], np.int64)


def entry_of(
    own: Answered, threshold: float, point: float | None, coverage: float, malignant: Sequence[bool | None]
) -> dict[str, Any]:
    """The thresholds of a case; `refitted` names those that are not of nothing answered."""
    known = own.targets >= 0
    temperature, refitted = 1.0, []
    if not temperature_holds(own.probabilities[known], own.targets[known], np.array(own.patients)[known].tolist()):
        temperature = round(fit_temperature(logarithms(own.probabilities[known]), own.targets[known]), 4)
        refitted.append("temperature")
    tempered_rows = np.array([tempered(row, temperature) for row in own.probabilities])
    largest = tempered_rows.max(axis=1)
    if not holds(int((largest >= threshold).sum()), len(largest), coverage):
        threshold = choose.threshold_of(largest, coverage)
        refitted.append("abstain_threshold")
    entry: dict[str, Any] = {"answered": own.case, "from": own.start, "abstain_threshold": threshold}
    if point is not None:
        scores = malignant_scores(tempered_rows, own.targets, malignant)
        if len(scores) >= choose.FEWEST_ANSWERS and not holds(int((scores >= point).sum()), len(scores), SENSITIVITY):
            point = lowered(np.quantile(scores, 1 - SENSITIVITY, method="lower"))
            refitted.append("malignant_threshold")
        entry["malignant_threshold"] = point
    return {**entry, **({"temperature": temperature} if temperature != 1.0 else {}), "refitted": refitted}


def holding(entry: dict[str, Any]) -> str:
    refitted = entry["refitted"]
    return f"own {', '.join(refitted)}" if refitted else "the thresholds of nothing answered hold"


def holds(passing: int, photographs: int, share: float) -> bool:
    """Whether a share is what so many of so many photographs may come from: inside Wilson's 95 % interval."""
    interval = wilson(passing, photographs)
    return interval.low <= share <= interval.high


def temperature_holds(probabilities: Floats, targets: Ints, patients: Sequence[str]) -> bool:
    """Whether 1 lies in the 95 % interval of the temperature that fits best, over resampled patients."""
    logits = logarithms(probabilities)
    names, group_of = np.unique(np.array(patients, dtype=object).astype(str), return_inverse=True)
    fitted = []
    for weights in multiplicities(len(names), DRAWS, SEED):
        drawn = np.repeat(np.arange(len(targets)), weights[group_of])
        fitted.append(fit_temperature(logits[drawn], targets[drawn]))
    low, high = np.quantile(fitted, [0.025, 0.975])
    return bool(low <= 1.0 <= high)


def logarithms(probabilities: Floats) -> Floats:
    return np.log(np.maximum(probabilities, 1e-9))


def malignant_threshold_of(probabilities: Floats, targets: Ints, malignant: Sequence[bool | None]) -> float | None:
    """The sum of the malignant classes' probabilities from which SENSITIVITY of the malignant lesions are found.

    Four decimals, down. None with fewer than choose.FEWEST_ANSWERS of them.
    """
    scores = malignant_scores(probabilities, targets, malignant)
    if len(scores) < choose.FEWEST_ANSWERS:
        return None
    return lowered(np.quantile(scores, 1 - SENSITIVITY, method="lower"))


def malignant_scores(probabilities: Floats, targets: Ints, malignant: Sequence[bool | None]) -> Floats:
    """Of the malignant lesions alone: the malignant classes together, (M,)."""
    flags = np.array([flag is True for flag in malignant])
    chosen = (targets >= 0) & flags[targets]
    return probabilities[chosen][:, flags].sum(axis=1)


def lowered(value: float) -> float:
    return float(np.floor(float(value) * choose.DECIMALS) / choose.DECIMALS)
