"""Thresholds with answers: kept where they hold, measured anew where they do not, and judged with both."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from edge.data.table import Photo
from edge.decision import CHECKS, LARGEST, Thresholds
from edge.labels import Label
from edge.nine_questions import QUESTIONS
from edge.questionnaire import Answer, length_of
from edge.questions.decision.by_answers import measured_points, starts_of
from edge.questions.decision.judged import judge_answers

ALL_NINE: dict[str, Answer] = {"age": 54, "gender": "female", "region": "nose", "itches": True, "grew": False,
                               "hurts": False, "changed": True, "bleeds": True, "raised": False}  # fmt: skip
LABELS = (Label("ben", "benign", malignant=False), Label("mal", "malignant", malignant=True))
CHECKPOINT: Any = SimpleNamespace(labels=LABELS, questions=QUESTIONS, answers_weight=object())
N = 200
NOTHING_FAILS = {name: 0 if kind == "min" else LARGEST[name] for name, (kind, _) in CHECKS.items()}


class Network:
    """Says of each square, which holds its number, what was laid down for so many answers."""

    def __init__(self, none: np.ndarray, some: np.ndarray, whole: np.ndarray) -> None:
        self.by_case = {"none": none, "some": some, "all": whole}

    def run(self, squares: np.ndarray, answers: np.ndarray | None = None) -> Any:
        rows = np.zeros((len(squares), length_of(QUESTIONS)), np.float32) if answers is None else answers
        counted = [sum(row[q.offset : q.offset + q.length].any() for q in QUESTIONS) for row in rows]
        cases = ["none" if n == 0 else "all" if n > 4 else "some" for n in counted]
        malignant = np.array([self.by_case[case][i] for case, i in zip(cases, squares[:, 0, 0, 0], strict=True)])
        return SimpleNamespace(probabilities=np.stack([1 - malignant, malignant], axis=1), masks=None)


def as_often_as_said(p: np.ndarray) -> np.ndarray:
    """Classes (N,), 0 or 1, of which among photographs of like probabilities as many are 1 as these say."""
    order = np.argsort(p)
    targets = np.empty(len(p), int)
    targets[order] = np.diff(np.floor(np.cumsum(p[order]) + 0.5), prepend=0)
    return targets


def photos_of(targets: np.ndarray) -> list[Photo]:
    return [
        Photo(Path(f"{n}.png"), f"{n}.png", LABELS[t].code, f"p{n}", "set", answers=ALL_NINE)
        for n, t in enumerate(targets)
    ]


SQUARES = np.broadcast_to(np.arange(N, dtype=np.uint8)[:, None, None, None], (N, 1, 1, 3))


def measured(network: Any, targets: np.ndarray, count: int = N) -> dict[str, Any]:
    probabilities = network.run(SQUARES[:count]).probabilities
    threshold = np.floor(np.sort(probabilities.max(axis=1))[count // 10] * 1e4) / 1e4
    points = measured_points(network, CHECKPOINT, photos_of(targets[:count]), SQUARES[:count], probabilities,
                             threshold, 0.9)  # fmt: skip
    return {"abstain_threshold": threshold, **points}


def test_what_holds_is_kept_and_a_temperature_is_fitted_where_it_does_not(rng):
    """All answers double the log-odds of probabilities that were right: the best temperature is 2, all else holds."""
    p = rng.uniform(0.02, 0.98, N)
    targets = as_often_as_said(p)
    whole = measured(Network(p, p, p**2 / (p**2 + (1 - p) ** 2)), targets)
    scores = np.sort(p[targets == 1])
    assert whole["malignant_threshold"] == pytest.approx(scores[int(0.1 * (len(scores) - 1))], abs=1e-4)
    some, every = whole["by_answers"]
    points = {name: whole[name] for name in ("abstain_threshold", "malignant_threshold")}
    assert some == {"answered": "some", "from": 1, **points}
    assert every == {"answered": "all", "from": 5, **points, "temperature": every["temperature"]}
    assert 1.6 < every["temperature"] < 2.6


def test_surer_answers_get_thresholds_of_their_own(rng):
    p = rng.beta(0.3, 0.3, N).clip(1e-6, 1 - 1e-6)
    targets = as_often_as_said(p)
    unsure = rng.uniform(0.1, 0.3, N)
    whole = measured(Network(unsure, unsure, p), targets)
    _, every = whole["by_answers"]
    largest = np.sort(np.maximum(p, 1 - p))
    assert every["abstain_threshold"] == pytest.approx(largest[N // 10], abs=1e-4) and "temperature" not in every
    scores = np.sort(p[targets == 1])
    assert every["malignant_threshold"] == pytest.approx(scores[int(0.1 * (len(scores) - 1))], abs=1e-4)


def test_thresholds_that_hold_are_not_written_again(rng):
    p = rng.uniform(0.02, 0.98, N)
    assert "by_answers" not in measured(Network(p, p, p), as_often_as_said(p))


def test_too_few_photographs_are_said(rng, messages):
    p = rng.uniform(0.02, 0.98, N)
    assert set(measured(Network(p, p, p), as_often_as_said(p), 15)) == {"abstain_threshold"}
    assert any("no operating point for malignancy: it takes 20" in line for line in messages)
    assert any("it takes 20 held-back photographs with answers, there are 15 with some" in line for line in messages)


def test_each_case_is_judged_with_both(rng):
    p = rng.beta(0.3, 0.3, N).clip(1e-6, 1 - 1e-6)
    targets = as_often_as_said(p)
    unsure = rng.uniform(0.4, 0.6, N)
    rule = Thresholds(8, NOTHING_FAILS, 0.55, ("ben", "mal"), 0.45)
    network: Any = Network(unsure, unsure, p)
    rows = judge_answers(network, CHECKPOINT, photos_of(targets), SQUARES, rule)
    assert [row["answered"] for row in rows] == ["none", "some", "all"] and rows[2]["images"] == N
    assert rows[2]["own"] == rows[2]["of_nothing_answered"]
    sure = np.maximum(p, 1 - p) >= 0.55
    assert rows[2]["own"]["coverage"].value == pytest.approx(sure.mean())
    assert rows[2]["own"]["risk"].value == pytest.approx(((p > 0.5) != targets)[sure].mean())
    assert rows[2]["own"]["sensitivity"].value == pytest.approx((p >= 0.45)[targets == 1].mean())
    assert rows[2]["own"]["specificity"].value == pytest.approx((p < 0.45)[targets == 0].mean())
    assert rows[0]["own"]["coverage"].value == pytest.approx((np.maximum(unsure, 1 - unsure) >= 0.55).mean())


def test_more_than_half_of_the_questions_are_all_of_them():
    assert starts_of(9) == {"some": 1, "all": 5} and starts_of(4) == {"some": 1, "all": 3}
    assert starts_of(1) == {"all": 1}
