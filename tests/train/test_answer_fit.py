"""What answers add: learned from answers and not from blanks, scaled to a picture, and judged as it should be."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.special import softmax
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from edge.answers import encode
from edge.checkpoint import Checkpoint, Preprocess
from edge.data.table import UNKNOWN, Photo, PhotoSet
from edge.errors import InputError
from edge.labels import Label
from edge.metrics.roc import auc_interval
from edge.nine_questions import QUESTIONS, REGIONS
from edge.questionnaire import Answers, Question, in_order
from train import _answer_fit
from train._answer_figures import ANSWERS, BLANKS, BOTH, IMAGE, SOME, figures_of, judge_points, operating_points
from train._answer_fit import (
    AnswerArrays,
    centred,
    fit_answers,
    fit_blanks,
    fit_scale,
    question_of_places,
    some_left_out,
)
from train._answers import WithAnswers, add_answers, learn_answers

TWO = in_order([replace(QUESTIONS[3]), replace(QUESTIONS[0])])  # itches, age


def arrays_of(answers: list[Answers], questions: tuple[Question, ...]) -> AnswerArrays:
    vectors = np.array([encode(row, questions) for row in answers], np.float64)
    return AnswerArrays(vectors, np.array([[row.get(q.id) is not None for q in questions] for row in answers]))


def drawn(count: int, seed: int, *, telling: bool, blanks: bool) -> tuple[AnswerArrays, np.ndarray, list[str]]:
    """Three classes. `telling`: class 0 itches and is old. `blanks`: class 0 alone answers always, others rarely."""
    rng = np.random.default_rng(seed)
    targets = rng.integers(0, 3, count)
    answers: list[Answers] = []
    for target in targets:
        old = telling and target == 0
        row: dict[str, bool | float | str | None] = {
            "itches": bool(rng.random() < (0.9 if old else 0.4)),
            "age": float(np.clip(rng.normal(70 if old else 45, 10), 0, 120)),
        }
        if blanks and target != 0:
            row = {name: value if rng.random() < 0.15 else None for name, value in row.items()}
        answers.append(row)
    return arrays_of(answers, TWO), targets, [f"P{number // 2}" for number in range(count)]


def area(weight: np.ndarray, answers: AnswerArrays, targets: np.ndarray) -> float:
    return float(roc_auc_score(targets == 0, softmax(answers.vectors @ weight.T, axis=1)[:, 0]))


def test_what_answers_say_is_learned() -> None:
    fit = fit_answers(*drawn(600, 1, telling=True, blanks=False), TWO, 3, seed=0)
    answers, targets, _ = drawn(600, 2, telling=True, blanks=False)
    assert area(fit.weight, answers, targets) > 0.9
    itches = fit.weight[:, 0] - fit.weight[:, 1]
    assert itches[0] > 0.5 and fit.strength in _answer_fit.STRENGTHS


def test_blanks_teach_nothing() -> None:
    """Answers that say nothing, given by class 0 alone: the control reads them off the blanks, the fit does not."""
    learned = drawn(600, 3, telling=False, blanks=True)
    answers, targets, _ = drawn(600, 4, telling=False, blanks=True)
    weight, bias = fit_blanks(learned[0], learned[1], 3)
    leak = softmax((1.0 - answers.answered) @ weight.T + bias, axis=1)[:, 0]
    assert roc_auc_score(targets == 0, leak) > 0.9
    fit = fit_answers(*learned, TWO, 3, seed=0)
    assert 0.4 < area(fit.weight, answers, targets) < 0.6


def test_a_question_adds_nothing_on_average() -> None:
    """Over those who answered it, each class weighing alike: a blank is then as good as an average answer."""
    answers, targets, patients = drawn(500, 5, telling=True, blanks=True)
    weight = fit_answers(answers, targets, patients, TWO, 3, seed=0).weight
    for number, question in enumerate(TWO):
        own = slice(question.offset, question.offset + question.length)
        added = answers.vectors[:, own] @ weight[:, own].T
        there = answers.answered[:, number]
        mean = np.mean([added[there & (targets == k)].mean(axis=0) for k in range(3)], axis=0)
        np.testing.assert_allclose(mean, 0, atol=1e-9)


def test_it_is_the_regression_of_scikit_learn_on_centred_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without dropped answers, where all are given: the same log-odds but for a constant of each class."""
    monkeypatch.setattr(_answer_fit, "MOST_DROPPED", 0.0)
    monkeypatch.setattr(_answer_fit, "STRENGTHS", (1.0,))
    answers, targets, patients = drawn(400, 6, telling=True, blanks=False)
    weight = fit_answers(answers, targets, patients, TWO, 3, seed=0).weight
    plain = LogisticRegression(C=1.0, class_weight="balanced", fit_intercept=False, max_iter=1000)
    oracle = plain.fit(answers.vectors - centred(answers, targets, TWO), targets)
    expected = oracle.decision_function(answers.vectors - centred(answers, targets, TWO))
    ours = answers.vectors @ weight.T
    np.testing.assert_allclose(
        ours - ours.mean(1, keepdims=True), expected - expected.mean(1, keepdims=True), atol=2e-3
    )


