"""The table that says what people answered, beside class folders."""

from __future__ import annotations

import re
from pathlib import Path

from edge.data.answer_columns import KINDS, UNANSWERED, answer_of, choices_of
from edge.data.csv_table import read_table
from edge.data.listing import NAMES_SHOWN
from edge.data.patient_table import FILE_COLUMNS, PATIENT_COLUMNS, finder
from edge.errors import InputError, did_you_mean
from edge.questionnaire import Answer

ANSWERS = "answers.csv"
ANSWER_TABLE = re.compile(r"answers?\.(csv|tsv|tab|txt)", re.IGNORECASE)


def answers_of(tables: list[Path], images: list[str]) -> tuple[dict[str, dict[str, Answer]], list[str]]:
    """Image -> answers by question, from `answers.csv` among `tables`, nothing where there is none; and notes.

    Its columns are `file` and questions of `edge.nine_questions`, those that were asked. Raises InputError for another
    column, for two rows of one photograph, and for a field that is no answer, with its row.
    """
    own = [path for path in tables if ANSWER_TABLE.fullmatch(path.name)]
    if len(own) > 1:
        raise InputError(f"{own[0]} and {own[1]} are both tables of answers; keep one")
    if not own:
        return {}, []
    table, rows = own[0], read_table(own[0])
    file_column = next((name for name in FILE_COLUMNS if name in rows[0]), None)
    if file_column is None:
        raise InputError(f"{table} needs the column file, has {', '.join(rows[0])}")
    for column in rows[0]:
        if column and column not in {file_column, *KINDS, *PATIENT_COLUMNS}:
            raise InputError(
                f"{table}: no question is called {column!r}{did_you_mean(column, KINDS)}; there are {', '.join(KINDS)}"
            )
    find, strangers = finder(table, images), []
    answers: dict[str, dict[str, Answer]] = {}
    for line, row in enumerate(rows, start=2):
        image = find(row[file_column])
        if image is None:
            strangers.append(row[file_column])
        elif image in answers:
            raise InputError(f"{table}:{line}: {row[file_column]} is there twice; keep one row")
        else:
            answers[image] = answers_in_row(row, where=f"{table}:{line}")
    notes = []
    if strangers:
        first = ", ".join(strangers[:NAMES_SHOWN])
        notes.append(f"{table} has answers for {len(strangers)} files that are not here, first {first}")
    return answers, notes


def answers_in_row(row: dict[str, str], *, where: str) -> dict[str, Answer]:
    """By question; InputError that names `where` for a field that is no answer."""
    answers: dict[str, Answer] = {}
    for question in KINDS:
        try:
            answer = answer_of(question, row.get(question, ""))
        except ValueError as error:
            raise InputError(f"{where}: {question} is {error}, or blank, got {row[question]!r:.40}") from error
        if answer is not None:
            answers[question] = answer
        elif (field := row.get(question, "")).casefold() not in UNANSWERED:
            raise InputError(
                f"{where}: {question} is {field!r:.40}, which is none of {choices_of(question)}; leave the field blank "
                "where none fits"
            )
    return answers
