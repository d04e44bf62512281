"""How well a network that also finds the lesion does so."""

from __future__ import annotations

import numpy as np
from torch import nn

from edge.checkpoint import Preprocess
from edge.data.masks import load_masks
from edge.data.squares import load_squares
from edge.data.table import PhotoSet
from edge.metrics.masks import THRESHOLD, boundary_distance, dice, iou

from ._predict import predict_masks


def mask_figures(predicted: np.ndarray, true: np.ndarray, known: np.ndarray) -> dict[str, float] | None:
    """How near masks (N, S, S), probabilities, are to the drawn ones (N, S, S), 0 or 255, where there are some.

    JSON-able: images, mean and median Dice, mean IoU, median distance of the boundaries (95 % Hausdorff) in pixels.
    """
    pairs = [(predicted[n] >= THRESHOLD, true[n] > 0) for n in np.flatnonzero(known)]
    if not pairs:
        return None
    dices = [dice(*pair) for pair in pairs]
    return {
        "images": len(pairs),
        "dice_mean": float(np.mean(dices)),
        "dice_median": float(np.median(dices)),
        "iou_mean": float(np.mean([iou(*pair) for pair in pairs])),
        "boundary_px_median": float(np.median([boundary_distance(*pair) for pair in pairs])),
    }


def measured_masks(
    net: nn.Module, preprocess: Preprocess, images: np.ndarray, masks: np.ndarray, known: np.ndarray
) -> dict[str, float] | None:
    """`mask_figures` of a network on uint8 squares (N, S, S, 3); None without masks on either side."""
    predicted = predict_masks(net, images[known], preprocess) if known.any() else None
    return None if predicted is None else mask_figures(predicted, masks[known], known[known])


def masks_of(net: nn.Module, photos: PhotoSet, preprocess: Preprocess) -> dict[str, float] | None:
    """The figures of a network on photographs that can be read; None without masks on either side."""
    masks, known = load_masks(photos, preprocess.side)
    _, squares = load_squares(photos, preprocess.side)
    return measured_masks(net, preprocess, squares, masks, known)
