"""What abstention buys: the risk among answers that are kept, against how many are. Arrays -> numbers.

Photographs are kept in the order of their largest probability; those of equal probability together. Risk is the share
of wrong classes among the kept. The area under the curve (Geifman, Uziel, El-Yaniv 2019) is the mean, over photographs,
of the risk when everything at least as sure is kept. Who abstains at random keeps the risk of answering always, at any
coverage: that is the comparison. Intervals resample patients, as in `edge.metrics.bootstrap`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edge.metrics.bootstrap import DRAWS, PARTS, multiplicities
from edge.metrics.statistics import Estimate, Floats

POINTS = 40  # of the curve that is kept


@dataclass(frozen=True)
class Point:
    coverage: float  # share of photographs that get an answer, 0..1
    risk: Estimate  # share of wrong classes among them
    threshold: float  # of the largest probability


@dataclass(frozen=True)
class RiskCoverage:
    images: int
    patients: int
    points: tuple[Point, ...]  # from few answers to all
    area: Estimate  # under the curve, 0..1
    always: Estimate  # risk of answering always, which is also that of abstaining at random
    gain: Estimate  # always - area: above 0 where abstention finds the wrong answers better than chance
    chosen: Point  # at the threshold of the manifest; its coverage is measured here


def risk_coverage(
    largest: Floats,
    wrong: npt.NDArray[np.bool_],
    groups: Sequence[str],
    threshold: float,
    *,
    draws: int = DRAWS,
    seed: int = 0,
) -> RiskCoverage | None:
    """`largest`: (N,) largest probabilities; `wrong`: (N,); `groups`: N patient ids. None without photographs."""
    if not len(largest) == len(wrong) == len(groups):
        raise ValueError(f"expected as many of each, got {len(largest)}, {len(wrong)}, {len(groups)}")
    if len(largest) == 0:
        return None
    order = np.argsort(-np.asarray(largest, np.float64), kind="stable")
    ordered, missed = np.asarray(largest, np.float64)[order], np.asarray(wrong, np.float64)[order]
    names, group = np.unique(np.asarray(groups, dtype=object).astype(str), return_inverse=True)
    last = np.searchsorted(-ordered, -ordered, side="right") - 1  # place of the last photograph that is as sure
    places = np.unique(last)[np.unique(np.linspace(0, len(np.unique(last)) - 1, POINTS).round().astype(int))]
    kept = ordered >= threshold

    def curve(weights: Floats) -> tuple[Floats, Floats, Floats, Floats]:
        """Of weights (D, N) in the order of sureness: risk at `places` (D, P), area, always, risk at the threshold."""
        total, misses = np.cumsum(weights, axis=1), np.cumsum(weights * missed, axis=1)
        with np.errstate(invalid="ignore"):  # nothing kept yet in this draw: no risk
            risk = misses / total
        area = np.nansum(weights * np.nan_to_num(risk[:, last]), axis=1) / total[:, -1]
        count = int(kept.sum())
        at = risk[:, count - 1] if count else np.full(len(weights), math.nan)
        return risk[:, places], area, risk[:, -1], at

    value = curve(np.ones((1, len(ordered))))
    parts = np.array_split(multiplicities(len(names), draws, seed), PARTS)
    drawn = [curve(part.astype(np.float64)[:, group[order]]) for part in parts if len(part)]
    risk, area, always, at = (np.concatenate([part[i] for part in drawn]) for i in range(4))
    points = tuple(
        Point(float((place + 1) / len(ordered)), estimate(value[0][0, i], risk[:, i]), float(ordered[place]))
        for i, place in enumerate(places)
    )
    return RiskCoverage(
        images=len(ordered),
        patients=len(names),
        points=points,
        area=estimate(value[1][0], area),
        always=estimate(value[2][0], always),
        gain=estimate(value[2][0] - value[1][0], always - area),
        chosen=Point(float(kept.mean()), estimate(value[3][0], at), threshold),
    )


def estimate(value: float, drawn: Floats) -> Estimate:
    """A value with the 95 % percentile interval of its draws; draws where it is not defined are left out."""
    defined = drawn[np.isfinite(drawn)]
    if math.isnan(value) or not len(defined):
        return Estimate(math.nan, 0.0, 1.0)
    low, high = np.quantile(defined, [0.025, 0.975])
    return Estimate(float(value), float(low), float(high))
