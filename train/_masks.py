"""What a network that also finds the lesion learns from, and how well it does."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edge.checkpoint import Preprocess
from edge.data.masks import load_masks
from edge.data.squares import load_squares
from edge.data.table import PhotoSet
from edge.metrics.masks import THRESHOLD, boundary_distance, dice, iou
from edge.models.deployed import class_and_mask

UNKNOWN = -1.0  # every pixel of the mask of a photograph that has none
SMOOTH = 1e-5


def mask_loss(logits: Tensor, wanted: Tensor) -> Tensor | None:
    """Soft Dice over the whole batch plus binary cross entropy; logits (N, 1, S, S), wanted (N, S, S) 0..1 or UNKNOWN.

    Dice summed over the batch, as the authors of ResFormer train it (arXiv:2412.00351), not per image, so
    that a small lesion does not weigh as much as a large one. The cross entropy gives a slope where the sigmoid of a
    fresh network has none. None where no photograph of the batch has a mask.
    """
    known = wanted[:, 0, 0] >= 0
    if not bool(known.any()):
        return None
    found, target = logits[known, 0].float(), wanted[known].float()
    p = torch.sigmoid(found)
    overlap = (2 * (p * target).sum() + SMOOTH) / (p.square().sum() + target.square().sum() + SMOOTH)
    return 1 - overlap + F.binary_cross_entropy_with_logits(found, target)


@torch.no_grad()
def predict_masks(net: nn.Module, images: np.ndarray, preprocess: Preprocess, *, batch: int = 32) -> np.ndarray | None:
    """Probabilities of pixels, float32 (N, S, S), of uint8 squares (N, S, S, 3); None of a network without masks."""
    from ._loop import normalise

    device = next(net.parameters()).device
    net.eval()
    parts = []
    for start in range(0, len(images), batch):
        block = torch.from_numpy(np.array(images[start : start + batch])).permute(0, 3, 1, 2).to(device)
        _, mask = class_and_mask(net(normalise(block, preprocess)))
        if mask is None:
            return None
        parts.append(torch.sigmoid(mask[:, 0].float()).cpu().numpy())
    return np.concatenate(parts)


def mask_figures(found: np.ndarray, true: np.ndarray, known: np.ndarray) -> dict[str, float] | None:
    """How near masks (N, S, S), probabilities, are to the drawn ones (N, S, S), 0 or 255, where there are some.

    JSON-able: images, mean and median Dice, mean IoU, median distance of the boundaries (95 % Hausdorff) in pixels.
    """
    pairs = [(found[n] >= THRESHOLD, true[n] > 0) for n in np.flatnonzero(known)]
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


def masks_of(net: nn.Module, photos: PhotoSet, preprocess: Preprocess) -> dict[str, float] | None:
    """The figures of a network on photographs that can be read; None without masks on either side."""
    masks, known = load_masks(photos, preprocess.side)
    _, squares = load_squares(photos, preprocess.side)
    found = predict_masks(net, squares[known], preprocess) if known.any() else None
    return None if found is None else mask_figures(found, masks[known], known[known])


def mask_line(figures: dict[str, float]) -> str:
    """For the screen."""
    return (
        f"masks of {figures['images']} photographs: Dice {figures['dice_mean']:.3f} on average, "
        f"{figures['dice_median']:.3f} median; IoU {figures['iou_mean']:.3f}; "
        f"boundary {figures['boundary_px_median']:.1f} pixels away (95 % Hausdorff, median)"
    )
