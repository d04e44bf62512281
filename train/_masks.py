"""How well a network that also finds the lesion does so: photograph by photograph, and in figures."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from torch import nn

from edge.checkpoint import Preprocess
from edge.data.masks import load_masks
from edge.data.squares import load_squares
from edge.data.table import PhotoSet
from edge.errors import InputError
from edge.files import moved_into_place
from edge.metrics.bootstrap import mean_interval
from edge.metrics.masks import THRESHOLD, boundary_distance, dice, iou

from ._predict import predict_masks


@dataclass(frozen=True)
class MaskScore:
    """How near the mask of one photograph is to the drawn one."""

    set: str  # the name of the set that it is of
    image: str
    patient: str
    dice: float
    iou: float
    boundary_px: float  # 95 % Hausdorff distance, in pixels of the network's input


def mean_dice(net: nn.Module, preprocess: Preprocess, images: np.ndarray, masks: np.ndarray) -> float | None:
    """On uint8 squares (N, S, S, 3) with masks (N, S, S), 0 or 255; None of no squares or a network without masks."""
    predicted = predict_masks(net, images, preprocess) if len(images) else None
    if predicted is None:
        return None
    return float(np.mean([dice(*pair) for pair in zip(predicted >= THRESHOLD, masks > 0, strict=True)]))


def mask_scores(net: nn.Module, photos: PhotoSet, preprocess: Preprocess) -> list[MaskScore]:
    """Those of the photographs that have a mask, all of which can be read; none of a network that gives no masks.

    Both masks are those of the network's input: the centred square, at the checkpoint's side.
    """
    masked = photos.where(lambda photo: photo.mask is not None)
    if not masked.photos:
        return []
    masks, _ = load_masks(masked, preprocess.side)
    predicted = predict_masks(net, load_squares(masked, preprocess.side)[1], preprocess)
    if predicted is None:
        return []
    pairs = zip(predicted >= THRESHOLD, (mask > 0 for mask in masks), strict=True)  # in shards one by one
    return [
        MaskScore(masked.name, photo.image_id, photo.patient, dice(*pair), iou(*pair), boundary_distance(*pair))
        for photo, pair in zip(masked.photos, pairs, strict=True)
    ]


def mask_figures(scores: Sequence[MaskScore]) -> dict[str, float]:
    """JSON-able: photographs and patients; mean Dice with its 95 % interval (patients resampled), median Dice, mean
    IoU, median distance of the boundaries in pixels."""
    dices = np.array([score.dice for score in scores])
    mean = mean_interval(dices, [score.patient for score in scores])
    return {
        "images": len(scores),
        "patients": len({score.patient for score in scores}),
        "dice_mean": mean.value,
        "dice_mean_low": max(0.0, mean.low),
        "dice_mean_high": min(1.0, mean.high),
        "dice_median": float(np.median(dices)),
        "iou_mean": float(np.mean([score.iou for score in scores])),
        "boundary_px_median": float(np.median([score.boundary_px for score in scores])),
    }


def figures_by_set(scores: Iterable[MaskScore]) -> dict[str, dict[str, float]]:
    """Name of the set -> `mask_figures` of its photographs."""
    by_set: dict[str, list[MaskScore]] = {}
    for score in scores:
        by_set.setdefault(score.set, []).append(score)
    return {name: mask_figures(own) for name, own in by_set.items()}


def write_scores(path: Path, scores: Sequence[MaskScore]) -> None:
    """One row a photograph."""
    with moved_into_place(path) as unfinished, unfinished.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(MaskScore.__dataclass_fields__))
        writer.writeheader()
        writer.writerows(asdict(score) for score in scores)


def read_scores(path: Path) -> list[MaskScore]:
    """What `write_scores` wrote. InputError where there is no such file or it has other columns."""
    try:
        with path.open(newline="") as file:
            return [
                MaskScore(
                    row["set"], row["image"], row["patient"],
                    float(row["dice"]), float(row["iou"]), float(row["boundary_px"]),
                )
                for row in csv.DictReader(file)
            ]  # fmt: skip
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise InputError(f"{path} is no table of masks ({error}); train its fold again, with `force`") from error