def test_a_class_that_never_answers_and_one_that_is_not_there() -> None:
    answers, targets, patients = drawn(300, 7, telling=True, blanks=False)
    silent = targets == 1
    none = AnswerArrays(answers.vectors * ~silent[:, None], answers.answered & ~silent[:, None])
    weight = fit_answers(none, targets, patients, TWO, 5, seed=0).weight
    assert weight.shape == (5, 7) and np.isfinite(weight).all() and not weight[3:].any()
    two = np.where(targets == 2, 0, targets)
    assert fit_answers(answers, two, patients, TWO, 2, seed=0).weight.shape == (2, 7)


def test_what_cannot_be_learned_from_is_refused() -> None:
    answers, targets, patients = drawn(60, 8, telling=True, blanks=False)
    nothing = AnswerArrays(answers.vectors * 0, np.zeros_like(answers.answered))
    with pytest.raises(InputError, match="no photograph has an answer"):
        fit_answers(nothing, targets, patients, TWO, 3, seed=0)
    with pytest.raises(InputError, match="one class"):
        fit_answers(answers, targets * 0, patients, TWO, 3, seed=0)
    with pytest.raises(InputError, match="patients"):
        fit_answers(answers, targets, ["P"] * 60, TWO, 3, seed=0)
    single = np.where(targets == 2, 1, 0)
    alone = ["Q" if target else patient for target, patient in zip(single, patients, strict=True)]
    with pytest.raises(InputError, match=r"fewer than two classes have so many \(patients by class: \d+, 1\)"):
        fit_answers(answers, single, alone, TWO, 2, seed=0)


def test_a_class_whose_patients_are_all_in_one_fold() -> None:
    """Without that fold one class would be left to learn from; the others choose the regularisation."""
    answers, targets, _ = drawn(60, 8, telling=True, blanks=False)
    rare = np.where(np.arange(60) < 2, 1, 0)
    patients = [f"P{number}" for number in range(60)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_answer_fit, "patient_folds", lambda *given, **named: np.where(rare, 0, np.arange(60) % 5))
        assert np.isfinite(fit_answers(answers, rare, patients, TWO, 2, seed=0).weight).all()
    # a class of one patient beside two others: some fold learns without it
    targets = np.where(rare, 2, targets % 2)
    assert np.isfinite(fit_answers(answers, targets, ["Q", "Q", *patients[2:]], TWO, 3, seed=0).weight).all()


def test_photographs_without_a_class_teach_and_judge_nothing() -> None:
    """Of index -1, which would count as the last class."""
    rng = np.random.default_rng(14)

    def photos(count: int, unknown: int, name: str) -> PhotoSet:
        labels = [*(("A", "B")[n % 2] for n in range(count)), *([UNKNOWN] * unknown)]
        rows = [Photo(Path(f"{name}{n}.png"), f"{name}{n}", label, f"{name}{n}", "d",
                      answers={"itches": bool(rng.random() < 0.5) if label == UNKNOWN else label == "A"})
                for n, label in enumerate(labels)]  # fmt: skip
        return PhotoSet("set", CLASSES[:2], tuple(rows))

    def whole(unknown: int) -> WithAnswers:
        logits = np.random.default_rng(15).normal(size=(26, 2))
        both = logits[:20], logits[:20]
        if unknown:
            both = logits, logits
        checkpoint = Checkpoint("x", CLASSES[:2], Preprocess("area-2", 32), {})
        learned = learn_answers(photos(30, unknown, "t"))
        return add_answers(checkpoint, learned, photos(20, unknown, "h"), photos(20, unknown, "u"), both)

    plain, more = whole(0), whole(6)
    assert torch.equal(more.checkpoint.answers_weight, plain.checkpoint.answers_weight)  # type: ignore[arg-type]
    assert more.figures == plain.figures and len(more.unseen) == 20


def test_half_of_the_answers_are_left_out_whole_and_alike() -> None:
    rows: list[Answers] = [{"age": 50, "region": region, "raised": True} for region in REGIONS]
    answers = arrays_of(rows * 40, QUESTIONS)
    some = some_left_out(answers, QUESTIONS, seed=3)
    assert 0.4 < some.answered.sum() / answers.answered.sum() < 0.6
    places = some.answered[:, question_of_places(QUESTIONS)]
    np.testing.assert_array_equal(some.vectors, answers.vectors * places)
    np.testing.assert_array_equal(some.vectors, some_left_out(answers, QUESTIONS, seed=3).vectors)


def test_a_few_photographs_leave_the_answers_as_they_are() -> None:
    logits, added = np.eye(3)[[0, 1]], 9 * np.eye(3)[[1, 2]]  # both answers are wrong
    assert 0.3 < fit_scale(logits, [added], np.array([0, 1]), temperature=0.7) < 0.7


