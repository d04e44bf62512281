"""Numbers of parity against scikit-learn, SciPy's tests, textbook values and direct definitions."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom, binomtest, bootstrap
from sklearn.metrics import balanced_accuracy_score, recall_score

from edge.metrics import statistics as parity
from edge.metrics.bootstrap import balanced_accuracy_drop, balanced_accuracy_interval, mean_interval
from edge.metrics.patients_needed import patients_needed

few = settings(max_examples=30, deadline=None)


def softmax(logits: np.ndarray) -> np.ndarray:
    shifted = np.exp(logits - logits.max(axis=1, keepdims=True))
    return shifted / shifted.sum(axis=1, keepdims=True)


@few
@given(st.integers(1, 20), st.integers(2, 9), st.integers(0, 999))
def test_logits_survive_softmax_and_lose_only_their_mean(images, classes, seed):
    logits = np.random.default_rng(seed).uniform(-3, 3, (images, classes))
    read = parity.read_back_logits(softmax(logits))
    np.testing.assert_allclose(read, logits - logits.mean(axis=1, keepdims=True), atol=1e-12)


def test_floor_is_applied_before_the_mean():
    read = parity.read_back_logits(np.array([[1.0, 0.0]]))
    np.testing.assert_allclose(read, [[math.log(1e4) / 2, -math.log(1e4) / 2]])


def test_sqnr_of_a_tenth_is_twenty_decibels_and_of_nothing_infinite():
    signal = np.array([[3.0, -3.0], [3.0, -3.0], [0.0, 0.0], [0.0, 0.0]])
    noise = np.array([[0.3, 0.3], [0.0, 0.0], [1.0, -1.0], [0.0, 0.0]])
    found = parity.sqnr_db(signal, signal + noise)
    assert found[0] == pytest.approx(20.0)
    assert found[1] == np.inf and found[2] == -np.inf and found[3] == np.inf


def test_logit_difference_is_relative_only_above_one():
    reference = np.array([[0.5, -0.5], [10.0, -10.0]])
    np.testing.assert_allclose(parity.logit_difference(reference, reference + 0.01), [0.01, 0.001])


# Newcombe, Statistics in Medicine 17 (1998) 857, table I, method 3 (score without continuity correction).
@pytest.mark.parametrize(
    ("successes", "trials", "low", "high"),
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0000, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_wilson_gives_newcombes_table(successes, trials, low, high):
    found = parity.wilson(successes, trials)
    assert (round(found.low, 4), round(found.high, 4)) == (low, high)


@few
@given(st.integers(1, 500), st.data())
def test_wilson_is_scipys(trials, drawn):
    successes = drawn.draw(st.integers(0, trials))
    expected = binomtest(successes, trials).proportion_ci(method="wilson")
    found = parity.wilson(successes, trials)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), abs=1e-12)
    assert found.low <= found.value <= found.high


def test_wilson_without_trials_knows_nothing():
    found = parity.wilson(0, 0)
    assert math.isnan(found.value) and (found.low, found.high) == (0.0, 1.0)
    with pytest.raises(ValueError, match="got 3 of 2"):
        parity.wilson(3, 2)


@few
@given(st.lists(st.floats(-50, 150), min_size=1, max_size=60))
def test_median_interval_covers_by_the_binomial_and_is_the_tightest_that_does(values):
    found = parity.median_interval(np.array(values))
    ordered, count = sorted(values), len(values)
    assert found.value == pytest.approx(np.median(values))
    if count < 6:
        assert (found.low, found.high) == (-math.inf, math.inf)
        return
    covers = [r for r in range(1, count // 2 + 1) if 1 - 2 * binom.cdf(r - 1, count, 0.5) >= 0.95]
    rank = max(covers)
    assert (found.low, found.high) == (ordered[rank - 1], ordered[count - rank])


def test_median_of_mostly_identical_outputs_is_infinite():
    found = parity.median_interval(np.array([60.0] * 3 + [np.inf] * 17))
    assert found.value == np.inf and found.low == np.inf and found.high == np.inf
    assert parity.percentile(np.array([60.0] * 3 + [np.inf] * 17), 5) == 60.0


@few
@given(st.integers(1, 80), st.integers(2, 6), st.integers(0, 999))
def test_accuracy_and_sensitivity_are_scikit_learns(images, classes, seed):
    rng = np.random.default_rng(seed)
    labels, predicted = rng.integers(0, classes, (2, images))
    present = np.unique(labels)
    expected = recall_score(labels, predicted, labels=present, average=None, zero_division=0)
    assert parity.balanced_accuracy(labels, predicted) == pytest.approx(expected.mean())
    found = parity.sensitivities(labels, predicted, classes)
    np.testing.assert_allclose([found[c].value for c in present], expected)
    assert all(math.isnan(found[c].value) for c in range(classes) if c not in present)


def test_balanced_accuracy_is_scikit_learns_own():
    rng = np.random.default_rng(1)
    labels, predicted = rng.integers(0, 4, (2, 200))
    assert parity.balanced_accuracy(labels, predicted) == pytest.approx(balanced_accuracy_score(labels, predicted))


def test_malignant_against_benign_pools_the_classes():
    malignant = np.array([False, True, True])
    labels = np.array([0, 0, 0, 1, 1, 2, 2])
    predicted = np.array([0, 0, 1, 2, 1, 0, 2])  # another malignant class is a find
    sensitivity, specificity = parity.malignant_or_benign(labels, predicted, malignant)
    assert sensitivity.value == pytest.approx(3 / 4) and specificity.value == pytest.approx(2 / 3)


def test_a_class_of_unknown_malignancy_is_counted_on_neither_side():
    malignant = [False, True, None]
    labels = np.array([0, 0, 1, 1, 2, 2, 2])
    predicted = np.array([0, 2, 1, 2, 0, 1, 2])  # an answer of the unknown class is right for nobody
    sensitivity, specificity = parity.malignant_or_benign(labels, predicted, malignant)
    assert (sensitivity.value, specificity.value) == (1 / 2, 1 / 2)
    assert math.isnan(parity.malignant_or_benign(labels, predicted, [None, True, True])[1].value)


def test_calibration_error_against_a_loop():
    rng = np.random.default_rng(3)
    probabilities = softmax(rng.normal(0, 2, (300, 5)))
    labels = rng.integers(0, 5, 300)
    error = 0.0
    for b in range(15):
        top = probabilities.max(axis=1)
        inside = (top > b / 15) & (top <= (b + 1) / 15)
        if inside.any():
            right = (probabilities.argmax(axis=1) == labels)[inside].mean()
            error += inside.mean() * abs(top[inside].mean() - right)
    found = parity.reliability(probabilities, labels)
    assert found.error == pytest.approx(error) and found.counts.sum() == 300
    certain = parity.reliability(np.eye(4), np.arange(4))
    assert certain.error == 0 and certain.counts[-1] == 4


@few
@given(st.integers(0, 40), st.integers(0, 40))
def test_mcnemar_is_a_binomial_test(lost, gained):
    before = np.array([True] * lost + [False] * gained + [True, False])
    after = np.array([False] * lost + [True] * gained + [True, False])
    expected = binomtest(lost, lost + gained).pvalue if lost + gained else 1.0
    assert parity.mcnemar(before, after) == (lost, gained, pytest.approx(expected))


def test_mcnemar_of_six_losses_by_hand():
    assert parity.mcnemar(np.array([True] * 6), np.array([False] * 6)) == (6, 0, pytest.approx(2 / 64))


def test_an_interval_is_never_without_width():
    """Three photographs that are all answered rightly prove little, and resampling them cannot show it."""
    labels = np.array([0, 0, 0, 1, 1, 1])
    few_right = balanced_accuracy_interval(labels, labels, list("abcdef"))
    below = [1 - proportion_low(3), 1 - proportion_low(3)]
    assert (few_right.value, few_right.high) == (1, 1)
    assert few_right.low == pytest.approx(1 - math.hypot(*below) / 2)  # equation 5 of Zou & Donner 2008
    all_named_0 = balanced_accuracy_interval(labels, np.zeros(6, int), list("abcdef"))
    assert all_named_0.low == pytest.approx(0.5 - math.hypot(below[0], 0) / 2)
    assert all_named_0.high == pytest.approx(0.5 + math.hypot(below[0], 0) / 2)
    alone = balanced_accuracy_interval(np.zeros(3, int), np.zeros(3, int), list("abc"))
    assert alone.low == pytest.approx(proportion_low(3))
    one_patient = balanced_accuracy_interval(np.zeros(3, int), np.zeros(3, int), list("aaa"))
    assert one_patient.low == pytest.approx(proportion_low(1))  # three pictures of a patient are one


def proportion_low(trials: int) -> float:
    """Lower end of Wilson's interval of so many successes without a failure, by SciPy."""
    return binomtest(trials, trials).proportion_ci(method="wilson").low


