"""Observations and a candidate's probabilities -> every number that a verdict or a page needs."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from edge.metrics import statistics as st
from edge.metrics.bootstrap import balanced_accuracy_interval
from edge.metrics.calibration import change_interval
from edge.metrics.clustered import Clusters, median_interval, share_interval
from edge.metrics.drop import Loss, paired_loss
from edge.metrics.masks import Masks, measure_masks
from edge.metrics.near import correlation_of_changes
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
    drop: Loss
    lost: int  # photographs (view 0): right before, wrong after
    gained: int  # wrong before, right after
    mcnemar_p: float
    classes: tuple[ClassSensitivity, ...]  # malignant first, otherwise in output order
    sensitivity: Pair  # malignant against benign
    specificity: Pair
    reliability_before: st.Reliability
    reliability_after: st.Reliability
    calibration_change: Estimate  # of the expected calibration error, after minus before


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
class Alone:
    """The figures of the photographs themselves (view 0), without their other views."""

    agreement: Estimate
    disagreements: int
    largest_delta_p: float
    sqnr_db: Estimate
    drop: float | None  # of balanced accuracy; None without labels


@dataclass(frozen=True)
class Statistics:
    """All intervals take the images of a patient together."""

    images: int  # photographs times views
    photographs: int
    views: int
    patients: int
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
    alone: Alone | None = None  # where there are several views


def measure(observations: Observations, candidate: Floats, *, masks: Floats | None = None, seed: int = 0) -> Statistics:
    """`candidate`: (N, K) valid probabilities of the file for the same images, in the same order; `masks` (N, S, S)."""
    reference = observations.reference
    logits, candidate_logits = st.read_back_logits(reference), st.read_back_logits(candidate)
    sqnr = st.sqnr_db(logits, candidate_logits)
    same = reference.argmax(axis=1) == candidate.argmax(axis=1)
    top_two = np.sort(reference, axis=1)[:, -2:]
    wide = top_two[:, 1] - top_two[:, 0] > WIDE_MARGIN
    delta = np.abs(candidate - reference)
    clusters = Clusters.of(observations.groups)
    correlation = correlation_of_changes(logits, candidate_logits, clusters)
    agreement = share_interval(same, clusters, prior=correlation)
    labelled = _labelled(observations, candidate, clusters, correlation, seed)
    several = observations.views > 1
    return Statistics(
        images=len(same),
        photographs=observations.photographs,
        views=observations.views,
        patients=len(clusters),
        agreement=agreement,
        disagreements=int((~same).sum()),
        wide_margin_images=int(wide.sum()),
        wide_margin_disagreements=int((wide & ~same).sum()),
        largest_delta_p=float(delta.max()),
        mean_delta_p=float(delta.mean()),
        largest_logit_difference=float(st.logit_difference(logits, candidate_logits).max()),
        sqnr_db=median_interval(sqnr, clusters),
        sqnr_db_p5=st.percentile(sqnr, 5),
        sqnr_by_image=sqnr,
        identical_images=int(np.isposinf(sqnr).sum()),
        labelled=labelled,
        domains=_domains(observations, candidate, sqnr, same, clusters, correlation),
        masks=None
        if masks is None or observations.masks is None
        else measure_masks(observations.masks, masks, clusters),
        alone=_alone(observations, candidate, sqnr, correlation) if several else None,
    )


def _alone(observations: Observations, candidate: Floats, sqnr: Floats, correlation: float) -> Alone:
    count = observations.photographs
    reference, candidate, labels = observations.reference[:count], candidate[:count], observations.labels[:count]
    clusters = Clusters.of(observations.groups[:count])
    same = reference.argmax(axis=1) == candidate.argmax(axis=1)
    known = labels != UNKNOWN
    before, after = (_accuracy(labels[known], values[known]) for values in (reference, candidate))
    return Alone(
        agreement=share_interval(same, clusters, prior=correlation),
        disagreements=int((~same).sum()),
        largest_delta_p=float(np.abs(candidate - reference).max()),
        sqnr_db=median_interval(sqnr[:count], clusters),
        drop=before - after if known.any() else None,
    )


def _labelled(
    observations: Observations, candidate: Floats, clusters: Clusters, correlation: float, seed: int
) -> Labelled | None:
    known = observations.labels != UNKNOWN
    if not known.any():
        return None
    labels = observations.labels[known]
    groups = [group for group, use in zip(observations.groups, known, strict=True) if use]
    before, after = observations.reference[known], candidate[known]
    class_before, class_after = before.argmax(axis=1), after.argmax(axis=1)
    clusters = clusters.where(known)
    malignant = observations.malignant
    plain = known[: observations.photographs].sum()  # the labels of a photograph's views are one
    lost, gained, p = st.mcnemar(class_before[:plain] == labels[:plain], class_after[:plain] == labels[:plain])
    sensitivity_before, sensitivity_after = (
        [_share(labels == c, predicted == c, clusters) for c in range(len(malignant))]
        for predicted in (class_before, class_after)
    )
    bad, good = (np.array([flag is wanted for flag in malignant], bool) for wanted in (True, False))
    triage_before, triage_after = (
        [_share(kind[labels], kind[predicted], clusters) for kind in (bad, good)]
        for predicted in (class_before, class_after)
    )
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
        drop=paired_loss(labels, class_before, class_after, clusters, prior=correlation),
        lost=lost,
        gained=gained,
        mcnemar_p=p,
        classes=tuple(sorted(classes, key=lambda c: not c.malignant)),
        sensitivity=Pair(triage_before[0], triage_after[0]),
        specificity=Pair(triage_before[1], triage_after[1]),
        reliability_before=st.reliability(before, labels),
        reliability_after=st.reliability(after, labels),
        calibration_change=change_interval(before, after, labels, groups, seed=seed),
    )


def _share(of: np.ndarray, found: np.ndarray, clusters: Clusters) -> Estimate:
    """Of some of the rows, the share that was found."""
    return share_interval(found[of], clusters.where(of))


def _domains(
    observations: Observations,
    candidate: Floats,
    sqnr: Floats,
    same: np.ndarray,
    clusters: Clusters,
    correlation: float,
) -> tuple[Domain, ...]:
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
                agreement=share_interval(same[here], clusters.where(here), prior=correlation),
                sqnr_db=st.median_interval(sqnr[here]).value,
                largest_delta_p=float(np.abs(candidate - observations.reference)[here].max()),
                balanced_accuracy_before=_accuracy(labels, observations.reference[known]),
                balanced_accuracy_after=_accuracy(labels, candidate[known]),
            )
        )
    return tuple(domains)


def _accuracy(labels: np.ndarray, probabilities: Floats) -> float:
    return st.balanced_accuracy(labels, probabilities.argmax(axis=1)) if len(labels) else math.nan
