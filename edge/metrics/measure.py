"""Observations and a candidate's probabilities -> every number that a verdict or a page needs."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from edge.metrics import statistics as st
from edge.metrics.bootstrap import Drop, balanced_accuracy_drop, balanced_accuracy_interval
from edge.metrics.masks import Masks, measure_masks
from edge.metrics.observations import UNKNOWN, Observations
from edge.metrics.statistics import Estimate, Floats

WIDE_MARGIN = 0.2  # between the float model's first two probabilities: it is not in doubt


@dataclass(frozen=True)
class Pair:
    """The same number before (float model) and after (the file)."""

    before: Estimate
    after: Estimate


@dataclass(frozen=True)
class ClassSensitivity:
    code: str
    name: str
    malignant: bool | None
    images: int
    sensitivity: Pair


@dataclass(frozen=True)
class Labelled:
    """What can be said where the diagnosis is known."""

    images: int
    patients: int
    balanced_accuracy: Pair
    drop: Drop
    lost: int  # right before, wrong after
    gained: int  # wrong before, right after
    mcnemar_p: float
    classes: tuple[ClassSensitivity, ...]  # malignant first, otherwise in output order
    sensitivity: Pair  # malignant against benign
    specificity: Pair
    reliability_before: st.Reliability
    reliability_after: st.Reliability


@dataclass(frozen=True)
class Domain:
    name: str
    images: int
    labelled: int
    agreement: Estimate
    sqnr_db: float  # median
    largest_delta_p: float
    balanced_accuracy_before: float
    balanced_accuracy_after: float


@dataclass(frozen=True)
class Statistics:
    images: int
    agreement: Estimate
    disagreements: int
    wide_margin_images: int
    wide_margin_disagreements: int
    largest_delta_p: float
    mean_delta_p: float  # over images and classes
    largest_logit_difference: float  # in units of max(1, largest |logit| of the image)
    sqnr_db: Estimate  # median over images
    sqnr_db_p5: float
    sqnr_by_image: Floats  # (N,)
    identical_images: int  # whose read-back logits are equal
    labelled: Labelled | None
    domains: tuple[Domain, ...]
    masks: Masks | None = None  # of networks that give them


def measure(observations: Observations, candidate: Floats, *, masks: Floats | None = None, seed: int = 0) -> Statistics:
    """`candidate`: (N, K) valid probabilities of the file for the same images, in the same order; `masks` (N, S, S)."""
    reference = observations.reference
    logits, candidate_logits = st.read_back_logits(reference), st.read_back_logits(candidate)
    sqnr = st.sqnr_db(logits, candidate_logits)
    same = reference.argmax(axis=1) == candidate.argmax(axis=1)
    top_two = np.sort(reference, axis=1)[:, -2:]
    wide = top_two[:, 1] - top_two[:, 0] > WIDE_MARGIN
    delta = np.abs(candidate - reference)
    return Statistics(
        images=len(same),
        agreement=st.wilson(int(same.sum()), len(same)),
        disagreements=int((~same).sum()),
        wide_margin_images=int(wide.sum()),
        wide_margin_disagreements=int((wide & ~same).sum()),
        largest_delta_p=float(delta.max()),
        mean_delta_p=float(delta.mean()),
        largest_logit_difference=float(st.logit_difference(logits, candidate_logits).max()),
        sqnr_db=st.median_interval(sqnr),
        sqnr_db_p5=st.percentile(sqnr, 5),
        sqnr_by_image=sqnr,
        identical_images=int(np.isposinf(sqnr).sum()),
        labelled=_labelled(observations, candidate, seed),
        domains=_domains(observations, candidate, sqnr, same),
        masks=None if masks is None or observations.masks is None else measure_masks(observations.masks, masks),
    )


def _labelled(observations: Observations, candidate: Floats, seed: int) -> Labelled | None:
    known = observations.labels != UNKNOWN
    if not known.any():
        return None
    labels = observations.labels[known]
    groups = [group for group, use in zip(observations.groups, known, strict=True) if use]
    before, after = observations.reference[known], candidate[known]
    class_before, class_after = before.argmax(axis=1), after.argmax(axis=1)
    malignant = observations.malignant
    lost, gained, p = st.mcnemar(class_before == labels, class_after == labels)
    sensitivity_before, sensitivity_after = (
        st.sensitivities(labels, c, len(malignant)) for c in (class_before, class_after)
    )
    triage_before, triage_after = (st.malignant_or_benign(labels, c, malignant) for c in (class_before, class_after))
    classes = [
        ClassSensitivity(code, name, bad, int((labels == i).sum()), Pair(sensitivity_before[i], sensitivity_after[i]))
        for i, (code, name, bad) in enumerate(
            zip(observations.class_codes, observations.class_names, observations.malignant, strict=True)
        )
    ]
    return Labelled(
        images=len(labels),
        patients=len(set(groups)),
        balanced_accuracy=Pair(
            balanced_accuracy_interval(labels, class_before, groups, seed=seed),
            balanced_accuracy_interval(labels, class_after, groups, seed=seed),
        ),
        drop=balanced_accuracy_drop(labels, class_before, class_after, groups, seed=seed),
        lost=lost,
        gained=gained,
        mcnemar_p=p,
        classes=tuple(sorted(classes, key=lambda c: not c.malignant)),
        sensitivity=Pair(triage_before[0], triage_after[0]),
        specificity=Pair(triage_before[1], triage_after[1]),
        reliability_before=st.reliability(before, labels),
        reliability_after=st.reliability(after, labels),
    )


def _domains(observations: Observations, candidate: Floats, sqnr: Floats, same: np.ndarray) -> tuple[Domain, ...]:
    names = np.array(observations.domains, dtype=object)
    domains = []
    for name in sorted(set(observations.domains)):
        here = names == name
        known = here & (observations.labels != UNKNOWN)
        labels = observations.labels[known]
        domains.append(
            Domain(
                name=name,
                images=int(here.sum()),
                labelled=int(known.sum()),
                agreement=st.wilson(int(same[here].sum()), int(here.sum())),
                sqnr_db=st.median_interval(sqnr[here]).value,
                largest_delta_p=float(np.abs(candidate - observations.reference)[here].max()),
                balanced_accuracy_before=_accuracy(labels, observations.reference[known]),
                balanced_accuracy_after=_accuracy(labels, candidate[known]),
            )
        )
    return tuple(domains)


def _accuracy(labels: np.ndarray, probabilities: Floats) -> float:
    return st.balanced_accuracy(labels, probabilities.argmax(axis=1)) if len(labels) else math.nan
