"""What answers add to the logits: a multinomial logistic regression on answers alone, with its scale beside a picture.

Which questions are blank must say nothing. In PAD-UFES-20 the patients whose lesion was cut out have their histories
filled in, so that a blank gender alone tells cancers from the rest (area under the ROC curve 0.82). Each question is
therefore centred: what its answers add to a class is zero on average over people who answered it, each class weighing
alike. A blank, which adds zero, is then as good as an average answer, and no regression can lean on it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edge.answers import encode
from edge.data.splits import patient_folds
from edge.data.table import PhotoSet
from edge.errors import InputError
from edge.questionnaire import NUMBER, Question

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

STRENGTHS = (0.03, 0.1, 0.3, 1.0, 3.0)  # C of the regression, from the most regularised
FOLDS = 5  # of patients, in which the strength is chosen
FEWEST_PATIENTS = 2  # of a class, that answers can be compared with another's
COPIES = 8  # of each photograph, in which answers are dropped at random
MOST_DROPPED = 0.4  # of the answers of a copy, each with a chance drawn from 0 to this
SCALES = (0.05, 3.0)  # of what answers add beside a picture, in units of the temperature
SURE_OF_ONE = 0.3  # standard deviation of the logarithm of that scale, before a photograph is seen
LARGEST = 50.0  # that a place adds, in logits


@dataclass(frozen=True)
class AnswerArrays:
    """Answers of photographs as numbers, and which there are."""

    vectors: Floats  # (N, Q), as the network takes them
    answered: Bools  # (N, questions)

    def only(self, chosen: npt.NDArray[np.generic]) -> AnswerArrays:
        return AnswerArrays(self.vectors[chosen], self.answered[chosen])


@dataclass(frozen=True)
class AnswerFit:
    weight: Floats  # (K, Q), log-odds
    strength: float  # that was chosen


def answer_arrays(photos: PhotoSet, questions: Sequence[Question]) -> AnswerArrays:
    """The answers of a set's photographs."""
    vectors = np.array([encode(photo.answers, questions, where=photo.image_id) for photo in photos.photos])
    answered = np.array([[question.id in photo.answers for question in questions] for photo in photos.photos])
    return AnswerArrays(vectors.astype(np.float64), answered)


def fit_answers(
    answers: AnswerArrays,
    targets: npt.NDArray[np.int64],
    patients: Sequence[str],
    questions: Sequence[Question],
    classes: int,
    *,
    seed: int,
) -> AnswerFit:
    """The log-odds that answers add, of targets (N,) below `classes`, all of them training patients.

    The regularisation is that which gives the unseen patients of `FOLDS` folds the best class-balanced log-likelihood.
    Classes weigh alike; a class without a photograph gets nothing from any answer. Raises InputError where there are
    too few patients or classes, or no answers. A class of a single patient is learned beside two others.
    """
    if not answers.answered.any():
        raise InputError(
            "no photograph has an answer to learn from; see docs/data_sets.md for the columns that are read"
        )
    if len(np.unique(targets)) < 2:
        raise InputError("answers tell classes apart, and the photographs to learn from are of one class")
    people = {k: len({p for p, own in zip(patients, targets, strict=True) if own == k}) for k in np.unique(targets)}
    if sum(count >= FEWEST_PATIENTS for count in people.values()) < 2:
        raise InputError(
            f"answers are learned from classes of {FEWEST_PATIENTS} patients or more, and of the photographs to learn "
            f"from fewer than two classes have so many (patients by class: {', '.join(map(str, people.values()))}): "
            "one person's age and region say nothing of others; add photographs of other patients"
        )
    try:
        fold_of = patient_folds(targets.tolist(), patients, folds=FOLDS, seed=seed)
    except InputError as error:
        raise InputError(
            f"answers are learned in {FOLDS} folds of the training patients, too few are there: {error}"
        ) from error
    weights = class_weights(targets)
    costs = np.zeros(len(STRENGTHS))
    for fold in range(FOLDS):
        seen, judged = fold_of != fold, fold_of == fold
        if len(np.unique(targets[seen])) < 2:
            continue  # all patients of a class are in this fold; others have some of each
        means = centred(answers.only(seen), targets[seen], questions)
        for number, strength in enumerate(STRENGTHS):
            weight = regression(answers.only(seen), targets[seen], questions, classes, means, strength, seed=seed)
            costs[number] += (weights * log_loss(answers.vectors @ weight.T, targets))[judged].sum()
    strength = STRENGTHS[int(costs.argmin())]
    means = centred(answers, targets, questions)
    return AnswerFit(regression(answers, targets, questions, classes, means, strength, seed=seed), strength)


def centred(answers: AnswerArrays, targets: npt.NDArray[np.int64], questions: Sequence[Question]) -> Floats:
    """The mean (Q,) of each place over those who answered its question, each class weighing alike."""
    means = np.zeros(answers.vectors.shape[1])
    for number, question in enumerate(questions):
        own, there = places_of(question), answers.answered[:, number]
        by_class = [answers.vectors[there & (targets == k)][:, own].mean(axis=0) for k in np.unique(targets[there])]
        if by_class:
            means[own] = np.mean(by_class, axis=0)
    return means


