"""How good a checkpoint is on photographs of patients that it never saw."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from torch import nn

from edge import checks
from edge.checkpoint import Checkpoint
from edge.data.selection import unseen
from edge.data.squares import load_squares
from edge.data.table import PhotoSet
from edge.errors import InputError
from edge.files import write_json
from edge.progress import Listener, listening

from ._masks import mask_figures, mask_scores
from ._plots import confusion_plot
from ._predict import predict
from ._summary import summarise

log = logging.getLogger("dermedge")


@dataclass(frozen=True)
class Judged:
    """The answers on the unseen photographs of one set."""

    photos: PhotoSet
    logits: np.ndarray  # calibrated, float64 (N, K)
    figures: dict  # of `summarise`, with "synthetic" and, where there are masks, "masks"


@dataclass(frozen=True)
class Evaluation:
    checkpoint: Checkpoint
    sets: tuple[Judged, ...]

    def as_json(self) -> dict:
        figures = {judged.photos.name: judged.figures for judged in self.sets}
        return {"checkpoint_sha256": self.checkpoint.sha256, "sets": figures}

    def write(self, folder: str | Path) -> None:
        """evaluation.json, and a confusion matrix of every set."""
        folder = checks.path(folder, "folder", "the folder to write into")
        for judged in self.sets:
            photos = judged.photos
            path = folder / f"confusion-{photos.photos[0].domain}.png"
            confusion_plot(np.array(photos.targets), judged.logits.argmax(1), photos.codes, path, title=photos.name)
        write_json(folder / "evaluation.json", self.as_json())


def evaluate(
    checkpoint: Checkpoint,
    photos: PhotoSet | Sequence[PhotoSet],
    *,
    skip_unreadable: bool = False,
    on_progress: Listener | None = None,
) -> Evaluation:
    """The figures of a checkpoint on each set, without the patients that trained it or set its temperature.

    Classes are told by their codes, in whatever order a set has them, as parity does. Photographs of a class that the
    checkpoint does not have are left out, with a warning, and so is a set of nothing else. Raises InputError where no
    set is left, where nobody in one is unseen, or where photographs cannot be read, unless `skip_unreadable`.
    """
    net, judged = checkpoint.network(), []
    with listening(on_progress):
        for own in [photos] if isinstance(photos, PhotoSet) else photos:
            known = with_classes_of(checkpoint, own)
            if known.photos:
                judged.append(judge(net, checkpoint, known, skip_unreadable=skip_unreadable))
    if not judged:
        codes = ", ".join(label.code for label in checkpoint.labels)
        raise InputError(f"no photographs with the checkpoint's classes ({codes})")
    return Evaluation(checkpoint, tuple(judged))


def with_classes_of(checkpoint: Checkpoint, photos: PhotoSet) -> PhotoSet:
    """The photographs whose class the checkpoint has, with its classes in its order; the log names the others."""
    codes = {label.code for label in checkpoint.labels}
    known = replace(photos.where(lambda photo: photo.label in codes), classes=checkpoint.labels)
    others = {code: count for code, count in photos.counts.items() if code not in codes and count}
    if others:
        log.warning(
            "%s: %d photographs of classes that the checkpoint does not have are left out: %s",
            photos.name, sum(others.values()), ", ".join(others),
        )  # fmt: skip
    return known


def judge(net: nn.Module, checkpoint: Checkpoint, photos: PhotoSet, *, skip_unreadable: bool) -> Judged:
    photos, squares = load_squares(
        unseen(photos, checkpoint), checkpoint.preprocess.side, skip_unreadable=skip_unreadable
    )
    logits = predict(net, squares, checkpoint.preprocess) / checkpoint.temperature
    figures = {
        **summarise(np.array(photos.targets), photos.patients, logits, photos.classes),
        "synthetic": photos.synthetic,
    }
    if scores := mask_scores(net, photos, checkpoint.preprocess):
        figures["masks"] = mask_figures(scores)
    return Judged(photos, logits, figures)
