"""Questions that a person can answer beside the picture, as typed facts and as JSON, and whether they agree."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

YES_NO, CHOICE, NUMBER = "yes_no", "choice", "number"
LARGEST = 1e9  # of min, max and knots, whose differences are divided by
Answer = bool | float | str  # of yes_no, number and choice
Answers = Mapping[str, Answer | None]  # question's id -> answer; None, and an id that is not there: unanswered


@dataclass(frozen=True)
class Choice:
    id: str
    text: Mapping[str, str]  # language -> words


@dataclass(frozen=True)
class Question:
    """One thing that a person can say beside the picture, and its places in the input `answers`."""

    id: str
    text: Mapping[str, str]  # language -> words, English first
    kind: str  # "yes_no", "choice" or "number"
    offset: int  # first place in the vector
    length: int  # places; all 0 when unanswered
    choices: tuple[Choice, ...] = ()
    unit: str | None = None  # of a number
    min: float | None = None
    max: float | None = None
    knots: tuple[float, ...] = ()  # of the piecewise-linear basis of a number


def places(question: Question) -> int:
    """How many places the answer takes in the vector: 2, one per choice, or one and one per knot."""
    return {YES_NO: 2, CHOICE: len(question.choices), NUMBER: 1 + len(question.knots)}[question.kind]


def length_of(questions: Sequence[Question]) -> int:
    """Q, the places of the whole vector."""
    return sum(question.length for question in questions)


def in_order(questions: Iterable[Question]) -> tuple[Question, ...]:
    """The questions one after the other in the vector: offset and length as their kinds and order ask for."""
    placed: list[Question] = []
    for question in questions:
        placed.append(replace(question, offset=length_of(placed), length=places(question)))
    return tuple(placed)


def contradiction(questions: Sequence[Question]) -> str | None:
    """What is wrong with questions that fit the schema of the manifest, in words; None where nothing is."""
    ids = [question.id for question in questions]
    for question in questions:
        wrong = own_contradiction(question)
        if wrong:
            return f"question {question.id}: {wrong}"
        if ids.count(question.id) > 1:
            return f"question {question.id} stands there twice"
    for question, wanted in zip(questions, in_order(questions), strict=True):
        if (question.offset, question.length) != (wanted.offset, wanted.length):
            return (
                f"question {question.id} has the {question.length} places from {question.offset} on, expected the "
                f"{wanted.length} from {wanted.offset} on: one question after the other, by their kinds"
            )
    return None


def own_contradiction(question: Question) -> str | None:
    """The same of one question, without its places."""
    texts = [question.text, *(choice.text for choice in question.choices)]
    if any(next(iter(text), None) != "en" for text in texts):
        return "the first language of each text is en"
    codes = [choice.id for choice in question.choices]
    if question.kind == CHOICE:
        if len(codes) < 2 or len(set(codes)) < len(codes):
            return "a choice has two or more choices, each with an id of its own"
    elif codes:
        return f"{question.kind} has no choices"
    numbers = (question.min, question.max, *question.knots)
    if question.kind != NUMBER:
        if question.unit is not None or numbers != (None, None):
            return f"{question.kind} has no unit, min, max or knots"
    elif any(number is None or not abs(number) <= LARGEST for number in numbers):  # NaN too
        return f"a number has min and max, and all its numbers are within {LARGEST:g}"
    elif len(question.knots) < 2 or not ascending(question.knots) or not ascending((question.min, question.max)):
        return "a number has min < max, and two knots or more that ascend"
    return None


def ascending(numbers: Sequence[Any]) -> bool:
    return all(low < high for low, high in pairwise(numbers))


def question_json(question: Question) -> dict[str, Any]:
    """The question as `manifest.schema.json` states it."""
    return {
        "id": question.id,
        "text": dict(question.text),
        "kind": question.kind,
        "choices": [{"id": choice.id, "text": dict(choice.text)} for choice in question.choices],
        "unit": question.unit,
        "min": question.min,
        "max": question.max,
        "knots": list(question.knots),
        "offset": question.offset,
        "length": question.length,
    }


def parsed_question(value: Mapping[str, Any]) -> Question:
    """From a value that fits the schema."""
    choices = tuple(Choice(choice["id"], choice["text"]) for choice in value["choices"])
    return Question(**{**value, "choices": choices, "knots": tuple(value["knots"])})
