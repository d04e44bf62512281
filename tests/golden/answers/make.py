"""Writes cases.json: answers and the vector that they become, made by reference.py alone, and answers to be refused.

    python tests/golden/answers/make.py            # writes
    python tests/golden/answers/make.py --check    # compares with what is there, exit code 1 if it differs

Apps are tested on this very file.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))
from edge.nine_questions import QUESTIONS
from edge.questionnaire import question_json
from tests.golden.answers import reference
from tests.golden.writing import write_or_check

FILE = Path(__file__).with_name("cases.json")
ABOUT = (
    "`questions`: lists as they stand in a manifest, by name. `encoded`: answers to one of the lists and the vector "
    "`answers`; compare to 1e-6, an app may count in float32. `refused`: answers that are an error; `accepted` is true "
    "for neighbours that are none. `thresholds`: a manifest's `decision`, how many questions were answered, the "
    "probabilities of the file and which classes are malignant (null: unknown); `tempered` are the probabilities to be "
    "shown (compare to 1e-9), `sure` whether the largest reaches the abstain threshold, `malignant` whether the "
    "malignant classes together reach theirs, null without one."
)
NINE = [question_json(question) for question in QUESTIONS]
TEXT = {"en": "?"}


def question(code: str, kind: str, offset: int, length: int, **own: Any) -> dict[str, Any]:
    plain: dict[str, Any] = {"choices": [], "unit": None, "min": None, "max": None, "knots": []}
    return {"id": code, "text": TEXT, "kind": kind, "offset": offset, "length": length} | plain | own


# What a manifest of tomorrow may have: another order, a number below zero, knots apart by less than 1.
OTHERS = [
    question("sure", "yes_no", 0, 2),
    question("change", "number", 2, 4, unit="mm", min=-5.0, max=2.5, knots=[-1.5, 0.0, 0.25]),
    question("side", "choice", 6, 2, choices=[{"id": "left", "text": TEXT}, {"id": "right", "text": TEXT}]),
    question("size", "number", 8, 3, unit=None, min=0, max=100, knots=[3, 10]),
]
# Ids and choices that are something else to languages with objects for dictionaries.
ODD = [question(code, "yes_no", 2 * place, 2) for place, code in enumerate(("length", "constructor", "__proto__", "0"))]
ODD.append(question("append", "choice", 8, 2, choices=[{"id": "toString", "text": TEXT}, {"id": "1", "text": TEXT}]))
LISTS = {"nine": NINE, "others": OTHERS, "odd": ODD}
ALL_NINE = {"age": 54, "gender": "female", "region": "nose", "itches": True, "grew": False, "hurts": False,
            "changed": True, "bleeds": True, "raised": False}  # fmt: skip


def encoded() -> Iterator[dict[str, Any]]:
    def case(name: str, questions: str, answers: dict[str, Any]) -> dict[str, Any]:
        vector = reference.encode(LISTS[questions], answers)
        return {"name": name, "questions": questions, "answers": answers, "vector": vector}

    yield case("nothing answered", "nine", {})
    yield case("nothing known", "nine", dict.fromkeys(ALL_NINE))
    yield case("all nine", "nine", ALL_NINE)
    yield case("all nine, otherwise", "nine", ALL_NINE | {"age": 7, "gender": "male", "region": "foot", "itches": False,
               "grew": True, "hurts": True, "changed": False, "bleeds": False, "raised": True})  # fmt: skip
    yield case("some, and some not known", "nine", {"region": "back", "age": None, "raised": True, "gender": None})
    for age in (0, 19, 20, 20.5, 21, 39, 40, 41, 59.75, 60, 67, 79, 80, 81, 120):
        yield case(f"age {age}", "nine", {"age": age})
    for choice in next(entry for entry in NINE if entry["id"] == "region")["choices"]:
        yield case(f"region {choice['id']}", "nine", {"region": choice["id"]})
    for change in (-5, -1.5, -1, -0.25, 0, 0.1, 0.125, 0.25, 2.5):
        yield case(f"other questions, {change}", "others", {"change": change, "side": "right", "sure": False})
    yield case("nothing answered of odd questions", "odd", {})
    for answered in ODD[:4]:
        yield case(f"{answered['id']} alone", "odd", {answered["id"]: True})
    yield case("all odd questions", "odd", {"__proto__": False, "0": True, "append": "toString", "constructor": False,
               "length": True})  # fmt: skip
    yield case("two knots", "others", {"size": 4, "side": "left", "sure": True})


def refused() -> Iterator[dict[str, Any]]:
    def case(name: str, answers: Any, *, accepted: bool = False, questions: str = "nine") -> dict[str, Any]:
        return {"name": name, "accepted": accepted, "questions": questions, "answers": answers}

    yield case("nothing is wrong", ALL_NINE, accepted=True)
    yield case("nothing is said", {}, accepted=True)
    yield case("null is no answer", {"age": None, "itches": None, "region": None}, accepted=True)
    yield case("an unknown question", {"itching": True})
    yield case("an unknown question without an answer", {"diameter": None})
    yield case("another case of letters", {"Age": 54})
    wrong: Any
    for wrong in (1, 0, "yes", "true", [], {}):
        yield case(f"{json.dumps(wrong)} for yes or no", {"itches": wrong})
    for wrong in ("NOSE", "leg", "", 3, True, ["nose"]):
        yield case(f"{json.dumps(wrong)} for a choice", {"region": wrong})
    for wrong in ("54", True, False, [54], -1, -0.001, 120.001, 121, 10**30):
        yield case(f"{json.dumps(wrong)} for a number", {"age": wrong})
    for good in (0, 120, 33.3):
        yield case(f"{good} for a number", {"age": good}, accepted=True)
    for number, good in ((-5, True), (-5.001, False), (2.5, True), (2.501, False)):
        yield case(f"{number} for another number", {"change": number}, accepted=good, questions="others")


def thresholds() -> Iterator[dict[str, Any]]:
    some = {"answered": "some", "from": 1, "abstain_threshold": 0.5, "malignant_threshold": 0.3}
    all_nine = {"answered": "all", "from": 5, "abstain_threshold": 0.625, "malignant_threshold": 0.25}
    whole = {"abstain_threshold": 0.45, "malignant_threshold": 0.35}
    both = {**whole, "by_answers": [some, all_nine]}
    warm = {**whole, "by_answers": [{**some, "temperature": 0.5}, {**all_nine, "temperature": 1.25}]}
    cold = {**whole, "by_answers": [{**some, "temperature": 2.0}, all_nine]}
    odd = [0.55, 0.32, 0.14]  # fp16 arithmetic: adds up to 1.01

    def case(name: str, decision: Any, answered: int, probabilities: list[float], flags: Any = (False, True, None)):
        told = reference.in_force(decision, answered, probabilities, list(flags))
        return {"name": name, "decision": decision, "answered": answered, "probabilities": probabilities,
                "flags": list(flags)} | told  # fmt: skip

    for answered in (0, 1, 4, 5, 9):
        yield case(f"two cases, {answered} answered", both, answered, odd)
        yield case(f"two temperatures, {answered} answered", warm, answered, odd)
        yield case(f"one temperature, {answered} answered", cold, answered, odd)
        yield case(f"nothing by answers, {answered} answered", whole, answered, odd)
    yield case("without a malignant threshold", {"abstain_threshold": 0.5}, 3, odd)
    yield case("just sure", both, 5, [0.625, 0.25, 0.125])
    yield case("not quite sure", both, 5, [0.62, 0.255, 0.125])
    yield case("just malignant", both, 5, [0.625, 0.25, 0.125])
    yield case("several malignant classes", both, 5, [0.75, 0.125, 0.125], (False, True, True))
    yield case("a temperature of 1 changes nothing", {**whole, "by_answers": [{**some, "temperature": 1.0}]}, 2, odd)
    yield case("hardly above zero", warm, 2, [0.9, 0.04, 0.06])
    yield case("below zero by rounding", warm, 2, [0.96, 0.05, -0.01])
    yield case("exactly zero", cold, 2, [0.75, 0.25, 0.0])


def main() -> int:
    cases = {"about": ABOUT, "questions": LISTS, "encoded": list(encoded()), "refused": list(refused())}
    cases["thresholds"] = list(thresholds())
    return write_or_check(json.dumps(cases, indent=1, ensure_ascii=False) + "\n", FILE, __doc__)


if __name__ == "__main__":
    raise SystemExit(main())