def regression(
    answers: AnswerArrays,
    targets: npt.NDArray[np.int64],
    questions: Sequence[Question],
    classes: int,
    means: Floats,
    strength: float,
    *,
    seed: int,
) -> Floats:
    """Log-odds (K, Q) of the regression on centred answers, with the means taken into the places.

    A photograph without any answer would add nothing to the regression, which has no bias, so that whole ones need not
    be dropped.
    """
    from sklearn.linear_model import LogisticRegression

    rng = np.random.default_rng((seed, 0xA5))
    rows = np.repeat(np.arange(len(targets)), COPIES)
    chances = rng.uniform(0, MOST_DROPPED, (len(rows), 1))
    kept = answers.answered[rows] & (rng.random((len(rows), len(questions))) >= chances)
    design = (answers.vectors[rows] - means) * kept[:, question_of_places(questions)]
    model = LogisticRegression(C=strength, fit_intercept=False, max_iter=1000)
    model.fit(design, targets[rows], sample_weight=class_weights(targets)[rows] / COPIES)
    coefficients = model.coef_
    if len(model.classes_) == 2:  # scikit-learn then keeps one row, the second class against the first
        coefficients = np.concatenate([-coefficients, coefficients]) / 2
    weight = np.zeros((classes, len(means)))
    weight[model.classes_] = coefficients - coefficients.mean(axis=0)
    return with_means_inside(weight, means, questions)


def with_means_inside(weight: Floats, means: Floats, questions: Sequence[Question]) -> Floats:
    """Weight (K, Q) of plain answers that adds what `weight` adds for centred ones.

    Whoever answers has one 1 in the places of a choice or of yes and no, and one in the first place of a number.
    """
    moved = weight.copy()
    for question in questions:
        own = places_of(question)
        constant = weight[:, own] @ means[own]
        if question.kind == NUMBER:
            moved[:, question.offset] -= constant
        else:
            moved[:, own] -= constant[:, None]
    return np.clip(moved, -LARGEST, LARGEST)


def fit_scale(logits: Floats, added: Sequence[Floats], targets: npt.NDArray[np.int64], *, temperature: float) -> float:
    """By how much to multiply what answers add, so that held-back patients are the likeliest.

    `logits` (N, K) of the pictures; `added`: (N, K) each, what answers add, as given and with some left out;
    `temperature` divides the sum, and stays that of the pictures alone. The temperature itself would let the answers
    count as they do without a picture. What a picture shows of age or place it need not be told again: the scale is
    then smaller. Held-back patients are few, so that it is drawn towards the temperature (a normal prior).
    """
    from scipy.optimize import minimize_scalar

    def cost(log_scale: float) -> float:
        parts = [logits / temperature + np.exp(log_scale) * part for part in added]
        likelihood = np.mean([log_loss(part, targets).sum() for part in parts])
        return float(likelihood + (log_scale / SURE_OF_ONE) ** 2 / 2)

    best = minimize_scalar(cost, bounds=tuple(np.log(SCALES)), method="bounded")
    return temperature * float(np.exp(best.x))


def some_left_out(
    answers: AnswerArrays, questions: Sequence[Question], *, seed: int, share: float = 0.5
) -> AnswerArrays:
    """The answers with each left out by the chance `share`, the same for the same seed."""
    kept = answers.answered & (np.random.default_rng((seed, 0x50)).random(answers.answered.shape) >= share)
    return AnswerArrays(answers.vectors * kept[:, question_of_places(questions)], kept)


def blanks_of(answers: AnswerArrays) -> Floats:
    """(N, questions): 1 where a question was not answered; what a leak would read."""
    return (~answers.answered).astype(np.float64)


def fit_blanks(answers: AnswerArrays, targets: npt.NDArray[np.int64], classes: int) -> tuple[Floats, Floats]:
    """Weight (K, questions) and bias (K,) of a regression on which questions are blank: the control for a leak."""
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression(C=1.0, class_weight="balanced", max_iter=1000).fit(blanks_of(answers), targets)
    weight, bias = model.coef_, model.intercept_
    if len(model.classes_) == 2:
        weight, bias = np.concatenate([-weight, weight]) / 2, np.concatenate([-bias, bias]) / 2
    all_weights, all_biases = np.zeros((classes, weight.shape[1])), np.full(classes, -10.0)
    all_weights[model.classes_], all_biases[model.classes_] = weight, bias
    return all_weights, all_biases


def class_weights(targets: npt.NDArray[np.int64]) -> Floats:
    """(N,), mean 1: each class that is there weighs alike."""
    counts = np.bincount(targets)
    return len(targets) / (np.count_nonzero(counts) * counts[targets])


def log_loss(logits: Floats, targets: npt.NDArray[np.int64]) -> Floats:
    """(N,): minus the logarithm of the probability of the right class."""
    from scipy.special import log_softmax

    return -log_softmax(logits, axis=1)[np.arange(len(targets)), targets]


def places_of(question: Question) -> slice:
    return slice(question.offset, question.offset + question.length)


def question_of_places(questions: Sequence[Question]) -> npt.NDArray[np.intp]:
    """(Q,): to which question each place belongs."""
    return np.repeat(np.arange(len(questions)), [question.length for question in questions])
