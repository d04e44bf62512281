"""Answers beside a trained network: what they add is fitted, scaled to the network, and judged on unseen patients."""

from __future__ import annotations

import csv
import logging
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from edge.checkpoint import Checkpoint
from edge.data.selection import seen_in
from edge.data.squares import load_squares
from edge.data.table import UNKNOWN, Photo, PhotoSet
from edge.errors import InputError
from edge.files import moved_into_place
from edge.nine_questions import QUESTIONS
from edge.progress import Listener, busy, listening

from ._answer_figures import ANSWERS, BLANKS, BOTH, IMAGE, SOME, figures_of, judge_points, operating_points
from ._answer_fit import (
    AnswerArrays,
    AnswerFit,
    answer_arrays,
    blanks_of,
    fit_answers,
    fit_blanks,
    fit_scale,
    some_left_out,
)
from ._cut import Cut, by_domain, cut_photos
from ._evaluate import with_classes_of
from ._options import Split
from ._predict import predict
from ._start import merged

log = logging.getLogger("dermedge")

Floats = npt.NDArray[np.float64]
SEED = 0
FEWEST_ANSWERED = 0.5  # of a class's photographs, below which a question's answers are named


@dataclass(frozen=True)
class WithAnswers:
    """A checkpoint to which answers were fitted, and what came of it."""

    checkpoint: Checkpoint
    figures: dict  # "kinds" of `figures_of`, "points" of `operating_points`, "cases" of `judge_points`
    logits: dict[str, Floats]  # kind -> (N, K) of the unseen photographs, divided by the temperature
    unseen: PhotoSet


def fit_to_checkpoint(
    checkpoint: Checkpoint,
    photos: PhotoSet,
    *,
    split: Split | None = None,
    skip_unreadable: bool = False,
    on_progress: Listener | None = None,
) -> WithAnswers:
    """Fit answers to a checkpoint on photographs, with the patients in the parts that it lists itself.

    Where it lists none of this set, the patients are cut by `split`. Raises InputError where a part is empty, and as
    `learn_answers`.
    """
    with listening(on_progress):
        photos = with_classes_of(checkpoint, photos)
        photos, _ = load_squares(photos, checkpoint.preprocess.side, skip_unreadable=skip_unreadable)
        part = parts_of(checkpoint, photos, split or Split())
        learned = learn_answers(part.train)
        with busy("running the float32 model"):
            logits = raw_logits(checkpoint, part.held_back), raw_logits(checkpoint, part.unseen)
        fitted = add_answers(checkpoint, learned, part.held_back, part.unseen, logits)
    return replace(fitted, checkpoint=with_patients(fitted.checkpoint, part))


def with_patients(checkpoint: Checkpoint, part: Cut) -> Checkpoint:
    """The checkpoint with the patients of the answers among those that it has seen.

    Of a network from elsewhere nobody knows whom it has seen, and lists of its own would say that all others are
    unseen: there they stand in its recipe alone.
    """
    fresh = replace(checkpoint, sha256="", path=None)
    fitted_on, scaled_on = by_domain([part.train]), by_domain([part.held_back])
    if checkpoint.lists_no_patients:
        entry = {**checkpoint.recipe["answers"], "fitted_on": fitted_on, "scaled_on": scaled_on}
        return replace(fresh, recipe={**checkpoint.recipe, "answers": entry})
    return replace(
        fresh,
        trained=merged("trained", fitted_on, checkpoint),
        held_back=merged("held_back", scaled_on, checkpoint),
        unseen=merged("unseen", by_domain([part.unseen]), checkpoint),
    )


def parts_of(checkpoint: Checkpoint, photos: PhotoSet, split: Split) -> Cut:
    """Who trained the network, who set its temperature, and who it never saw; InputError where one is nobody."""
    if not photos.photos:
        raise InputError(f"{photos.name} has no photograph of the classes of {checkpoint.model}")
    trained, held_back = (seen_in([role]) for role in (checkpoint.trained, checkpoint.held_back))
    if not any(trained(photo) or held_back(photo) for photo in photos.photos):
        log.warning(
            "%s lists no patients of %s: which of them trained it is unknown, and they are cut anew", checkpoint.model,
            photos.name,
        )  # fmt: skip
        return cut_photos(photos, split)
    part = Cut(
        photos.where(trained),
        photos.natural().where(lambda photo: held_back(photo) and not trained(photo)),
        photos.natural().where(lambda photo: not held_back(photo) and not trained(photo)),
    )
    for name, own in (("trained on", part.train), ("held back", part.held_back), ("unseen", part.unseen)):
        if not own.photos:
            raise InputError(
                f"no patient of {photos.name} is {name} by what {checkpoint.model} lists; answers are fitted on the "
                "trained, scaled on the held-back and judged on the unseen: give `photos` the set of its training"
            )
    return part


def raw_logits(checkpoint: Checkpoint, photos: PhotoSet) -> Floats:
    """Logits (N, K) before the temperature; of a network that gives probabilities, their logarithms."""
    squares = load_squares(photos, checkpoint.preprocess.side)[1]
    scores = predict(checkpoint.network(), squares, checkpoint.preprocess)
    return scores if checkpoint.gives == "logits" else np.log(np.maximum(scores, 1e-9))


