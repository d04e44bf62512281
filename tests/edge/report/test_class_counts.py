"""Figures say which classes they do not speak of."""

from __future__ import annotations

import pytest

from edge.report import class_counts, words


def test_a_balanced_accuracy_is_called_by_the_classes_that_it_is_of():
    assert class_counts.balanced_accuracy_of({"nv": 9, "mel": 1}) == "balanced accuracy"
    assert class_counts.balanced_accuracy_of({"nv": 9, "mel": 0, "scc": 0}) == "balanced accuracy of 1 of 3 classes"


def test_remarks_name_classes_without_photographs_and_with_few():
    assert class_counts.remarks({"nv": 9, "mel": 5}) == []
    absent, few = class_counts.remarks({"nv": 9, "mel": 0, "bcc": 4})
    assert absent.startswith("No photograph of mel: ") and "the other 2 classes" in absent
    assert "bcc (4)" in few and "nv" not in few


@pytest.mark.parametrize(
    ("patients", "said"),
    [(7, "about 7 like"), (1523, "about 1,600 like"), (20_000, "about 20,000"), (5_659_160, "too near the limit")],
)
def test_no_number_of_patients_is_asked_for_that_nobody_has(patients, said):
    check = {"name": "Top-1 agreement", "verdict": "inconclusive", "patients_needed": patients}
    line = words.undecided([check, check, {"verdict": "pass"}], 5)
    assert said in line and "5,659,160" not in line and line.count("were seen") == 1