@pytest.mark.parametrize("scale", [0.3, 1.0])
def test_the_scale_is_found_again(scale: float) -> None:
    """Classes drawn from softmax((picture + scale * answers) / temperature)."""
    rng = np.random.default_rng(9)
    logits, added = rng.normal(0, 2, (20_000, 3)), rng.normal(0, 2, (20_000, 3))
    probabilities = softmax((logits + scale * added) / 0.7, axis=1)
    targets = (probabilities.cumsum(axis=1) < rng.random((20_000, 1))).sum(axis=1).clip(0, 2)
    assert fit_scale(logits, [added], targets, temperature=0.7) == pytest.approx(scale, abs=0.05)


CLASSES = (Label("A", "a", malignant=True), Label("B", "b", malignant=False), Label("C", "c", malignant=None))


def test_the_figures_are_those_of_scikit_learn() -> None:
    rng = np.random.default_rng(10)
    targets = rng.integers(0, 3, 200)
    logits = rng.normal(0, 1, (200, 3)).round(1)  # with ties
    patients = [f"P{number // 3}" for number in range(200)]
    kinds = {IMAGE: logits, BOTH: logits + 2 * np.eye(3)[targets]}
    figures = figures_of(kinds, targets, patients, CLASSES)
    known = targets != 2
    wanted = roc_auc_score(targets[known] == 0, softmax(logits, axis=1)[known, 0])
    found = figures[IMAGE]["malignant_auc"]
    assert found["value"] == pytest.approx(wanted, abs=1e-12) and found["low"] < wanted < found["high"]
    assert figures[BOTH]["loss_to_image"]["value"] == pytest.approx(
        figures[IMAGE]["balanced_accuracy"]["value"] - figures[BOTH]["balanced_accuracy"]["value"]
    )
    assert figures[BOTH]["loss_to_image"]["high"] < 0


def test_the_interval_of_the_area_counts_patients() -> None:
    """Two photographs of each patient that are the same say no more than one."""
    rng = np.random.default_rng(11)
    scores, positive = rng.normal(size=100), rng.random(100) < 0.5
    once = auc_interval(scores, positive, [str(number) for number in range(100)])
    twice = auc_interval(scores.repeat(2), positive.repeat(2), [str(number // 2) for number in range(200)])
    assert twice.low == pytest.approx(once.low, abs=0.02) and twice.high == pytest.approx(once.high, abs=0.02)
    apart = auc_interval(positive + 0.0, positive, [str(number) for number in range(100)])
    assert apart.value == apart.high == 1 and 0.9 < apart.low < 0.95
    assert np.isnan(auc_interval(scores, positive | True, ["a"] * 100).value)


def test_operating_points_hold_where_they_were_chosen() -> None:
    rng = np.random.default_rng(12)
    targets = rng.integers(0, 2, 1000)
    logits = np.eye(3)[targets] * 2 + rng.normal(size=(1000, 3))
    kinds = {IMAGE: logits, SOME: logits * 1.5, BOTH: logits * 3}
    points = operating_points(kinds, targets, CLASSES)
    judged = judge_points(points, kinds, targets, CLASSES)
    for case in ("none", "some", "all"):
        assert judged[case]["coverage_own"] == pytest.approx(0.9, abs=0.005)
        assert judged[case]["sensitivity_own"] == pytest.approx(0.9, abs=0.005)
        assert judged[case]["calibration_error_refitted"] < 0.06
    assert points["all"]["temperature"] == pytest.approx(3 * points["none"]["temperature"], rel=0.01)
    assert judged["all"]["coverage_none"] > judged["all"]["coverage_own"]
    assert {ANSWERS, BLANKS} & points.keys() == set()  # of pictures alone


def test_specificity_is_of_benign_lesions_alone() -> None:
    """C, of which nobody knows what it is, is called malignant here in all its photographs."""
    targets = np.array([0, 0, 1, 1, 1, 2, 2, 2, 2])
    malignant = np.array([0.9, 0.8, 0.1, 0.1, 0.95, 0.99, 0.99, 0.99, 0.99])
    logits = np.log(np.stack([malignant, (1 - malignant) * 0.6, (1 - malignant) * 0.4], axis=1))
    kinds = dict.fromkeys((IMAGE, SOME, BOTH), logits)
    judged = judge_points(operating_points(kinds, targets, CLASSES), kinds, targets, CLASSES)["none"]
    assert judged["specificity_own"] == pytest.approx(2 / 3) and judged["sensitivity_own"] == 1


def test_without_malignant_lesions_there_is_no_such_point() -> None:
    targets = np.ones(20, int)
    kinds = dict.fromkeys((IMAGE, SOME, BOTH), np.eye(3)[targets])
    points = operating_points(kinds, targets, CLASSES)
    assert "malignant_threshold" not in points["all"]
    assert "sensitivity_own" not in judge_points(points, kinds, targets, CLASSES)["all"]
