"""Intervals that take a patient's images together: against SciPy, by hand, and by simulation of known truth."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from scipy.stats import binomtest

from edge.metrics.calibration import change_interval
from edge.metrics.clustered import USUAL, Clusters, median_interval, share_interval
from edge.metrics.drop import paired_loss
from edge.metrics.gates import Verdict, judge
from edge.metrics.near import ENOUGH, correlation_of_changes, enlarged
from edge.metrics.observations import Observations
from edge.metrics.statistics import reliability
from tests.edge.metrics._simulated import GAINED, GRID, LOST, changed_beta, groups_of, simulated


def repeated(events: np.ndarray, times: int) -> tuple[np.ndarray, Clusters]:
    """Patients with one event each, every one `times` times."""
    return np.repeat(events, times), Clusters.of(np.repeat(np.arange(len(events)), times).astype(str))


def test_independent_rows_have_the_exact_binomial_interval_of_scipy_but_for_students_factor():
    events = np.arange(400) < 9
    exact = binomtest(9, 400).proportion_ci(method="exact")
    ours = share_interval(events, Clusters.independent(400))
    assert (ours.low, ours.high) == (pytest.approx(exact.low, rel=0.02), pytest.approx(exact.high, rel=0.02))
    assert ours.low < exact.low and ours.high > exact.high


def test_copies_of_a_patients_photograph_tell_nothing_more():
    events = np.arange(200) % 20 == 0
    once, (copies, clusters) = share_interval(events, Clusters.independent(200)), repeated(events, 8)
    eight = share_interval(copies, clusters)
    assert eight.value == once.value
    assert (eight.low, eight.high) == (pytest.approx(once.low, rel=0.05), pytest.approx(once.high, rel=0.05))


def test_without_an_event_the_interval_has_a_width_between_patients_and_rows():
    copies, clusters = repeated(np.zeros(100, bool), 8)
    found = share_interval(copies, clusters)
    assert found.value == found.low == 0
    assert 3.69 / 800 < found.high < 3.7 / 100
    assert share_interval(copies, clusters, prior=1.0).high == pytest.approx(1 - 0.025 ** (1 / 100), rel=0.04)
    assert share_interval(copies, clusters, prior=0.0).high == pytest.approx(1 - 0.025 ** (1 / 800), rel=0.04)
    assert clusters.correlation(copies) == USUAL


def test_correlation_within_a_patient_is_found_where_changes_are_many():
    rng = np.random.default_rng(5)
    groups = groups_of(3000, rng)
    clusters = Clusters.of(groups.astype(str))
    for truth in (0.0, 0.3, 0.7):
        assert clusters.correlation(changed_beta(groups, 0.1, truth, rng)) == pytest.approx(truth, abs=0.05)


def test_median_of_copies_is_as_wide_as_that_of_the_patients():
    values = np.random.default_rng(3).normal(40, 5, 150)
    once = median_interval(values, Clusters.independent(150))
    copies, clusters = repeated(values, 6)
    six = median_interval(copies, clusters)
    assert six.value == once.value
    assert six.high - six.low == pytest.approx(once.high - once.low, rel=0.35)
    few = median_interval(*repeated(values[:5], 6))
    assert few.low == -math.inf and few.high == math.inf


def test_drop_without_a_change_is_the_rule_of_three_over_the_effective_rows():
    labels = np.arange(600) % 6
    found = paired_loss(labels, labels, labels, Clusters.independent(600))
    assert found.value == 0 and found.high == pytest.approx(3 / 600, rel=0.02) and found.low == -found.high
    rare = np.where(np.arange(600) < 5, 1, 0)  # a class of five rows bounds what can be known
    assert paired_loss(rare, rare, rare, Clusters.independent(600)).high > 0.1


def test_the_enlarged_error_shows_where_changes_would_be():
    logits = np.tile([1.0, 0.0], (100, 1))
    candidate = logits.copy()
    candidate[:40, 1] = 0.5  # changes at twice the error
    candidate[40:, 1] = 0.01
    assert np.flatnonzero(enlarged(logits, candidate)).tolist() == list(range(40)) and ENOUGH <= 40
    assert not enlarged(logits, logits).any()
    # 40 rows of 5 patients of 20: all rows of a patient or none, as alike as can be
    clusters = Clusters.of([str(row // 20) for row in range(100)])
    assert correlation_of_changes(logits, candidate, clusters) > 0.85
    mixed = Clusters.of([str(row % 5) for row in range(100)])
    assert correlation_of_changes(logits, candidate, mixed) < 0.2


def test_change_of_calibration_is_that_of_the_reliability_curves_and_copies_add_nothing():
    rng = np.random.default_rng(2)
    before = rng.dirichlet((2, 1, 1), 300)
    after = rng.dirichlet((6, 1, 1), 300)
    labels, groups = rng.integers(0, 3, 300), [str(i) for i in range(300)]
    found = change_interval(before, after, labels, groups)
    assert found.value == pytest.approx(reliability(after, labels).error - reliability(before, labels).error)
    assert found.low < found.value < found.high
    copies = (np.tile(before, (4, 1)), np.tile(after, (4, 1)), np.tile(labels, 4))
    assert change_interval(*copies, groups * 4) == pytest.approx((found.value, found.low, found.high)) or (
        dataclasses.astuple(change_interval(*copies, groups * 4)) == pytest.approx(dataclasses.astuple(found))
    )
    assert dataclasses.astuple(change_interval(before, before, labels, groups)) == (0, 0, 0)


def test_views_decide_what_photographs_alone_leave_open():
    """150 patients, hardly a change: alone inconclusive, in eight views a pass; and the figures alone stay visible."""
    rng = np.random.default_rng(4)
    photographs, views, classes = 150, 8, 3
    labels = np.arange(photographs) % classes
    logits = rng.normal(0, 1, (views, photographs, classes)) + 1.5 * np.eye(classes)[labels]
    noise = rng.normal(0, 0.004, logits.shape)
    reference, candidate = (np.exp(x - x.max(-1, keepdims=True)).reshape(-1, classes) for x in (logits, logits + noise))
    reference, candidate = (x / x.sum(1, keepdims=True) for x in (reference, candidate))
    names = tuple(f"{v}/{n}" for v in range(views) for n in range(photographs))
    seen = Observations(
        names, tuple(str(n) for n in range(photographs)) * views, ("set",) * len(names), np.tile(labels, views),
        ("a", "b", "c"), ("a", "b", "c"), (True, False, False), reference, views=views,
    )  # fmt: skip
    alone = judge("int8-weights", seen.plain(), candidate[:photographs])
    viewed = judge("int8-weights", seen, candidate)
    assert (alone.verdict, viewed.verdict) == (Verdict.INCONCLUSIVE, Verdict.PASS)
    assert alone.statistics is not None and viewed.statistics is not None and viewed.statistics.alone is not None
    assert viewed.statistics.alone.agreement.value == alone.statistics.agreement.value
    assert viewed.statistics.alone.sqnr_db == alone.statistics.sqnr_db
    assert (viewed.statistics.photographs, viewed.statistics.views, viewed.statistics.patients) == (150, 8, 150)
    assert (viewed.statistics.labelled.lost, viewed.statistics.labelled.gained) == (
        alone.statistics.labelled.lost, alone.statistics.labelled.gained,
    )  # fmt: skip


def coverage(patients: int, disagreement: float, correlation: float, trials: int) -> np.ndarray:
    """Shares of the trials in which the truth lies within: agreement's interval, the drop's upper and lower bound;
    and agreement's interval where nothing but the changed rows is known."""
    rng = np.random.default_rng([patients, int(1e4 * disagreement), int(10 * correlation)])
    within = []
    for _ in range(trials):
        drawn = simulated(patients, disagreement, correlation, rng)
        clusters = Clusters.of(drawn.groups.astype(str))
        prior = correlation_of_changes(drawn.logits, drawn.candidate, clusters)
        before, after = drawn.logits.argmax(axis=1), drawn.candidate.argmax(axis=1)
        agreement = share_interval(before == after, clusters, prior=prior)
        loss = paired_loss(drawn.labels, before, after, clusters, prior=prior)
        bare = share_interval(changed_beta(drawn.groups, disagreement, correlation, rng), clusters)
        drop = (LOST - GAINED) * disagreement
        within.append([
            agreement.low <= 1 - disagreement <= agreement.high, loss.high >= drop, loss.low <= drop,
            bare.low <= disagreement <= bare.high,
        ])  # fmt: skip
    return np.mean(within, axis=0)


@pytest.mark.parametrize(("disagreement", "correlation"), [(0.002, 0.7), (0.007, 0.0), (0.02, 0.3), (0.05, 0.7)])
def test_intervals_cover_the_truth_in_a_part_of_the_grid(disagreement, correlation):
    assert coverage(50, disagreement, correlation, 150).min() >= 0.90  # 93 % less what chance takes off in 150 trials


@pytest.mark.slow(reason="36 cells of 1,500 simulated sets each: a quarter of an hour")
@pytest.mark.parametrize(("patients", "disagreement", "correlation"), GRID)
def test_intervals_cover_the_truth_everywhere(patients, disagreement, correlation):
    assert coverage(patients, disagreement, correlation, 1500).min() >= 0.93
