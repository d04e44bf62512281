"""Answers become the vector that the golden file has, and what is no answer is refused by name."""

from __future__ import annotations

import json
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge.answers import encode, read_answers
from edge.errors import InputError
from edge.manifest import questions_of
from edge.nine_questions import LANGUAGES, QUESTIONS
from edge.questionnaire import Question, contradiction, length_of, question_json
from tests.golden.answers import make

STORED = json.loads(Path(make.FILE).read_text("utf-8"))
LISTS = {name: questions_of(listed, where=name) for name, listed in STORED["questions"].items()}
NINE = [question.id for question in QUESTIONS]


@pytest.mark.parametrize("case", STORED["encoded"], ids=lambda case: case["name"])
def test_our_vector_is_the_golden_one(case: dict[str, Any]) -> None:
    vector = encode(case["answers"], LISTS[case["questions"]])
    assert vector.dtype == np.float32 and vector.shape == (len(case["vector"]),)
    np.testing.assert_allclose(vector, case["vector"], rtol=0, atol=1e-7)


@pytest.mark.parametrize("case", STORED["refused"], ids=lambda case: case["name"])
def test_what_the_page_refuses_is_refused(case: dict[str, Any]) -> None:
    with nullcontext() if case["accepted"] else pytest.raises(InputError):
        encode(case["answers"], LISTS[case["questions"]])


def test_the_golden_file_is_what_the_reference_makes() -> None:
    assert STORED["questions"] == json.loads(json.dumps(make.LISTS))
    assert STORED["encoded"] == json.loads(json.dumps(list(make.encoded())))
    assert STORED["refused"] == json.loads(json.dumps(list(make.refused())))
    assert STORED["thresholds"] == json.loads(json.dumps(list(make.thresholds())))


def test_the_nine_are_those_of_the_issue() -> None:
    assert NINE == ["age", "gender", "region", "itches", "grew", "hurts", "changed", "bleeds", "raised"]
    assert LISTS["nine"] == QUESTIONS and contradiction(QUESTIONS) is None
    assert length_of(QUESTIONS) == 5 + 2 + 14 + 6 * 2
    texts = [text for question in QUESTIONS for text in (question.text, *(choice.text for choice in question.choices))]
    assert all(tuple(text) == LANGUAGES and all(text.values()) for text in texts)
    assert all(len({choice.text[language] for choice in question.choices}) == len(question.choices)
               for question in QUESTIONS for language in LANGUAGES)  # fmt: skip


@pytest.mark.parametrize(
    ("answers", "said"),
    [
        ({"itch": True}, "no question is called 'itch' (did you mean itches?)"),
        ({"AGE": 5}, "no question is called 'AGE' (did you mean age?)"),
        ({"region": "foream"}, "no choice is called 'foream' (did you mean forearm?)"),
        ({"region": "NOSE"}, "(did you mean nose?)"),
        ({"itches": "yes"}, "itches is true or false, or null where it is not known, got 'yes' (str)"),
        ({"age": "54"}, "age is a number from 0 to 120 years, or null, got '54' (str)"),
        ({"age": 130}, "age is a number from 0 to 120 years, or null, got 130"),
        ({"age": float("nan")}, "got nan"),
        ({"age": True}, "got True (bool)"),
        ([], "expected a JSON object of answers"),
        ({3: True}, "no question is called 3;"),
    ],
)
def test_what_is_wrong_is_said(answers: Any, said: str) -> None:
    with pytest.raises(InputError) as caught:
        encode(answers, QUESTIONS)
    assert said in str(caught.value) and str(caught.value).startswith("`answers`: ")


def test_a_file_of_answers_is_read(tmp_path: Path) -> None:
    file = tmp_path / "answers.json"
    file.write_text('\ufeff{"age": 54, "region": "nose", "grew": null}', "utf-8")
    assert read_answers(file, QUESTIONS) == {"age": 54.0, "region": "nose"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"age": 54, "age": 20}', "'age' is there twice"),
        ('{"age": NaN}', "age is a number"),
        ('{"age": 1e999}', "got inf"),
        ('{"age": ' + "9" * 400 + "}", "age is a number"),
        ("[1]", "holds no JSON object"),
        ("{" * 100_000, "is not JSON"),
        ('{"itches": {"yes": 1}}', "itches is true or false"),
        ('{"\\u0000": 1}', "no question is called"),
    ],
)
def test_a_hostile_file_is_refused_by_name(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "answers.json"
    file.write_text(text, "utf-8")
    with pytest.raises(InputError) as caught:
        read_answers(file, QUESTIONS)
    assert said in str(caught.value) and str(file) in str(caught.value) and len(str(caught.value)) < 1000


def changed(which: int, **values: Any) -> tuple[Question, ...]:
    return tuple(replace(q, **values) if i == which else q for i, q in enumerate(QUESTIONS))


@pytest.mark.parametrize(
    ("questions", "said"),
    [
        (changed(1, offset=4), "question gender has the 2 places from 4 on, expected the 2 from 5 on"),
        (changed(3, length=3), "question itches has the 3 places"),
        (changed(3, id="age"), "question age stands there twice"),
        (changed(0, knots=(20.0, 20.0, 60.0, 80.0)), "question age: a number has min < max"),
        (changed(0, min=None), "question age: a number has min and max"),
        (changed(0, knots=(-1e308, 1e308), length=3), "within 1e+09"),
        (changed(0, max=0.0), "question age: a number has min < max"),
        (changed(1, choices=QUESTIONS[1].choices[:1]), "two or more choices"),
        (changed(3, unit="mm"), "yes_no has no unit"),
        (changed(3, choices=QUESTIONS[1].choices), "yes_no has no choices"),
        (changed(3, text={"de": "Juckt es?"}), "the first language of each text is en"),
        (QUESTIONS[::-1], "question raised has the 2 places from 31 on, expected the 2 from 0 on"),
    ],
)
def test_questions_that_contradict_themselves_are_refused(questions: tuple[Question, ...], said: str) -> None:
    with pytest.raises(InputError, match=r"docs/answers\.md") as caught:
        questions_of([question_json(question) for question in questions], where="a.json")
    assert said in str(caught.value)


def test_questions_of_another_form_are_refused() -> None:
    value: Any
    for value in (None, {}, [1], [{"id": "age"}], [{**question_json(QUESTIONS[0]), "kind": "text"}]):
        with pytest.raises(InputError, match=r"a\.json: questions"):
            questions_of(value, where="a.json")
