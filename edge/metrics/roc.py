"""Area under the ROC curve, with a patient-level bootstrap interval."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from edge.metrics.bootstrap import DRAWS, PARTS, multiplicities
from edge.metrics.statistics import Estimate, Floats, wilson


def auc_interval(
    scores: Floats, positive: npt.NDArray[np.bool_], groups: Sequence[str], *, draws: int = DRAWS, seed: int = 0
) -> Estimate:
    """Area under the ROC curve of `scores` (N,) for `positive` (N,), with its two-sided 95 % interval.

    The share of pairs of a positive and a negative in which the positive has the larger score, ties half. Patients
    (`groups`, N ids) are resampled; draws with one kind alone are left out. Where all pairs are in order, the interval
    is Wilson's of as many patients as the rarer kind has. NaN without both kinds.
    """
    scores, positive = np.asarray(scores), np.asarray(positive, bool)
    if positive.all() or not positive.any():
        return Estimate(math.nan, 0.0, 1.0)
    _, level_of = np.unique(scores, return_inverse=True)
    names, group_of = np.unique(np.asarray(groups, dtype=object).astype(str), return_inverse=True)
    order = np.argsort(level_of, kind="stable")
    starts = np.flatnonzero(np.diff(level_of[order], prepend=-1))
    areas = [
        weighted_areas(part[:, group_of[order]].astype(np.float64), positive[order], starts)
        for part in np.array_split(multiplicities(len(names), draws, seed), PARTS)
    ]
    low, high = np.nanquantile(np.concatenate(areas), [0.025, 0.975])
    value = float(weighted_areas(np.ones((1, len(scores))), positive[order], starts)[0])
    if low == high and value in {0.0, 1.0}:  # every draw says the same, however few patients there are
        fewer = min(len(set(group_of[positive])), len(set(group_of[~positive])))
        return wilson(round(value * fewer), fewer)
    return Estimate(value, float(low), float(high))


def weighted_areas(weights: Floats, positive: npt.NDArray[np.bool_], starts: npt.NDArray[np.intp]) -> Floats:
    """Areas (draws,) of images in ascending order of score with weights (draws, N); `starts`: where levels begin."""
    positives = np.add.reduceat(weights * positive, starts, axis=1)
    negatives = np.add.reduceat(weights * ~positive, starts, axis=1)
    below = negatives.cumsum(axis=1) - negatives / 2
    pairs = positives.sum(axis=1) * negatives.sum(axis=1)
    with np.errstate(invalid="ignore"):
        return (positives * below).sum(axis=1) / np.where(pairs > 0, pairs, np.nan)
