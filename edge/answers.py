"""Answers of a person -> the vector `answers` that a network takes beside the picture (docs/answers.md).

Every app does the same from the manifest's `questions`. A file of answers is read as hostile.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from edge.checks import shown
from edge.errors import InputError, did_you_mean
from edge.files import read_json
from edge.questionnaire import CHOICE, NUMBER, YES_NO, Answer, Answers, Question, length_of

EXPECTED = 'a JSON object of answers, as {"age": 54, "region": "nose", "itches": true}'


def encode(answers: Answers, questions: Sequence[Question], *, where: str = "`answers`") -> np.ndarray:
    """The vector of the answers, float32 (Q,); all zero where nothing is answered.

    `yes_no` has 1 in the first of two places for yes and in the second for no; `choice` has 1 in the place of the
    choice; `number` has 1 in its first place, and behind it, one place per knot, the share that the nearest knots have:
    linear between two of them, 1 at the first or last where the number lies beyond. Raises InputError as `checked`.
    """
    vector = np.zeros(length_of(questions), np.float32)
    answered = checked(answers, questions, where=where)
    for question in questions:
        answer = answered.get(question.id)
        if answer is not None:
            for place, share in shares(answer, question):
                vector[question.offset + place] = share
    return vector


def shares(answer: Answer, question: Question) -> list[tuple[int, float]]:
    """The places of the question that are not 0, from its offset on, and what stands there."""
    if question.kind == YES_NO:
        return [(0 if answer else 1, 1.0)]
    if question.kind == CHOICE:
        return [([choice.id for choice in question.choices].index(str(answer)), 1.0)]
    knots, number = question.knots, float(answer)
    if number <= knots[0]:
        return [(0, 1.0), (1, 1.0)]
    if number >= knots[-1]:
        return [(0, 1.0), (len(knots), 1.0)]
    below = max(place for place, knot in enumerate(knots) if knot <= number)
    part = (number - knots[below]) / (knots[below + 1] - knots[below])
    return [(0, 1.0), (1 + below, 1.0 - part), (2 + below, part)]


def checked(answers: object, questions: Sequence[Question], *, where: str) -> dict[str, Answer]:
    """What was answered, each as its question takes it.

    Raises InputError that names `where` and the question: an unknown id, another kind of value than the question's,
    a number out of range, an unknown choice.
    """
    if not isinstance(answers, Mapping):
        raise InputError(f"{where}: expected {EXPECTED}, got {shown(answers)}")
    known = {question.id: question for question in questions}
    answered: dict[str, Answer] = {}
    for name, answer in answers.items():
        if not isinstance(name, str) or name not in known:
            near = did_you_mean(name, known) if isinstance(name, str) else ""
            raise InputError(f"{where}: no question is called {short(name)}{near}; there are {', '.join(known)}")
        if answer is not None:
            answered[name] = checked_answer(answer, known[name], where=where)
    return answered


def checked_answer(answer: object, question: Question, *, where: str) -> Answer:
    """One answer as its question takes it; InputError as `checked`."""
    about = f"{where}: {question.id}"
    if question.kind == YES_NO:
        if not isinstance(answer, bool | np.bool_):
            raise InputError(f"{about} is true or false, or null where it is not known, got {shown(answer)}")
        return bool(answer)
    if question.kind == CHOICE:
        codes = [choice.id for choice in question.choices]
        if not isinstance(answer, str):
            raise InputError(f"{about} is one of {', '.join(codes)}, or null, got {shown(answer)}")
        if answer not in codes:
            raise InputError(f"{about}: no choice is called {short(answer)}{did_you_mean(answer, codes)}; "
                             f"there are {', '.join(codes)}; null where none fits")  # fmt: skip
        return answer
    assert question.kind == NUMBER and question.min is not None and question.max is not None
    unit = f" {question.unit}" if question.unit else ""
    expected = f"a number from {question.min:g} to {question.max:g}{unit}, or null"
    if isinstance(answer, bool | np.bool_) or not isinstance(answer, int | float | np.integer | np.floating):
        raise InputError(f"{about} is {expected}, got {shown(answer)}")
    if not question.min <= answer <= question.max:  # NaN too
        raise InputError(f"{about} is {expected}, got {short(answer)}")
    number = float(answer)
    assert math.isfinite(number)
    return number


def short(value: object) -> str:
    """A value in a message, without its type."""
    text = shown(value)
    return text.rpartition(" (")[0] or text


def read_answers(path: str | Path, questions: Sequence[Question]) -> dict[str, Answer]:
    """What was answered in a file `answers.json`: an object of question's id -> answer, null where there is none.

    Raises InputError that names the file where it is missing, too large or no such object, names a question twice,
    or has what `checked` refuses.
    """
    path = Path(path)
    value = read_json(path, expected=EXPECTED)
    return checked(value, questions, where=str(path))
