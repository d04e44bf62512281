"""docs/answers.md in plain loops, without a library and otherwise put: the measure of every other version."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

Question = dict[str, Any]


def hat(number: Fraction, knots: list[Fraction], place: int) -> Fraction:
    """1 at a knot, 0 at its neighbours, linear between them, and flat beyond the first and the last."""
    here = knots[place]
    if number < here:
        if place == 0:
            return Fraction(1)
        return max(Fraction(0), (number - knots[place - 1]) / (here - knots[place - 1]))
    if place == len(knots) - 1:
        return Fraction(1)
    return max(Fraction(0), (knots[place + 1] - number) / (knots[place + 1] - here))


def encode(questions: list[Question], answers: dict[str, Any]) -> list[float]:
    vector: list[float] = []
    part: list[Any]
    for question in questions:
        assert len(vector) == question["offset"]
        answer = answers.get(question["id"])
        if question["kind"] == "yes_no":
            part = [answer is True, answer is False]
        elif question["kind"] == "choice":
            part = [choice["id"] == answer for choice in question["choices"]]
        elif answer is None:
            part = [0] * (1 + len(question["knots"]))
        else:
            knots = [Fraction(knot) for knot in question["knots"]]
            part = [1, *(hat(Fraction(answer), knots, place) for place in range(len(knots)))]
        assert len(part) == question["length"]
        vector += [float(number) for number in part]
    return vector
