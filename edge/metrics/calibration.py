"""How much the calibration error changes, with an interval that takes the images of a patient together."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from edge.metrics.bootstrap import DRAWS, multiplicities, totals
from edge.metrics.statistics import BINS, Estimate, Floats, Ints, bin_of


def change_interval(
    before: Floats, after: Floats, labels: Ints, groups: Sequence[str], *, draws: int = DRAWS, seed: int = 0
) -> Estimate:
    """Expected calibration error of `after` minus that of `before`, and its two-sided 95 % interval.

    `before`, `after`: probabilities (N, K) of the same images. Patients (`groups`, N ids) are resampled, both errors
    from the same draw, so that what noise adds to either cancels. Unlike a changed class, a changed probability is no
    rare event: resampling sees it. A single patient says nothing of the spread: -inf to inf. NaN without images.
    """
    if not len(labels):
        return Estimate(math.nan, math.nan, math.nan)
    _, group_of = np.unique(np.asarray(groups, dtype=object).astype(str), return_inverse=True)
    patients = int(group_of.max()) + 1
    gaps_before, gaps_after = (gaps_by_patient(values, labels, group_of, patients) for values in (before, after))
    value = (np.abs(gaps_after.sum(axis=0)).sum() - np.abs(gaps_before.sum(axis=0)).sum()) / len(labels)
    if patients == 1:
        return Estimate(float(value), -math.inf, math.inf)
    weights = multiplicities(patients, draws, seed)
    images = totals(weights, np.bincount(group_of)[:, None].astype(np.float64))[:, 0]
    errors_before, errors_after = (
        np.abs(totals(weights, gaps)).sum(axis=1) / images for gaps in (gaps_before, gaps_after)
    )
    low, high = np.quantile(errors_after - errors_before, [0.025, 0.975])
    return Estimate(float(value), float(low), float(high))


def gaps_by_patient(probabilities: Floats, labels: Ints, group_of: np.ndarray, patients: int) -> Floats:
    """(patients, BINS): sums of confidence less correctness over a patient's images in each bin of confidence."""
    confidence = probabilities.max(axis=1)
    correct = probabilities.argmax(axis=1) == labels
    gaps = np.zeros((patients, BINS))
    np.add.at(gaps, (group_of, bin_of(confidence)), confidence - correct)
    return gaps
