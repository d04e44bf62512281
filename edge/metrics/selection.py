"""What it does to a figure that it is the best of several, by bootstrap of patients, without another training.

Tsamardinos, Greasidou & Borboudakis 2018, "Bootstrapping the out-of-sample predictions for efficient and accurate
cross-validation", Machine Learning 107, pages 1895-1922 (BBC-CV): in each draw of patients the best is chosen anew, and
judged on the patients that the draw lacks. What is chosen is judged on nobody who chose it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from edge.metrics.bootstrap import DRAWS, balanced_accuracy_interval, class_counts, mean_recall, multiplicities, totals
from edge.metrics.statistics import Estimate, Floats, Ints, balanced_accuracy


@dataclass(frozen=True)
class Selection:
    """The best of several answers to the same images, by balanced accuracy; of equals the first."""

    best: int  # place among them
    corrected: Estimate  # of the best as it is chosen, judged on patients who did not choose it; 95 %
    flattery: float  # by how much the best one's own figure is above that
    chosen: tuple[float, ...]  # share of draws in which each is the best
    below_best: tuple[Estimate, ...]  # how far each is below the best, on the same draws of patients; 95 %


def selection(labels: Ints, answers: Ints, groups: Sequence[str], *, draws: int = DRAWS, seed: int = 0) -> Selection:
    """`labels` (N,) class indices; `answers` (M, N), those of M recipes for the same images; `groups`: N patient ids.

    Raises ValueError for no answers, or no images.
    """
    labels, answers = np.asarray(labels), np.asarray(answers)
    if not answers.size:
        raise ValueError(f"expected answers of shape (M, N), got {answers.shape}")
    images = class_counts(labels, groups)
    inside = multiplicities(len(images), draws, seed)
    outside = (inside == 0).astype(np.uint16)
    right = [class_counts(labels, groups, own == labels) for own in answers]
    with np.errstate(invalid="ignore"):  # a draw may hold everybody of a few
        drawn, left_out = (
            np.stack([mean_recall(totals(weights, own), everybody) for own in right])  # (M, draws)
            for weights, everybody in ((inside, totals(inside, images)), (outside, totals(outside, images)))
        )
    values = [balanced_accuracy(labels, own) for own in answers]
    best, winners = int(np.argmax(values)), drawn.argmax(axis=0)
    honest = left_out[winners, np.arange(draws)]
    low, high = quantiles(honest)
    if low == high:  # every draw says the same, however few patients there are
        own = balanced_accuracy_interval(labels, answers[best], groups, draws=draws, seed=seed)
        low, high = own.low, own.high
    corrected = Estimate(float(np.nanmean(honest)), low, high)
    return Selection(
        best,
        corrected,
        values[best] - corrected.value,
        tuple(float(share) for share in np.bincount(winners, minlength=len(answers)) / draws),
        tuple(
            Estimate(values[best] - own, *quantiles(drawn[best] - draw))
            for own, draw in zip(values, drawn, strict=True)
        ),
    )


def quantiles(values: Floats) -> tuple[float, float]:
    """The ends of 95 %; a draw that nobody is left out of counts not."""
    low, high = np.nanquantile(values, [0.025, 0.975])
    return float(low), float(high)
