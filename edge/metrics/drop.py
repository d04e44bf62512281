"""How much balanced accuracy is lost where hardly any answer changes, with bounds that also hold where none does."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from edge.metrics.clustered import USUAL, Bools, Clusters, exact_bounds
from edge.metrics.statistics import Floats, Ints


@dataclass(frozen=True)
class Loss:
    """Reference minus candidate, as a share (0.01 is one point); `low` and `high` are one-sided 95 % bounds."""

    value: float
    low: float
    high: float
    effective_rows: float  # independent rows that would estimate the loss as well


def balanced_weights(labels: Ints) -> Floats:
    """(N,) that sum to 1: every class that occurs has the same weight, and so has every row of a class."""
    _, class_of, counts = np.unique(labels, return_inverse=True, return_counts=True)
    return 1.0 / (len(counts) * counts[class_of])


def paired_loss(labels: Ints, reference: Ints, candidate: Ints, clusters: Clusters, *, prior: float = USUAL) -> Loss:
    """Drop of balanced accuracy from `reference` to `candidate`, both (N,) classes for the same rows.

    The drop is the weighted share of rows lost (right before, wrong after) less that of rows gained. Each share has the
    exact bounds of `edge.metrics.clustered` for its effective number of rows, in which the balanced weights count, and
    both are combined by the method of variance estimates recovery (Zou & Donner 2008, Statistics in Medicine 27,
    equations 5 and 6). Where nothing changed this is the rule of three over the effective rows. The effective number
    supposes that answers change as often in one class as in another: a class of a handful of patients cannot tell.

    `prior`: the correlation of changes within a patient that is taken where no changed row tells it.
    """
    if not len(labels):
        return Loss(math.nan, -1.0, 1.0, 0.0)
    weights = balanced_weights(labels)
    before, after = reference == labels, candidate == labels
    lost, gained = before & ~after, ~before & after
    changed = clusters.correlation(reference != candidate, prior)
    share_lost, lost_low, lost_high, rows_lost = bounds(lost, clusters, weights, changed)
    share_gained, gained_low, gained_high, rows_gained = bounds(gained, clusters, weights, changed)
    value = share_lost - share_gained
    above = math.hypot(lost_high - share_lost, share_gained - gained_low)
    below = math.hypot(share_lost - lost_low, gained_high - share_gained)
    return Loss(value, max(-1.0, value - below), min(1.0, value + above), min(rows_lost, rows_gained))


def bounds(events: Bools, clusters: Clusters, weights: Floats, prior: float) -> tuple[float, float, float, float]:
    """Weighted share of the events, its one-sided 95 % bounds, and the effective number of rows."""
    share = float(weights[events].sum())
    rows = clusters.effective(clusters.correlation(events, prior), weights)
    return share, *exact_bounds(share, rows, 0.05), rows