@dataclass(frozen=True)
class Learned:
    """What the answers of training patients teach, without any picture."""

    fit: AnswerFit
    blanks: tuple[Floats, Floats]  # of `fit_blanks`
    answered: dict[str, float]  # question -> share of the photographs
    seed: int


def learn_answers(train: PhotoSet, *, seed: int = SEED) -> Learned:
    """From training photographs that have a class; InputError without answers, or with too few patients.

    Takes some seconds.
    """
    train = train.where(has_class)
    answers, targets, classes = answer_arrays(train, QUESTIONS), np.array(train.targets), len(train.classes)
    for note in scarce(answers, targets, train):
        log.warning(note)
    with busy("fitting answers"):
        return Learned(
            fit_answers(answers, targets, train.patients, QUESTIONS, classes, seed=seed),
            fit_blanks(answers, targets, classes),
            {question.id: float(answers.answered[:, i].mean()) for i, question in enumerate(QUESTIONS)},
            seed,
        )


def add_answers(
    checkpoint: Checkpoint, learned: Learned, held_back: PhotoSet, unseen: PhotoSet, logits: tuple[Floats, Floats]
) -> WithAnswers:
    """The checkpoint with what was learned of answers, scaled on the held-back patients and judged on the unseen.

    `logits` (N, K) without temperature, of the held-back and of the unseen photographs. Those without a class say
    nothing here and are left out.
    """
    logits = logits[0][np.array(held_back.targets) >= 0], logits[1][np.array(unseen.targets) >= 0]
    held_back, unseen = held_back.where(has_class), unseen.where(has_class)
    seed, temperature, weight = learned.seed, checkpoint.temperature, learned.fit.weight
    aside, judged = (answer_arrays(own, QUESTIONS) for own in (held_back, unseen))
    targets, labels = np.array(held_back.targets), unseen.classes
    some = some_left_out(aside, QUESTIONS, seed=seed)
    added = [answers.vectors @ weight.T for answers in (aside, some)]
    scale = fit_scale(logits[0], added, targets, temperature=temperature)
    tensor = torch.from_numpy(scale * weight).to(torch.float32)
    exact = tensor.double().numpy()
    points = operating_points(with_cases(logits[0], aside, exact, temperature, seed), targets, labels)
    kinds = with_cases(logits[1], judged, exact, temperature, seed)
    kinds[ANSWERS] = judged.vectors @ weight.T
    kinds[BLANKS] = blanks_of(judged) @ learned.blanks[0].T + learned.blanks[1]
    figures = {
        "kinds": figures_of(kinds, np.array(unseen.targets), unseen.patients, labels),
        "points": points,
        "cases": judge_points(points, kinds, np.array(unseen.targets), labels),
    }
    entry = {"seed": seed, "strength": learned.fit.strength, "scale": scale, "answered": learned.answered}
    checkpoint = replace(
        checkpoint,
        questions=QUESTIONS,
        answers_weight=tensor,
        metrics={**checkpoint.metrics, "answers": figures},
        recipe={**checkpoint.recipe, "answers": entry},
    )
    return WithAnswers(checkpoint, figures, kinds, unseen)


def has_class(photo: Photo) -> bool:
    return photo.label != UNKNOWN


def with_cases(
    image: Floats, answers: AnswerArrays, weight: Floats, temperature: float, seed: int
) -> dict[str, Floats]:
    """Logits (N, K) divided by the temperature, with nothing, half and all of what was answered."""
    some = some_left_out(answers, QUESTIONS, seed=seed + 1)
    return {
        IMAGE: image / temperature,
        SOME: (image + some.vectors @ weight.T) / temperature,
        BOTH: (image + answers.vectors @ weight.T) / temperature,
    }


def scarce(answers: AnswerArrays, targets: npt.NDArray[np.int64], photos: PhotoSet) -> list[str]:
    """Questions that whole classes have hardly answered: who answers then differs by class, which teaches nothing."""
    notes = []
    for number, question in enumerate(QUESTIONS):
        shares = {
            code: answers.answered[targets == k, number].mean() for k, code in enumerate(photos.codes)
            if (targets == k).any()
        }  # fmt: skip
        few = [f"{code} {share:.0%}" for code, share in shares.items() if share < FEWEST_ANSWERED]
        if few and answers.answered[:, number].any():
            notes.append(f"{question.id} is answered by few of some classes: {', '.join(few)}; blanks are no signal")
    return notes


def write_logits(path: Path, fitted: WithAnswers) -> None:
    """One row an unseen photograph: id, patient, class, and the logits of every kind in class order."""
    photos = fitted.unseen
    with moved_into_place(path) as unfinished, unfinished.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(
            ["image", "patient", "label", *(f"{kind}_{code}" for kind in fitted.logits for code in photos.codes)]
        )
        rows = np.concatenate(list(fitted.logits.values()), axis=1)
        for photo, row in zip(photos.photos, rows, strict=True):
            writer.writerow([photo.image_id, photo.patient, photo.label, *(f"{value:.6f}" for value in row)])
