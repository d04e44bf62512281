"""docs/answers.md in plain loops, without a library and otherwise put: the measure of every other version."""

from __future__ import annotations

import math
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


def in_force(decision: dict[str, Any], answered: int, probabilities: list[float], flags: list[Any]) -> dict[str, Any]:
    """The thresholds for so many answers and what they make of probabilities."""
    thresholds = {key: decision[key] for key in ("abstain_threshold", "malignant_threshold") if key in decision}
    for entry in sorted(decision.get("by_answers", []), key=lambda entry: -entry["from"]):
        if answered >= entry["from"]:
            thresholds = entry
            break
    temperature = thresholds.get("temperature", 1.0)
    if temperature != 1.0:
        logs = [math.log(p) / temperature if p > 0 else -math.inf for p in probabilities]
        powers = [math.exp(value - max(logs)) for value in logs]
        probabilities = [power / math.fsum(powers) for power in powers]
    limit = thresholds.get("malignant_threshold")
    total = math.fsum(p for p, flag in zip(probabilities, flags, strict=True) if flag is True)
    return {
        "tempered": probabilities,
        "sure": max(probabilities) >= thresholds["abstain_threshold"],
        "malignant": None if limit is None else total >= limit,
    }
