"""Mistakes with what was answered beside the picture, for builds whose files take answers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from edge.build import Build
from edge.checkpoint import Checkpoint
from edge.questionnaire import YES_NO, Question
from edge.questions.answered import ALL, SOME
from edge.questions.mistakes.model import RECIPES, Model
from edge.runtimes.open import open_file
from edge.runtimes.reference import Reference

Spoil = Callable[[np.ndarray, Sequence[Question]], np.ndarray]  # `answers`, float32 (Q,), as they should be -> as sent


@dataclass(frozen=True)
class AnswersMistake:
    code: str
    name: str
    did: str  # what the developer did
    mend: str
    case: str  # what was answered: "some" or "all" questions
    spoil: Spoil
    simulated: str = "what the photographs' table says was answered, and answers at random where it says nothing"


def in_another_order(vector: np.ndarray, questions: Sequence[Question]) -> np.ndarray:
    """The questions by their ids, as of an object whose keys were sorted; the last first where they are so already."""
    other = sorted(questions, key=lambda question: question.id)
    if other == list(questions):
        other = other[::-1]
    return np.concatenate([vector[question.offset : question.offset + question.length] for question in other])


def nothing(vector: np.ndarray, questions: Sequence[Question]) -> np.ndarray:
    return np.zeros_like(vector)


def left_out_as_no(vector: np.ndarray, questions: Sequence[Question]) -> np.ndarray:
    sent = vector.copy()
    for question in questions:
        own = slice(question.offset, question.offset + question.length)
        if question.kind == YES_NO and not vector[own].any():
            sent[own] = (0, 1)
    return sent


ANSWERS_MISTAKES = (
    AnswersMistake(
        "answers-order", "answers in the wrong order",
        "Put the questions one after the other in an order of its own (sorted by id), not where `offset` says.",
        "Fill the places from each question's `offset` on, as docs/answers.md says.", ALL, in_another_order,
    ),
    AnswersMistake(
        "answers-forgotten", "answers forgotten",
        "Asked the questions and left the input `answers` at 0, or opened the file that takes a picture alone.",
        "Fill the second input before each run; the manifest's self test has cases with answers.", ALL, nothing,
    ),
    AnswersMistake(
        "answers-no", "what was left out sent as no",
        "Wrote no for every yes-or-no question that nobody answered, as from a switch that is off.",
        "Leave both places of such a question at 0.", SOME, left_out_as_no,
    ),
)  # fmt: skip


def open_answering(build: Build, checkpoint: Checkpoint, forms: Sequence[str], *, threads: int) -> tuple[Model, ...]:
    """A model that takes answers for each form; none where the build has no file for one of them."""
    entries = {
        form: entry
        for form in forms
        for entry in build.manifest.files
        if entry.answers and entry.format == "tflite" and entry.recipe == RECIPES[form]
    }
    if not entries or set(forms) - entries.keys() - {"float"}:
        return ()
    models = []
    for form in forms:
        entry = entries.get(form)
        if entry is None:
            models.append(Model(form, f"{build.manifest.model} (torch)", Reference(checkpoint)))
        else:
            models.append(Model(form, entry.file, open_file(build.path(entry), "tflite", threads=threads)))
    return tuple(models)


def ask_with(model: Model, square: np.ndarray, vector: np.ndarray) -> np.ndarray:
    """Probabilities, float64 (K,), for uint8 (S, S, 3) and `answers`, float32 (Q,)."""
    return model.runtime.run(square[None], vector[None]).probabilities[0]
