"""How good a network is in parts of the photographs: by person, by place on the body, and by what confounds."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from edge.data.csv_table import header, read_table
from edge.data.squares import load_squares
from edge.data.table import Photo, PhotoSet, stem
from edge.decision import measure
from edge.metrics.bootstrap import balanced_accuracy_interval
from edge.metrics.roc import auc_interval
from edge.metrics.statistics import Estimate, malignant_or_benign

from ._unseen import Unseen

FEW_PATIENTS = 30  # below, a group's figures say little whatever they are
NOT_STATED = "not stated"
AGES = ((0, 40, "under 40"), (40, 60, "40 to 59"), (60, 80, "60 to 79"), (80, 200, "80 and over"))  # years
BODY = {
    "head and neck": ("scalp", "face", "ear", "nose", "lip", "neck"),
    "trunk": ("chest", "abdomen", "back"),
    "arms and hands": ("arm", "forearm", "hand"),
    "legs and feet": ("thigh", "foot"),
}
SKIN_COLUMNS = ("fitspatrick", "fitzpatrick", "fitzpatrick_skin_type")  # the first is PAD-UFES-20's
IMAGE_COLUMNS = ("img_id", "isic_id", "image", "image_id")
SKIN_TYPES = {1: "I", 2: "II", 3: "III", 4: "IV to VI", 5: "IV to VI", 6: "IV to VI"}
COPY = (300, 300)  # pixels: of the copies in which half of PAD-UFES-20 is passed on
THIRDS = ("least sharp third", "middle third", "sharpest third")


@dataclass(frozen=True)
class Group:
    """A part of the photographs, with 95 % intervals; the balanced accuracy is over the classes that occur in it."""

    name: str
    photographs: int
    patients: int
    malignant: int  # photographs
    classes: int  # that occur
    balanced_accuracy: Estimate
    sensitivity: Estimate  # for malignancy
    specificity: Estimate

    @property
    def few(self) -> bool:
        return self.patients < FEW_PATIENTS


@dataclass(frozen=True)
class Confounds:
    """What differs between classes and is no property of the skin."""

    groups: dict[str, list[Group]]
    alone: dict[str, Estimate]  # area under the ROC curve for malignancy of that alone; 0.5 says nothing


def group(name: str, unseen: Unseen, chosen: npt.NDArray[np.bool_]) -> Group:
    """`chosen`: bool (N,), at least one of them true."""
    targets, answers = unseen.targets[chosen], unseen.answers[chosen]
    patients = np.array(unseen.patients)[chosen].tolist()
    flags = [label.malignant for label in unseen.photos.classes]
    sensitivity, specificity = malignant_or_benign(targets, answers, flags)
    return Group(
        name,
        len(targets),
        len(set(patients)),
        int(np.array([flag is True for flag in flags])[targets].sum()),
        len(set(targets.tolist())),
        balanced_accuracy_interval(targets, answers, patients),
        sensitivity,
        specificity,
    )


def groups_by(unseen: Unseen, of: Callable[[Photo], str], order: Sequence[str]) -> list[Group]:
    """The groups that have photographs, in this order; none where all are in the last, which is not stated."""
    names = np.array([of(photo) for photo in unseen.photos.photos])
    own = [name for name in order if (names == name).any()]
    return [group(name, unseen, names == name) for name in own] if own != [NOT_STATED] else []


def subgroups(unseen: Unseen, folders: Sequence[Path]) -> dict[str, list[Group]]:
    """What is divided by -> its groups, as far as tables say it. `folders`: where the tables of the sets lie."""
    skin = skin_types(folders)
    by = {
        "age": groups_by(unseen, age, [*(name for _, _, name in AGES), NOT_STATED]),
        "sex": groups_by(unseen, lambda photo: str(photo.answers.get("gender", NOT_STATED)),
                         ["female", "male", NOT_STATED]),
        "place on the body": groups_by(unseen, place, [*BODY, NOT_STATED]),
        "skin type (Fitzpatrick)": groups_by(unseen, lambda photo: skin.get(stem(photo.image_id), NOT_STATED),
                                             [*dict.fromkeys(SKIN_TYPES.values()), NOT_STATED]),
    }  # fmt: skip
    return {name: groups for name, groups in by.items() if groups}


def age(photo: Photo) -> str:
    years = photo.answers.get("age")
    return next((name for low, high, name in AGES if isinstance(years, float) and low <= years < high), NOT_STATED)


def place(photo: Photo) -> str:
    return next((name for name, regions in BODY.items() if photo.answers.get("region") in regions), NOT_STATED)


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
