"""How good a network is in parts of the photographs: by person, by place on the body, by data set."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from edge.data.table import Photo, PhotoSet
from edge.metrics.bootstrap import balanced_accuracy_interval
from edge.metrics.statistics import Estimate, malignant_or_benign

FEW_PATIENTS = 30  # below, a group's figures say little whatever they are
NOT_STATED = "not stated"
AGES = ((0, 40, "under 40"), (40, 60, "40 to 59"), (60, 80, "60 to 79"), (80, 200, "80 and over"))  # years
BODY = {  # regions of PAD-UFES-20, and what `Photo.site` has of tables of ISIC
    "head and neck": ("scalp", "face", "ear", "nose", "lip", "neck", "head/neck"),
    "trunk": ("chest", "abdomen", "back", "trunk", "torso", "anterior torso", "lateral torso"),
    "arms and hands": ("arm", "forearm", "hand", "upper extremity"),
    "legs and feet": ("thigh", "foot", "lower extremity", "leg", "shin", "calf", "knee"),
    "palms or soles": ("palms/soles", "acral"),
    "mouth or genitals": ("oral/genital", "genital"),
}


class Answered(Protocol):
    """Photographs of unseen patients and the class that a network gives each, in the same order."""

    @property
    def photos(self) -> PhotoSet: ...
    @property
    def targets(self) -> npt.NDArray[np.int64]: ...
    @property
    def answers(self) -> npt.NDArray[np.int64]: ...
    @property
    def patients(self) -> list[str]: ...


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


def group(name: str, unseen: Answered, chosen: npt.NDArray[np.bool_]) -> Group:
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


def groups_by(unseen: Answered, of: Callable[[Photo], str], order: Sequence[str]) -> list[Group]:
    """The groups that have photographs, in this order; none where all are in the last, which is not stated."""
    names = np.array([of(photo) for photo in unseen.photos.photos])
    own = [name for name in order if (names == name).any()]
    return [group(name, unseen, names == name) for name in own] if own != [NOT_STATED] else []


def by_person(unseen: Answered) -> dict[str, list[Group]]:
    """By age, sex and place on the body, as far as the tables say it."""
    return {
        "age": groups_by(unseen, age, [*(name for _, _, name in AGES), NOT_STATED]),
        "sex": groups_by(unseen, sex, ["female", "male", NOT_STATED]),
        "place on the body": groups_by(unseen, place, [*BODY, NOT_STATED]),
    }


def by_set(unseen: Answered) -> list[Group]:
    """By the data set that photographs are from; none where it is one."""
    domains = sorted({photo.domain for photo in unseen.photos.photos})
    return groups_by(unseen, lambda photo: photo.domain, domains) if len(domains) > 1 else []


def age(photo: Photo) -> str:
    years = photo.answers.get("age")
    return next((name for low, high, name in AGES if isinstance(years, float) and low <= years < high), NOT_STATED)


def sex(photo: Photo) -> str:
    return str(photo.answers.get("gender", NOT_STATED))


def place(photo: Photo) -> str:
    said = photo.answers.get("region") or photo.site
    return next((name for name, parts in BODY.items() if said in parts), NOT_STATED)
