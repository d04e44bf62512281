"""Two masks of the same lesion -> how alike they are. NumPy and SciPy only; masks are bool (S, S) or (N, S, S).

A pixel belongs to a mask where its probability is at least THRESHOLD. Distances are in pixels of the mask.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edge.metrics import statistics as st
from edge.metrics.clustered import Clusters, median_interval
from edge.metrics.statistics import Estimate, Floats

THRESHOLD = 0.5
PERCENT = 95  # of the distances between boundaries, so that one stray pixel does not decide
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Masks:
    """What can be said of N pairs of masks. Pairs without a pixel in either are counted and left out of the rest."""

    images: int
    both_empty: int
    one_empty: int
    dice: Estimate  # median over images
    dice_p5: float
    dice_by_image: Floats  # of the pairs with a pixel
    iou: float  # median
    boundary: Estimate  # pixels, median over images
    boundary_p95: float


def measure_masks(reference: np.ndarray, candidate: np.ndarray, clusters: Clusters | None = None) -> Masks:
    """`reference` and `candidate`: probabilities (N, S, S) of the float model and of the file.

    `clusters`: which images are of one patient; without it all are independent.
    """
    before, after = reference >= THRESHOLD, candidate >= THRESHOLD
    some_before, some_after = before.any(axis=(1, 2)), after.any(axis=(1, 2))
    some = np.asarray(some_before | some_after, bool)
    pairs = [(before[n], after[n]) for n in np.flatnonzero(some)]
    together = (clusters or Clusters.independent(len(some))).where(some)
    dices = np.array([dice(*pair) for pair in pairs])
    distances = np.array([boundary_distance(*pair) for pair in pairs])
    return Masks(
        images=len(before),
        both_empty=int((~some_before & ~some_after).sum()),
        one_empty=int((some_before != some_after).sum()),
        dice=median_interval(dices, together),
        dice_p5=st.percentile(dices, 5) if pairs else math.nan,
        dice_by_image=dices,
        iou=st.median_interval(np.array([iou(*pair) for pair in pairs])).value,
        boundary=median_interval(distances, together),
        boundary_p95=st.percentile(distances, PERCENT) if pairs else math.nan,
    )


def dice(a: Mask, b: Mask) -> float:
    """2 |a and b| / (|a| + |b|), 0..1; two empty masks are equal: 1."""
    total = int(a.sum()) + int(b.sum())
    return 2 * int((a & b).sum()) / total if total else 1.0


def iou(a: Mask, b: Mask) -> float:
    """|a and b| / |a or b|, 0..1; two empty masks are equal: 1."""
    either = int((a | b).sum())
    return int((a & b).sum()) / either if either else 1.0


def boundary_distance(a: Mask, b: Mask) -> float:
    """95 % Hausdorff distance in pixels: how far all but 5 % of either boundary lie from the other at most.

    The boundary are the pixels of a mask with one of the four neighbours outside it; what lies beyond the picture is
    outside. Two empty masks: 0. One empty: the picture's diagonal, the largest distance there is.
    """
    from scipy.ndimage import distance_transform_edt

    if not a.any() or not b.any():
        return 0.0 if a.any() == b.any() else math.hypot(*a.shape)
    of_a, of_b = boundary(a), boundary(b)
    to_a, to_b = distance_transform_edt(~of_a), distance_transform_edt(~of_b)
    return float(max(np.percentile(to_b[of_a], PERCENT), np.percentile(to_a[of_b], PERCENT)))


def boundary(mask: Mask) -> Mask:
    wide = np.pad(mask, 1)
    inner = wide[:-2, 1:-1] & wide[2:, 1:-1] & wide[1:-1, :-2] & wide[1:-1, 2:]
    return mask & ~inner


def mask_problem(masks: np.ndarray | None, wanted: tuple[int, ...]) -> str | None:
    """Why an array is not one probability per pixel of every image, or None if it is."""
    if masks is None:
        return "the float model gives masks, the file none"
    if masks.shape != wanted:
        return f"expected masks of shape {wanted}, got {masks.shape}"
    broken = ~np.isfinite(masks).all(axis=(1, 2))
    if broken.any():
        return f"masks are NaN or infinite on {int(broken.sum())} of {len(masks)} images"
    outside = (masks < 0) | (masks > 1)
    if outside.any():
        return f"masks are not within 0..1 on {int(outside.any(axis=(1, 2)).sum())} of {len(masks)} images"
    return None
