"""The best of many is told with what it is worth, not with what made it the best."""

from __future__ import annotations

import numpy as np
import pytest

from edge.metrics.selection import selection


def answers_of(rng: np.random.Generator, labels: np.ndarray, rights: list[float]) -> np.ndarray:
    """(M, N): two-class answers, each right as often as stated."""
    return np.stack([np.where(rng.random(len(labels)) < right, labels, 1 - labels) for right in rights])


def test_the_best_of_many_coins_is_worth_a_coin() -> None:
    """Thirty recipes that know nothing: the best of them looks far better than 0.5, in every one of these sets."""
    own, corrected = [], []
    for seed in range(12):
        rng = np.random.default_rng(seed)
        labels, patients = np.arange(120) % 2, [f"p{i // 2}" for i in range(120)]
        compared = selection(labels, answers_of(rng, labels, [0.5] * 30), patients, draws=400)
        own.append(compared.corrected.value + compared.flattery)
        corrected.append(compared.corrected.value)
        assert compared.corrected.low < 0.5 < compared.corrected.high
    assert np.mean(own) > 0.58  # the expected largest of 30 such means is 0.5 + 2.04 x 0.0456
    assert np.mean(corrected) == pytest.approx(0.5, abs=0.02)


def test_what_is_best_by_far_is_hardly_flattered() -> None:
    rng = np.random.default_rng(3)
    labels, patients = np.arange(2000) % 2, [f"p{i // 2}" for i in range(2000)]
    compared = selection(labels, answers_of(rng, labels, [0.6, 0.9, 0.7]), patients, draws=400)
    assert compared.best == 1 and compared.chosen == (0, 1, 0)
    assert compared.corrected.value == pytest.approx(0.9, abs=0.02) and abs(compared.flattery) < 2e-3
    assert compared.below_best[1].value == compared.below_best[1].low == compared.below_best[1].high == 0
    assert compared.below_best[0].low < 0.3 < compared.below_best[0].high


def test_the_figure_of_each_draw_is_that_of_its_patients() -> None:
    """The same by resampling rows one draw at a time with scikit-learn's figure."""
    from sklearn.metrics import recall_score

    from edge.metrics.bootstrap import multiplicities

    def figure(rows: np.ndarray, own: np.ndarray) -> float:
        return recall_score(labels[rows], own[rows], labels=np.unique(labels[rows]), average="macro")

    rng = np.random.default_rng(5)
    labels, patients = rng.integers(0, 3, 40), np.repeat(np.arange(10), 4)
    answers = np.stack([np.where(rng.random(40) < right, labels, rng.integers(0, 3, 40)) for right in (0.4, 0.6)])
    honest = []
    for draw in multiplicities(10, 50, 0):
        rows = np.repeat(np.arange(40), draw[patients])
        best = int(np.argmax([figure(rows, own) for own in answers]))
        honest.append(figure(np.flatnonzero(draw[patients] == 0), answers[best]))
    compared = selection(labels, answers, [str(p) for p in patients], draws=50)
    assert compared.corrected.value == pytest.approx(np.mean(honest))


def test_answers_that_are_all_alike_have_an_interval_still() -> None:
    labels = np.arange(20) % 2
    compared = selection(labels, np.zeros((2, 20), int), [str(i) for i in range(20)], draws=100)
    assert compared.best == 0 and compared.corrected.low < 0.5 < compared.corrected.high
    with pytest.raises(ValueError, match=r"\(M, N\)"):
        selection(labels, np.zeros((0, 20), int), ["p"] * 20)
