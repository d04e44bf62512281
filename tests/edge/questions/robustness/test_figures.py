"""Answers -> numbers, against direct counting; and the sentence, where quantisation does and does not cost more."""

from __future__ import annotations

import json

import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score

from edge.questions.robustness.corruptions import conditions_of
from edge.questions.robustness.figures import FLOAT, extra_by_image, figures
from edge.report.strict import plain

CONDITIONS = conditions_of(["noise", "jpeg"], [1, 5])
IMAGES, CLASSES = 120, 3
PATIENTS = [f"p{i // 2}" for i in range(IMAGES)]
LABELS = np.arange(IMAGES) % CLASSES


def answered(classes: np.ndarray) -> np.ndarray:
    """Probabilities (N, C, K) whose first class is the given one."""
    given = np.full((*classes.shape, CLASSES), 0.1)
    np.put_along_axis(given, classes[..., None], 0.8, axis=2)
    return given


@pytest.fixture
def classes(rng) -> np.ndarray:
    """The float model: right on 80 % of the pictures."""
    wrong = rng.random((IMAGES, len(CONDITIONS))) < 0.2
    return np.where(wrong, (LABELS[:, None] + 1) % CLASSES, LABELS[:, None])


def judged(model: np.ndarray, file: np.ndarray, labels: np.ndarray = LABELS) -> tuple[dict, dict]:
    found = figures({FLOAT: answered(model), "int8": answered(file)}, labels, PATIENTS, CONDITIONS)
    return found["files"][0], found["files"][1]


def test_figures_are_those_of_direct_counting(classes, rng):
    file = np.where(rng.random(classes.shape) < 0.1, (classes + 1) % CLASSES, classes)
    model, other = judged(classes, file)
    for c, condition in enumerate(CONDITIONS):
        of_float, of_file = model["conditions"][c], other["conditions"][c]
        assert (of_file["corruption"], of_file["severity"]) == condition
        assert of_float["balanced_accuracy"] == pytest.approx(balanced_accuracy_score(LABELS, classes[:, c]))
        assert of_float["balanced_accuracy_low"] < of_float["balanced_accuracy"] < of_float["balanced_accuracy_high"]
        assert of_file["same_as_float"] == pytest.approx(np.mean(file[:, c] == classes[:, c]))
        assert of_file["same_as_clean"] == pytest.approx(np.mean(file[:, c] == file[:, 0]))
        assert of_float["calibration_error"] == pytest.approx(abs(0.8 - np.mean(classes[:, c] == LABELS)))
        assert of_float["same_as_float"] == 1 and of_float["mean_largest_delta_p"] == 0
    bad = [balanced_accuracy_score(LABELS, file[:, c]) for c in range(1, len(CONDITIONS))]
    assert other["balanced_accuracy_bad"].value == pytest.approx(np.mean(bad))
    lost = [c["balanced_accuracy"] - d["balanced_accuracy"] for c, d in zip(*(f["conditions"] for f in (model, other)))]  # noqa: B905
    assert other["accuracy_lost"].good == pytest.approx(lost[0])
    assert other["accuracy_lost"].extra.value == pytest.approx(np.mean(lost[1:]) - lost[0])
    assert other["class_changes"].bad.value == pytest.approx(np.mean(file[:, 1:] != classes[:, 1:]))


def test_says_so_where_quantisation_costs_more_on_bad_photographs(classes, rng):
    file = np.where(rng.random(classes.shape) < 0.4, (classes + 1) % CLASSES, classes)
    file[:, 0] = classes[:, 0]
    _, other = judged(classes, file)
    assert other["class_changes"].verdict == other["delta_p"].verdict == "more"
    assert other["sentence"].startswith("Quantisation costs more on bad photographs than on good ones: int8 gives")


def test_says_less_where_the_clean_ones_suffer(classes):
    file = classes.copy()
    file[:, 0] = (classes[:, 0] + 1) % CLASSES
    _, other = judged(classes, file)
    assert other["class_changes"].verdict == "less" and "costs less on bad" in other["sentence"]
    assert other["class_changes"].extra.value == -1


def test_no_change_in_a_small_sample_is_no_proof(classes):
    _, other = judged(classes, classes)
    changes = other["class_changes"]
    assert changes.verdict == "cannot tell" and "are too few to tell" in other["sentence"]
    # 60 patients of equal weight: the 97.5 % point of Poisson(1) is 3, so 3 of 60 may have changed unseen.
    assert (changes.extra.low, changes.extra.high) == pytest.approx((-3 / 60, 3 / 60))


def test_patients_are_resampled_not_photographs(rng):
    """Twice the same photographs of each patient are no more evidence than once."""
    values = (rng.random((60, 4)) < 0.3).astype(float)
    weights = rng.multinomial(60, np.full(60, 1 / 60), 4000)
    patients = [f"{i:02d}" for i in range(60)]
    once = extra_by_image(values, patients, weights, unseen=False, seed=0)
    twice = extra_by_image(np.repeat(values, 2, axis=0), np.repeat(patients, 2), weights, unseen=False, seed=0)
    for one, other in ((once.bad, twice.bad), (once.extra, twice.extra)):
        assert (one.value, one.low, one.high) == pytest.approx((other.value, other.low, other.high))
    spread = (values[:, 1:].mean(axis=1) - values[:, 0]).std() / np.sqrt(60)
    assert once.extra.high - once.extra.low == pytest.approx(2 * 1.96 * spread, rel=0.1)


def test_without_any_diagnosis_agreement_is_still_told(classes):
    model, other = judged(classes, classes, np.full(IMAGES, -1))
    assert np.isnan(model["balanced_accuracy_clean"].value) and "Balanced accuracy" not in other["detail"]
    assert other["conditions"][0]["same_as_float"] == 1
    json.dumps(plain([model, other]), allow_nan=False)
