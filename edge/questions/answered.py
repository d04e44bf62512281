"""No, some and all questions answered: the vectors with which files that take answers are judged.

The answers are those that a photograph's table has; a question that it leaves open is answered at random.
"""

from __future__ import annotations

import zlib

import numpy as np

from edge.answers import checked, encode
from edge.data.table import Photo, PhotoSet
from edge.errors import InputError
from edge.questionnaire import CHOICE, YES_NO, Answer, Question, length_of

NONE, SOME, ALL = CASES = ("none", "some", "all")  # of the questions


def vectors_of(photos: PhotoSet, questions: tuple[Question, ...], *, views: int = 1) -> dict[str, np.ndarray]:
    """Case -> `answers`, float32 (N views, Q), in the order of the photographs; the same for a photograph in every set.

    With several `views`: the rows of the photographs, once for each view.
    """
    rows: dict[str, list[np.ndarray]] = {case: [] for case in CASES}
    for photo in photos.photos:
        rng = np.random.default_rng(zlib.crc32(f"{photo.domain}/{photo.image_id}".encode()))
        whole = all_answered(photo, questions, rng)
        for case, answers in ((NONE, {}), (SOME, half_of(whole, rng)), (ALL, whole)):
            rows[case].append(encode(answers, questions))
    places = length_of(questions)
    return {case: np.tile(np.array(each, np.float32).reshape(-1, places), (views, 1)) for case, each in rows.items()}


def all_answered(photo: Photo, questions: tuple[Question, ...], rng: np.random.Generator) -> dict[str, Answer]:
    """An answer to every question: the table's, else one at random."""
    at_random = {question.id: drawn(question, rng) for question in questions}
    return at_random | {question.id: photo.answers[question.id] for question in questions if fits(photo, question)}


def fits(photo: Photo, question: Question) -> bool:
    """Whether the table has an answer that the question takes; a checkpoint may have questions of its own."""
    try:
        return bool(checked({question.id: photo.answers.get(question.id)}, (question,), where=photo.image_id))
    except InputError:
        return False


def half_of(answers: dict[str, Answer], rng: np.random.Generator) -> dict[str, Answer]:
    """A random half of the answers, at least one of them."""
    kept = rng.permutation(list(answers))[: max(1, len(answers) // 2)].tolist()
    return {name: answer for name, answer in answers.items() if name in kept}


def drawn(question: Question, rng: np.random.Generator) -> Answer:
    """One of the answers that a question takes, each as likely as the others."""
    if question.kind == YES_NO:
        return bool(rng.integers(2))
    if question.kind == CHOICE:
        return question.choices[int(rng.integers(len(question.choices)))].id
    assert question.min is not None and question.max is not None
    return float(rng.uniform(question.min, question.max))
