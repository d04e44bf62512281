"""A list of somebody's predictions: for each image the class that is right, the class that was said, or scores."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edge.data.csv_table import column_name, header, known, read_table
from edge.data.isic import READERS, kind_of
from edge.errors import InputError

from .parts import IMAGE_COLUMNS, no_images

LABEL_COLUMNS = ("label", "target", "true", "truth", "y_true", "true_label", "diagnosis", "diagnostic", "dx")
ANSWER_COLUMNS = ("predicted", "prediction", "pred", "y_pred", "predicted_label", "predicted_class", "class")
SCORE_COLUMNS = ("score", "probability", "prob", "malignant_probability")
PREFIXES = ("p_", "prob_", "probability_", "logit_", "score_", "")  # of a column for each class
POSITIVE = {"1", "true", "malignant", "mel", "melanoma"}  # of two classes, that which a score is of
HALF = 0.5  # a score from here on says the positive class


@dataclass(frozen=True)
class Predictions:
    images: tuple[str, ...]
    labels: np.ndarray  # int64 (N,), index into `classes`
    answers: np.ndarray  # int64 (N,), index into `classes`
    classes: tuple[str, ...]
    scores: np.ndarray | None = None  # float64 (N,) of the positive class, where there are two and one score
    positive: int = 1  # index of that class


def read_predictions(
    path: Path,
    tables: Sequence[Path],
    key: Callable[[str], str],
    *,
    label: str | None = None,
    answer: str | None = None,
) -> Predictions:
    """The predictions in a CSV, an image a row.

    `label`, `answer`: columns of the right class and of the class said; None: the first of the usual ones. Right
    classes that the list lacks come from `tables`, where they are PAD-UFES-20's or of an ISIC challenge. The class said
    may also be the largest of a column for each class (`p_NEV`, `logit_NEV`, `NEV`), or a score of two classes. `key`
    makes an image's id comparable. Raises InputError where any of these is lacking, twice or no number.
    """
    names, rows = header(path), read_table(path)
    image = next((name for name in IMAGE_COLUMNS if name in names), None)
    if image is None:
        raise InputError(no_images(path, names))
    images = [row[image] for row in rows]
    keys = [key(name) for name in images]
    if len(set(keys)) < len(keys):
        times = Counter(keys)
        twice = next(name for name, own in zip(images, keys, strict=True) if times[own] > 1)
        raise InputError(f"{path} has {twice} more than once; give one prediction for each image")
    column = chosen(path, names, label, LABEL_COLUMNS)
    if column:
        truths = [class_name(row[column]) for row in rows]
    else:
        of_key = {key(name): class_name(code) for table in tables for name, code in classes_in(table).items()}
        truths = [of_key.get(own, "") for own in keys]
    if "" in truths:
        raise InputError(
            f"{path}: the right class of {images[truths.index('')]} is not known; give a column of right classes "
            f"({', '.join(LABEL_COLUMNS[:4])}, …) or name yours with `label`"
        )
    said_column = chosen(path, names, answer, ANSWER_COLUMNS)
    if said_column and said_column != column:
        said = [class_name(row[said_column]) for row in rows]
        blank = sum(not known(name, path) for name in said)
        if blank:
            raise InputError(
                f"{path}: {blank} rows have nothing in the column {said_column}; leave them out of the list"
            )
        return of_names(images, truths, said)
    classes = tuple(sorted(set(truths)))
    for prefix in PREFIXES:
        columns = [name for name in names if name.startswith(prefix) and name not in {image, column}]
        of_class = {name.removeprefix(prefix): name for name in columns}
        if len(classes) > 1 and set(classes) <= of_class.keys():
            every = [*classes, *(sorted(of_class.keys() - set(classes)) if prefix else ())]
            values = numbers(path, rows, [of_class[name] for name in every])
            said = [every[place] for place in values.argmax(axis=1)]
            return of_names(images, truths, said)
    score = next((name for name in SCORE_COLUMNS if name in names), None)
    if score and len(classes) == 2 and len(positive := [name for name in classes if name in POSITIVE]) == 1:
        values = numbers(path, rows, [score])[:, 0]
        if values.min() < 0 or values.max() > 1:
            raise InputError(f"{path}: {score} is from {values.min():g} to {values.max():g}; a score is 0 to 1")
        place = classes.index(positive[0])
        labels = np.array([classes.index(name) for name in truths])
        return Predictions(
            tuple(images), labels, np.where(values >= HALF, place, 1 - place), classes, values, positive=place
        )
    raise InputError(
        f"{path} has no column of the class that was said ({', '.join(ANSWER_COLUMNS[:3])}, …), no column for each of "
        f"{', '.join(classes[:8])}, and no score; name a column with `answer`"
    )


def of_names(images: Sequence[str], truths: Sequence[str], said: Sequence[str]) -> Predictions:
    classes = tuple(sorted({*truths, *said}))
    index = {name: place for place, name in enumerate(classes)}
    if not set(truths) & set(said):
        raise InputError(
            f"no class that was said ({', '.join(sorted(set(said))[:5])}) is among the right ones "
            f"({', '.join(sorted(set(truths))[:5])}); write both alike"
        )
    return Predictions(
        tuple(images),
        np.array([index[name] for name in truths], np.int64),
        np.array([index[name] for name in said], np.int64),
        classes,
    )


def chosen(path: Path, names: Sequence[str], wanted: str | None, usual: Sequence[str]) -> str | None:
    if wanted is None:
        return next((name for name in usual if name in names), None)
    if column_name(wanted) not in names:
        raise InputError(f"{path} has no column {wanted}; it has {', '.join(names[:12])}")
    return column_name(wanted)


def class_name(text: str) -> str:
    """A class in one form: capitals do not count, and 1.0 is 1."""
    name = text.casefold()
    return name.removesuffix(".0") if name.removesuffix(".0").isdecimal() else name


def numbers(path: Path, rows: Sequence[dict[str, str]], columns: Sequence[str]) -> np.ndarray:
    """float64 (rows, columns)."""
    try:
        values = np.array([[float(row[name]) for name in columns] for row in rows])
    except ValueError as error:
        raise InputError(f"{path}: the columns {', '.join(columns[:5])} have something that is no number") from error
    if not np.isfinite(values).all():
        raise InputError(f"{path}: the columns {', '.join(columns[:5])} have NaN or infinity; expected numbers")
    return values


def classes_in(table: Path) -> dict[str, str]:
    """Image -> class of a table of PAD-UFES-20 or of ISIC; nothing from others."""
    if {"img_id", "diagnostic"} <= set(header(table)):
        return {row["img_id"]: row["diagnostic"] for row in read_table(table)}
    kind = kind_of(table)
    return READERS[kind]([table]).codes if kind else {}
