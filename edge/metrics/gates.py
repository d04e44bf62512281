"""Numbers -> verdicts: what each recipe must keep of its float model, and whether it did.

A check passes when its whole interval keeps the limit, fails when the whole interval lies beyond it, and is
inconclusive in between: then too few patients were seen, and it says how many it would take.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from edge.errors import InputError
from edge.metrics.drop import Loss
from edge.metrics.masks import Masks, mask_problem
from edge.metrics.measure import WIDE_MARGIN, Statistics, measure
from edge.metrics.observations import Observations, problem
from edge.metrics.patients_needed import patients_needed
from edge.metrics.statistics import Estimate
from edge.recipes import TABLE, Gate

__all__ = ["GATES", "Check", "FileParity", "Gate", "Observations", "Verdict", "judge", "overall"]


class Verdict(StrEnum):
    PASS = "pass"
    FAIL = "fail"
    INCONCLUSIVE = "inconclusive"
    NOT_JUDGED = "not judged"  # of a check: what it needs is not there
    REPORTED = "reported"  # of a recipe without limits


class Unit(StrEnum):
    DECIBEL = "dB"
    SHARE = "share"  # 0..1, shown in per cent
    POINTS = "points"  # a difference of shares, shown in percentage points
    IMAGES = "images"
    LOGIT = "logit"  # in units of max(1, largest |logit| of the image)
    NONE = ""


# recipe name -> gate. A recipe has the same gate in every format; tests hold it.
GATES: dict[str, Gate] = {recipe.name: recipe.gate for recipe in TABLE}
UNTRAINED: dict[str, Gate] = {recipe.name: recipe.gate_for(untrained=True) for recipe in TABLE}


@dataclass(frozen=True)
class Check:
    name: str
    verdict: Verdict
    unit: Unit = Unit.NONE
    value: float | None = None
    low: float | None = None  # of the interval, where there is one
    high: float | None = None
    limit: float | None = None
    sense: str = ""  # "at least" or "at most": which side of the limit is good
    patients_needed: int | None = None  # of an inconclusive check
    note: str = ""


@dataclass(frozen=True)
class FileParity:
    """One file on one runtime against its float model."""

    recipe: str
    images: int
    statistics: Statistics | None  # None: the answers were no probabilities
    checks: tuple[Check, ...]
    verdict: Verdict


def judge(
    recipe: str,
    observations: Observations,
    candidate: np.ndarray,
    *,
    masks: np.ndarray | None = None,
    mac_share_int8: float | None = None,
    untrained: bool = False,
    seed: int = 0,
) -> FileParity:
    """Compare a file's probabilities (N, K) with the float model's by the gate of its recipe.

    `masks`: the file's (N, S, S), where the float model gives some. `mac_share_int8`: share of the conv and linear
    MACs that run on 8-bit activations, 0..1, where it was counted. `untrained`: the weights are random, so that no
    class means anything: the gate is then that of `UNTRAINED`, the distance of the logits alone. An answer that is no
    probability (NaN, infinite, wrong shape) is a failed check, whatever the recipe.
    """
    if recipe not in GATES:
        raise InputError(f"no parity gate for recipe {recipe!r}; known: {', '.join(GATES)}")
    gate = (UNTRAINED if untrained else GATES)[recipe]
    images, classes = observations.reference.shape
    wrong = _unusable(candidate, images, classes, observations.image_ids)
    if not wrong and observations.masks is not None:
        wrong = mask_problem(masks, observations.masks.shape)
    valid = Check("Answers are probabilities", Verdict.FAIL if wrong else Verdict.PASS, note=wrong or "")
    if wrong:
        return FileParity(recipe, images, None, (valid, *_mac_check(gate, mac_share_int8)), Verdict.FAIL)
    statistics = measure(observations, np.asarray(candidate, np.float64), masks=masks, seed=seed)
    checks = (valid, *_checks(gate, statistics), *_mac_check(gate, mac_share_int8))
    verdict = Verdict.REPORTED if gate == Gate() else overall(check.verdict for check in checks)
    return FileParity(recipe, images, statistics, checks, verdict)


def overall(verdicts: Iterable[Verdict]) -> Verdict:
    """The worst of several: fail, then inconclusive, then pass; reported if nothing was judged."""
    distinct = set(verdicts)
    return next((v for v in (Verdict.FAIL, Verdict.INCONCLUSIVE, Verdict.PASS) if v in distinct), Verdict.REPORTED)


def _unusable(candidate: object, images: int, classes: int, image_ids: tuple[str, ...]) -> str | None:
    try:
        values = np.asarray(candidate, np.float64)
    except (TypeError, ValueError) as error:
        return f"not an array of numbers ({error})"
    return problem(values, images, classes, image_ids)


def _checks(gate: Gate, statistics: Statistics) -> list[Check]:
    checks = []
    if gate.logit_difference is not None:
        checks.append(_logit_difference(statistics, gate.logit_difference))
    if gate.median_sqnr_db is not None:
        checks.append(_median_sqnr(statistics, gate.median_sqnr_db))
    if gate.agreement is not None:
        checks.append(_agreement(statistics, gate.agreement))
    if gate.wide_margin_disagreements is not None:
        checks.append(_wide_margin(statistics, gate.wide_margin_disagreements))
    if gate.balanced_accuracy_drop is not None:
        checks.append(_drop(statistics, gate.balanced_accuracy_drop))
    if gate.mask_dice is not None and statistics.masks is not None:
        checks.append(_mask_dice(statistics.masks, statistics.patients, gate.mask_dice))
    return checks


def _logit_difference(statistics: Statistics, limit: float) -> Check:
    value = statistics.largest_logit_difference
    verdict = Verdict.PASS if value <= limit else Verdict.FAIL
    note = "in units of the image's largest |logit|, where that is above 1"
    return Check("Largest |Δ logit|", verdict, Unit.LOGIT, value, limit=limit, sense="at most", note=note)


def _median_sqnr(statistics: Statistics, limit: float) -> Check:
    name, interval = "Median SQNR of the logits", statistics.sqnr_db
    verdict = _side(good=interval.low >= limit, bad=interval.high < limit)
    needed = _needed(verdict, statistics.patients, interval, limit, proportion=False)
    bounds = (interval.value, interval.low, interval.high)
    return Check(name, verdict, Unit.DECIBEL, *bounds, limit, "at least", needed)


def _agreement(statistics: Statistics, limit: float) -> Check:
    interval = statistics.agreement
    verdict = _side(good=interval.low >= limit, bad=interval.high < limit)
    needed = _needed(verdict, statistics.patients, interval, limit, proportion=True)
    bounds = (interval.value, interval.low, interval.high)
    note = f"top-1 flips: {statistics.disagreements} of {statistics.images} images"
    return Check("Top-1 agreement", verdict, Unit.SHARE, *bounds, limit, "at least", needed, note)


def _wide_margin(statistics: Statistics, limit: int) -> Check:
    name = f"Top-1 flips with float margin > {WIDE_MARGIN}"
    if statistics.wide_margin_images == 0:
        note = "the float model has such a margin on no image"
        return Check(name, Verdict.INCONCLUSIVE, Unit.IMAGES, limit=limit, sense="at most", note=note)
    value = statistics.wide_margin_disagreements
    verdict = Verdict.PASS if value <= limit else Verdict.FAIL
    note = f"of {statistics.wide_margin_images} images with such a margin"
    return Check(name, verdict, Unit.IMAGES, value, limit=limit, sense="at most", note=note)


def _drop(statistics: Statistics, limit: float) -> Check:
    name, labelled = "Drop of balanced accuracy", statistics.labelled
    if labelled is None:
        return Check(name, Verdict.NOT_JUDGED, Unit.POINTS, limit=limit, sense="at most", note="no labels")
    drop = labelled.drop
    verdict = _side(good=drop.high <= limit, bad=drop.low > limit)
    needed = _needed(verdict, labelled.patients, drop, limit, proportion=True)
    bounds = (drop.value, drop.low, drop.high)
    note = f"one-sided 95 % bounds from {labelled.images} labelled images of {labelled.patients} patients"
    return Check(name, verdict, Unit.POINTS, *bounds, limit, "at most", needed, note)


def _mask_dice(masks: Masks, patients: int, limit: float) -> Check:
    name, interval = "Median Dice of the masks", masks.dice
    if not len(masks.dice_by_image):
        note = f"all {masks.images} masks are empty, and so are the float model's"
        return Check(name, Verdict.NOT_JUDGED, Unit.SHARE, limit=limit, sense="at least", note=note)
    verdict = _side(good=interval.low >= limit, bad=interval.high < limit)
    needed = _needed(verdict, patients, interval, limit, proportion=False)
    bounds = (interval.value, interval.low, interval.high)
    note = f"one of the two masks is empty on {masks.one_empty} of {masks.images} images" if masks.one_empty else ""
    return Check(name, verdict, Unit.SHARE, *bounds, limit, "at least", needed, note)


def _mac_check(gate: Gate, share: float | None) -> tuple[Check, ...]:
    if share is None or gate.mac_share_int8 is None:
        return ()
    verdict = Verdict.PASS if share >= gate.mac_share_int8 else Verdict.FAIL
    name = "MACs on 8-bit activations"
    return (Check(name, verdict, Unit.SHARE, share, limit=gate.mac_share_int8, sense="at least"),)


def _side(*, good: bool, bad: bool) -> Verdict:
    return Verdict.PASS if good else Verdict.FAIL if bad else Verdict.INCONCLUSIVE


def _needed(
    verdict: Verdict, patients: int, interval: Estimate | Loss, limit: float, *, proportion: bool
) -> int | None:
    """Of an inconclusive check."""
    if verdict is not Verdict.INCONCLUSIVE:
        return None
    return patients_needed(patients, interval.value, interval.low, interval.high, limit, proportion=proportion)