def test_bootstrap_resamples_patients_not_images():
    rng = np.random.default_rng(0)
    right = np.repeat(rng.random(40) < 0.6, 8)  # all 8 photographs of a patient share their fate
    labels = np.repeat(np.arange(40) % 2, 8)
    predicted = np.where(right, labels, 1 - labels)
    patients = [f"patient {i}" for i in np.repeat(np.arange(40), 8)]
    by_patient = balanced_accuracy_interval(labels, predicted, patients)
    by_image = balanced_accuracy_interval(labels, predicted, [str(i) for i in range(320)])
    assert by_patient.value == by_image.value == pytest.approx(balanced_accuracy_score(labels, predicted))
    ratio = (by_patient.high - by_patient.low) / (by_image.high - by_image.low)
    assert ratio == pytest.approx(math.sqrt(8), rel=0.15)


def test_bootstrap_agrees_with_resampling_one_patient_at_a_time():
    rng = np.random.default_rng(5)
    labels, predicted = rng.integers(0, 3, (2, 60))
    groups = np.repeat(np.arange(20), 3)
    draws = []
    for _ in range(800):
        rows = np.concatenate([np.flatnonzero(groups == g) for g in rng.integers(0, 20, 20)])
        draws.append(parity.balanced_accuracy(labels[rows], predicted[rows]))
    found = balanced_accuracy_interval(labels, predicted, groups.astype(str))
    assert (found.low, found.high) == pytest.approx(np.quantile(draws, [0.025, 0.975]), abs=0.025)


