"""How good a network is in parts of the photographs: by person, by place on the body, and by what confounds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from edge.data.csv_table import header, read_table
from edge.data.squares import load_squares
from edge.data.table import PhotoSet, stem
from edge.decision import measure
from edge.metrics.roc import auc_interval
from edge.metrics.statistics import Estimate
from edge.questions.training.groups import NOT_STATED, Group, by_person, group, groups_by

from ._unseen import Unseen

SKIN_COLUMNS = ("fitspatrick", "fitzpatrick", "fitzpatrick_skin_type")  # the first is PAD-UFES-20's
IMAGE_COLUMNS = ("img_id", "isic_id", "image", "image_id")
SKIN_TYPES = {1: "I", 2: "II", 3: "III", 4: "IV to VI", 5: "IV to VI", 6: "IV to VI"}
COPY = (300, 300)  # pixels: of the copies in which half of PAD-UFES-20 is passed on
THIRDS = ("least sharp third", "middle third", "sharpest third")


@dataclass(frozen=True)
class Confounds:
    """What differs between classes and is no property of the skin."""

    groups: dict[str, list[Group]]
    alone: dict[str, Estimate]  # area under the ROC curve for malignancy of that alone; 0.5 says nothing


def subgroups(unseen: Unseen, folders: Sequence[Path]) -> dict[str, list[Group]]:
    """What is divided by -> its groups, as far as tables say it. `folders`: where the tables of the sets lie."""
    skin = skin_types(folders)
    by = by_person(unseen) | {
        "skin type (Fitzpatrick)": groups_by(unseen, lambda photo: skin.get(stem(photo.image_id), NOT_STATED),
                                             [*dict.fromkeys(SKIN_TYPES.values()), NOT_STATED]),
    }  # fmt: skip
    return {name: groups for name, groups in by.items() if groups}


def skin_types(folders: Sequence[Path]) -> dict[str, str]:
    """Image, without its ending -> Fitzpatrick's type, of the tables in these folders that have it."""
    types: dict[str, str] = {}
    for table in (table for folder in folders for table in sorted(folder.glob("*.csv"))):
        names = header(table)
        image = next((name for name in IMAGE_COLUMNS if name in names), None)
        column = next((name for name in SKIN_COLUMNS if name in names), None)
        if image is None or column is None:
            continue
        for row in read_table(table):
            try:
                types[stem(row[image])] = SKIN_TYPES[int(float(row[column]))]
            except (ValueError, KeyError):  # blank: not stated
                continue
    return types


def confounds(unseen: Unseen, side: int) -> Confounds:
    """Sharpness of the model's input, and the copies of 300 x 300 pixels; `side` of the input in pixels."""
    copies = np.array([size_of(photo.path) == COPY for photo in unseen.photos.photos])
    sharpness = sharpness_of(unseen.photos, side)
    limits = np.quantile(sharpness, [1 / 3, 2 / 3])
    third = np.searchsorted(limits, sharpness, side="right")
    groups = {"sharpness of the model's input": [
        group(name, unseen, third == n) for n, name in enumerate(THIRDS) if (third == n).any()
    ]}  # fmt: skip
    scores = {"sharpness": sharpness}
    if copies.any() and not copies.all():
        groups["size of the file"] = [
            group("300 x 300 px copies", unseen, copies), group("any other size", unseen, ~copies)
        ]  # fmt: skip
        scores["being a 300 x 300 px copy"] = copies.astype(np.float64)
    return Confounds(groups, alone(unseen, scores))


def alone(unseen: Unseen, scores: Mapping[str, npt.NDArray[np.float64]]) -> dict[str, Estimate]:
    """Area under the ROC curve for malignancy of each score, turned so that it is 0.5 or more."""
    flags = np.array([label.malignant is True for label in unseen.photos.classes])
    known = np.array([label.malignant is not None for label in unseen.photos.classes])[unseen.targets]
    positive, patients = flags[unseen.targets][known], np.array(unseen.patients)[known].tolist()
    areas = {}
    for name, score in scores.items():
        area = auc_interval(score[known], positive, patients)
        areas[name] = area if area.value >= 0.5 else auc_interval(-score[known], positive, patients)
    return areas


def size_of(path: Path) -> tuple[int, int]:
    with Image.open(path) as image:
        return image.size


def sharpness_of(photos: PhotoSet, side: int) -> npt.NDArray[np.float64]:
    """(N,): differences over one pixel against two, the blurrier direction: `fine` of docs/decision.md."""
    return np.array([measure(square).fine for square in load_squares(photos, side)[1]], np.float64)
