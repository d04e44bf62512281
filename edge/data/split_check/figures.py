"""How good predictions are on all images, on those that leak, and on those that do not."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from edge.metrics.bootstrap import balanced_accuracy_interval, mean_interval, part_against_whole
from edge.metrics.roc import auc_interval
from edge.metrics.statistics import Estimate, wilson

from .predictions import Predictions


def figures(predictions: Predictions, groups: Sequence[str], clean: np.ndarray, *, seed: int = 0) -> dict:
    """Figures of all, clean and leaked images with 95 % intervals over `groups` (N patients or what else is known).

    `clean`: bool (N,). `clean_minus_all` is the difference of the two balanced accuracies on the classes that have
    clean images, both resampled together; None where all images are clean, or none is.
    """
    subsets = {"all": np.ones(len(clean), bool), "clean": clean, "leaked": ~clean}
    return {
        **{name: figures_of(predictions, groups, own, seed=seed) for name, own in subsets.items() if own.any()},
        "clean_minus_all": as_json(
            part_against_whole(predictions.labels, predictions.answers == predictions.labels, groups, clean, seed=seed)
        )
        if clean.any() and not clean.all()
        else None,
    }


def figures_of(predictions: Predictions, groups: Sequence[str], chosen: np.ndarray, *, seed: int) -> dict:
    """`chosen`: bool (N,), at least one."""
    labels, answers = predictions.labels[chosen], predictions.answers[chosen]
    own = [group for group, inside in zip(groups, chosen, strict=True) if inside]
    right = labels == answers
    result = {
        "images": len(labels),
        "groups": len(set(own)),
        "balanced_accuracy": as_json(balanced_accuracy_interval(labels, answers, own, seed=seed)),
        "accuracy": as_json(share_interval(right, own, seed=seed)),
        "sensitivity": {
            name: {
                "images": int((labels == place).sum()),
                **as_json(share_interval(right[labels == place], of_class(own, labels == place), seed=seed)),
            }
            for place, name in enumerate(predictions.classes)
            if (labels == place).any()
        },
    }
    if predictions.scores is not None:
        positive = labels == predictions.positive
        result["auc"] = as_json(auc_interval(predictions.scores[chosen], positive, own, seed=seed))
    return result


def share_interval(right: np.ndarray, groups: Sequence[str], *, seed: int) -> Estimate:
    """The share that is right, groups resampled; Wilson's interval of as many groups where all draws say the same."""
    estimate = mean_interval(right, groups, seed=seed)
    if math.isfinite(estimate.low) and estimate.low < estimate.high:
        return estimate
    number = len(set(groups))
    bounds = wilson(round(estimate.value * number), number)
    return Estimate(estimate.value, bounds.low, bounds.high)


def of_class(groups: Sequence[str], inside: np.ndarray) -> list[str]:
    return [group for group, own in zip(groups, inside, strict=True) if own]


def as_json(estimate: Estimate) -> dict[str, float | None]:
    """Numbers that JSON has; None for the ends of an interval of a single group, and where there is no value."""
    values = {"value": estimate.value, "low": estimate.low, "high": estimate.high}
    return {name: value if math.isfinite(value) else None for name, value in values.items()}