def test_bootstrap_is_a_function_of_its_seed():
    labels, predicted = np.random.default_rng(0).integers(0, 3, (2, 90))
    groups = [str(i // 2) for i in range(90)]
    assert balanced_accuracy_interval(labels, predicted, groups, seed=4) == balanced_accuracy_interval(
        labels, predicted, groups, seed=4
    )
    assert balanced_accuracy_interval(labels, predicted, groups, seed=4) != balanced_accuracy_interval(
        labels, predicted, groups, seed=5
    )


def test_nothing_changed_is_bounded_by_the_rule_of_three():
    labels = np.arange(600) % 6
    found = balanced_accuracy_drop(labels, labels, labels, [str(i) for i in range(600)])
    assert found.value == 0 and found.effective_groups == pytest.approx(600)
    assert found.high == pytest.approx(3 / 600) and found.low == pytest.approx(-3 / 600)
    rare = np.where(np.arange(600) < 5, 1, 0)  # a class of five images bounds what can be known
    assert balanced_accuracy_drop(rare, rare, rare, [str(i) for i in range(600)]).high > 0.1


def test_bound_of_the_drop_covers_the_truth():
    """Two equal classes, a right answer lost in 1 of 50 images: the bound must lie above 2 points 95 times in 100."""
    rng, covered, trials = np.random.default_rng(11), 0, 150
    labels = np.arange(120) % 2
    groups = [str(i) for i in range(120)]
    for trial in range(trials):
        after = np.where(rng.random(120) < 0.02, 1 - labels, labels)
        covered += balanced_accuracy_drop(labels, labels, after, groups, draws=400, seed=trial).high >= 0.02
    assert covered >= binom.ppf(0.001, trials, 0.95)


def test_patients_needed():
    def exact(patients: int) -> float:  # Clopper and Pearson's lower bound of a share of 1, by SciPy
        return float(binomtest(patients, patients).proportion_ci(method="exact").low)

    assert patients_needed(40, 1.0, exact(40), 1.0, 0.98, proportion=True) == 183
    assert exact(183) >= 0.98 > exact(182)
    assert patients_needed(100, 0.005, -0.005, 0.015, 0.01, proportion=True) == pytest.approx(
        400
    )  # the bound falls as 1 / sqrt(n)
    assert patients_needed(100, 0.01, 0.0, 0.02, 0.01, proportion=True) is None  # it lies on the limit
    assert (
        patients_needed(3, 41.0, -math.inf, math.inf, 30.0, proportion=False) == 6
    )  # fewer have no interval of the median
    # a median in decibels that is an end of its own interval is no share: half the distance takes four times as many
    assert patients_needed(10, 30.0, 29.2, 30.0, 29.6, proportion=False) == pytest.approx(40, abs=1)


def test_interval_of_a_mean_equals_scipys_and_resamples_groups():
    values = np.random.default_rng(0).beta(8, 2, 60)
    alone = mean_interval(values, [str(n) for n in range(60)])
    theirs = bootstrap((values,), np.mean, n_resamples=4000, method="percentile", rng=np.random.default_rng(1))
    assert alone.value == pytest.approx(values.mean())
    assert (alone.low, alone.high) == pytest.approx(theirs.confidence_interval, abs=0.003)
    twice = mean_interval(np.repeat(values, 4), np.repeat([str(n) for n in range(60)], 4))
    assert (twice.low, twice.high) == pytest.approx((alone.low, alone.high))  # four times the same says nothing more
    assert np.isnan(mean_interval(np.zeros(0), []).value)
    assert mean_interval(values, ["p"] * 60).low == -np.inf
