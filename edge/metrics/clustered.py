"""Intervals of shares and medians where the rows of a patient are not independent: several photographs, several views.

A share gets the exact interval of Clopper & Pearson (1934) for an effective number of independent rows, as Korn &
Graubard (1998, Survey Methodology 24, 193) do for surveys. Their design effect comes from the variance between
clusters, which rare events leave unknown: where nothing changed it is zero, and a cluster bootstrap has no width. Here
it follows from the correlation within a patient by Kish's formula (1965, section 5.4), and that correlation is read
from the changed rows themselves: what share of the patient's other rows changed too. It is shrunk to a `prior`, which
counts as one patient's worth of evidence and stands alone where nothing changed. Coverage by simulation:
tests/edge/metrics/test_clustered.py.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edge.metrics.statistics import Estimate, Floats
from edge.metrics.statistics import median_interval as independent_median

# Of a change within a patient, where nothing tells: chosen so that the simulated coverage holds (0.4 is too little).
USUAL = 0.7
FEWEST_FOR_A_MEDIAN = 6  # patients: 2 / 2^6 < 5 %, the fewest whose extremes enclose the median with 95 %

Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Clusters:
    """Which of N rows belong together."""

    of_row: npt.NDArray[np.intp]  # (N,) 0..G-1
    rows: Floats  # (G,)

    @classmethod
    def of(cls, groups: Sequence[str]) -> Clusters:
        """`groups`: N patient ids."""
        _, of_row = np.unique(np.asarray(groups, dtype=object).astype(str), return_inverse=True)
        return cls(of_row, np.bincount(of_row).astype(np.float64))

    @classmethod
    def independent(cls, rows: int) -> Clusters:
        """Each row by itself."""
        return cls(np.arange(rows), np.ones(rows))

    def __len__(self) -> int:
        return len(self.rows)

    def where(self, chosen: Bools) -> Clusters:
        """The clusters of some of the rows."""
        _, of_row = np.unique(self.of_row[chosen], return_inverse=True)
        return Clusters(of_row, np.bincount(of_row).astype(np.float64))

    def correlation(self, events: Bools, prior: float = USUAL) -> float:
        """Of an event between two rows of a patient, 0..1, shrunk to `prior` as if one patient more had shown that."""
        counts = np.bincount(self.of_row, events, len(self))
        several = self.rows > 1
        counts, rows = counts[several], self.rows[several]
        patients = int(np.count_nonzero(counts))
        share = float(np.mean(events)) if len(events) else 0.0
        if not patients or share == 1.0:
            return prior
        others = float((counts * (counts - 1) / (rows - 1)).sum() / counts.sum())  # share of a changed row's fellows
        seen = min(1.0, max(0.0, (others - share) / (1 - share)))
        return (patients * seen + prior) / (patients + 1)

    def effective(self, correlation: float, weights: Floats | None = None) -> float:
        """How many independent rows would estimate a (weighted) mean as well (Kish 1965).

        Made smaller by the square of the ratio of the normal to Student's quantile, as Korn & Graubard do where
        patients are few. `weights`: (N,), not negative.
        """
        from scipy.special import ndtri, stdtrit

        weights = np.ones(len(self.of_row)) if weights is None else weights
        weights = weights / weights.sum()
        of_patient = np.bincount(self.of_row, weights, len(self))
        inverse = (1 - correlation) * np.square(weights).sum() + correlation * np.square(of_patient).sum()
        few = (ndtri(0.975) / stdtrit(len(self) - 1, 0.975)) ** 2 if len(self) > 1 else 0.0
        return float(max(1.0, few / inverse))


def exact_bounds(share: float, trials: float, tail: float) -> tuple[float, float]:
    """Clopper & Pearson's bounds of a share seen in so many trials, each exceeded with a chance of `tail`.

    `trials` need not be whole.
    """
    from scipy.special import betaincinv

    hits = share * trials
    low = 0.0 if hits <= 0 else float(betaincinv(hits, trials - hits + 1, tail))
    high = 1.0 if hits >= trials else float(betaincinv(hits + 1, trials - hits, 1 - tail))
    return low, high


def share_interval(events: Bools, clusters: Clusters, *, prior: float = USUAL) -> Estimate:
    """Share of the rows with the event and its two-sided 95 % interval. `events`: (N,). Without rows: NaN in [0, 1].

    `prior`: the correlation within a patient that is taken where no row tells it.
    """
    if not len(events):
        return Estimate(math.nan, 0.0, 1.0)
    share = float(np.mean(events))
    rare = events if share <= 0.5 else ~events
    trials = clusters.effective(clusters.correlation(rare, prior))
    return Estimate(share, *exact_bounds(share, trials, 0.025))


def median_interval(values: Floats, clusters: Clusters, *, prior: float = 0.0) -> Estimate:
    """Median of `values` (N,) and its two-sided 95 % interval, between two of the values.

    Woodruff's method (1952): the interval of the share of values below the median, turned back into values. Where every
    patient has one value, that of `edge.metrics.statistics`. Fewer than 6 patients have none: the whole line. Infinite
    values are allowed. NaN of nothing.
    """
    values = np.asarray(values, np.float64)
    value = independent_median(values)
    if len(clusters) == len(values):
        return value
    if len(clusters) < FEWEST_FOR_A_MEDIAN:
        return Estimate(value.value, -math.inf, math.inf)
    ordered, count = np.sort(values), len(values)
    below = values < value.value
    trials = clusters.effective(clusters.correlation(below if below.any() else values <= value.value, prior))
    low, high = exact_bounds(0.5, trials, 0.025)
    first, last = max(0, math.ceil(low * count) - 1), min(count - 1, math.floor(high * count))
    return Estimate(value.value, float(ordered[first]), float(ordered[last]))
