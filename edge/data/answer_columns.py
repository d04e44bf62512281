"""What tables of photographs say that a person could have answered: their columns and words -> the nine questions.

Only what means the same is taken: `posterior torso` is the back, `head/neck` and `lower extremity` are none of the 14
regions of PAD-UFES-20 and stay unanswered, as blanks do.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path

from edge.data.csv_table import NOT_KNOWN, header, read_table
from edge.data.groups import IMAGE
from edge.data.table import stem
from edge.nine_questions import QUESTIONS, REGIONS
from edge.questionnaire import NUMBER, YES_NO, Answer

# Question -> its columns, in the form of `edge.data.csv_table`; of those that a row has, the first that is not blank.
COLUMNS: dict[str, tuple[str, ...]] = {
    "age": ("age", "age_approx", "age_approximate"),
    "gender": ("gender", "sex"),
    "region": ("region", "localization", "anatom_site_general", "anatom_site_general_challenge"),
    "itches": ("itches", "itch"),
    "grew": ("grew",),
    "hurts": ("hurts", "hurt"),
    "changed": ("changed",),
    "bleeds": ("bleeds", "bleed"),
    "raised": ("raised", "elevation"),
}
UNANSWERED = NOT_KNOWN | {"unk", "not known", "not specified"}
YES, NO = {"true", "yes", "y", "1", "1.0"}, {"false", "no", "n", "0", "0.0"}
WORDS: dict[str, dict[str, str | None]] = {  # None: a word that is known and no answer
    "gender": {"female": "female", "f": "female", "woman": "female", "male": "male", "m": "male", "man": "male",
               "other": None},
    "region": {
        **{region: region for region in REGIONS},
        "fore arm": "forearm", "belly": "abdomen", "posterior torso": "back",
        **dict.fromkeys((  # of HAM10000 and of the ISIC Archive and its challenges
            "acral", "genital", "lower extremity", "trunk", "upper extremity", "anterior torso", "head/neck",
            "lateral torso", "oral/genital", "palms/soles", "torso", "leg", "shin", "calf", "knee",
        )),
    },
}  # fmt: skip
KINDS = {question.id: question for question in QUESTIONS}
NUMERAL = re.compile(r"[0-9]{1,9}([.,][0-9]{0,9})?")  # Python's float() reads 1_0 as 10, and digits of other scripts
ROUNDED = 5.0  # years; the ISIC Archive rounds `age_approx` to it, and ages nearer than that do not contradict
SHOWN = 3  # values in a note


def has_answers(names: Iterable[str]) -> bool:
    """Whether a table of these columns says anything that a question asks for."""
    columns = set(names)
    return any(columns & set(aliases) for aliases in COLUMNS.values())


def answer_of(question: str, text: str) -> Answer | None:
    """A field of a table as the question's answer; None where it is blank or no answer. ValueError for other words."""
    word = text.casefold()
    if word in UNANSWERED:
        return None
    asked = KINDS[question]
    if asked.kind == YES_NO:
        if word not in YES | NO:
            raise ValueError("yes or no (true or false, 1 or 0)")
        return word in YES
    if asked.kind == NUMBER:
        return number_of(word, asked.min, asked.max, asked.unit)
    words = WORDS[question]
    word = " ".join(word.replace("_", " ").split())
    if word not in words:
        raise ValueError(f"one of {choices_of(question)}")
    return words[word]


def choices_of(question: str) -> str:
    return ", ".join(choice.id for choice in KINDS[question].choices)


def number_of(word: str, least: float | None, most: float | None, unit: str | None) -> float:
    """A number as tables have it, with a decimal point or comma; ValueError for anything else and out of range."""
    assert least is not None and most is not None
    number = float(word.replace(",", ".")) if NUMERAL.fullmatch(word) else math.nan
    if not least <= number <= most:
        raise ValueError(f"a number from {least:g} to {most:g} {unit}")
    return number


def answers_in(row: Mapping[str, str]) -> tuple[dict[str, Answer], list[str]]:
    """The answers in a row of a table, by question; and what cannot be read, in words, which stays unanswered."""
    answers: dict[str, Answer] = {}
    unread = []
    for question, aliases in COLUMNS.items():
        column = next((name for name in aliases if row.get(name, "").casefold() not in UNANSWERED), None)
        if column is None:
            continue
        try:
            answer = answer_of(question, row[column])
        except ValueError as error:
            unread.append(f"{column} {row[column]!r:.40} (expected {error})")
            continue
        if answer is not None:
            answers[question] = answer
    return answers, unread


def site_in(row: Mapping[str, str]) -> str:
    """The part of the body that a row of a table says where that is too coarse for an answer; else empty."""
    for name in COLUMNS["region"]:
        word = " ".join(row.get(name, "").casefold().replace("_", " ").split())
        if word not in UNANSWERED:
            return word if WORDS["region"].get(word, word) is None else ""
    return ""


class AnswersOf:
    """The answers that tables have of their images."""

    def __init__(self) -> None:
        self._answers: dict[str, dict[str, Answer]] = {}  # image, without its ending
        self._sites: dict[str, str] = {}  # image, without its ending
        self._unread: Counter[str] = Counter()
        self._apart: Counter[str] = Counter()  # contradictions

    def add(self, image: str, row: Mapping[str, str]) -> None:
        """Take in what a row says of an image; what an earlier table said stays."""
        answers, unread = answers_in(row)
        self._unread.update(unread)
        if site := site_in(row):
            self._sites.setdefault(stem(image), site)
        if answers:
            before = self._answers.get(stem(image), {})
            self._apart.update(
                f"{question} {shown(before[question])} and {shown(answer)}"
                for question, answer in answers.items()
                if question in before and contradict(before[question], answer)
            )
            self._answers[stem(image)] = answers | before

    def of(self, image: str) -> dict[str, Answer]:
        return self._answers.get(stem(image), {})

    def site_of(self, image: str) -> str:
        """The part of the body where no table says the region itself; empty where none says either."""
        return "" if "region" in self.of(image) else self._sites.get(stem(image), "")

    def notes(self) -> list[str]:
        """What could not be read, and on what tables disagree; nothing where there is nothing."""
        notes = {
            "answers that cannot be read and count as not given": self._unread,
            "answers on which two rows of an image disagree, of which the first counts": self._apart,
        }
        return [f"{what}: {listed(cases)}" for what, cases in notes.items() if cases]


def contradict(first: Answer, second: Answer) -> bool:
    """Whether two answers to one question cannot both be right."""
    numbers = not isinstance(first, bool | str) and not isinstance(second, bool | str)
    return abs(float(first) - float(second)) >= ROUNDED if numbers else first != second


def shown(answer: Answer) -> str:
    return ("no", "yes")[answer] if isinstance(answer, bool) else answer if isinstance(answer, str) else f"{answer:g}"


def listed(cases: Counter[str]) -> str:
    """The most frequent, and how many others there are."""
    first = "; ".join(f"{number} x {what}" for what, number in cases.most_common(SHOWN))
    return first + (f"; {len(cases) - SHOWN} others" if len(cases) > SHOWN else "")


def answers_in_tables(tables: Iterable[Path]) -> AnswersOf:
    """Of all tables that name images and have any."""
    answers = AnswersOf()
    for table in tables:
        names = header(table)
        image = next((name for name in IMAGE if name in names), None)
        if image is not None and has_answers(names):
            for row in read_table(table):
                answers.add(row[image], row)
    return answers
