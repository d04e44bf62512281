"""Tensors made of sizes, and those whose shape the values decide."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import ceil, isfinite
from typing import Any

import torch
from torch import Tensor

from .kinds import Ints
from .shape import axis_of
from .slicing import bounded


def fill(shape: Ints, value: Tensor | float = 0.0) -> Tensor:
    return torch.as_tensor(value).reshape(()).expand(bounded(shape))


def fill_like(ref_tensor: Tensor, value: Tensor | float = 0.0) -> Tensor:
    """The shape of the reference, the type of the value."""
    return torch.as_tensor(value).reshape(()).expand(ref_tensor.shape)


def range_1d(end: float, start: float, step: float) -> Tensor:
    """start, start + step, ... below end (above it for a negative step)."""
    if step == 0 or not isfinite(count := (end - start) / step):
        raise ValueError(f"no range from {start} to {end} has steps of {step}")
    length = max(0, ceil(count))
    bounded([length])
    if isinstance(start, int) and isinstance(step, int):
        return start + step * torch.arange(length)
    return start + step * torch.arange(length, dtype=torch.float64)


def one_hot(
    indices: Tensor,
    one_hot_vector_size: int,
    axis: int = -1,
    on_value: Tensor | int = 1,
    off_value: Tensor | int = 0,
) -> Tensor:
    """on_value where the place on the new axis is the index; an index outside of it gives off_value everywhere."""
    axis = axis_of(axis, indices.ndim + 1)
    shape = list(indices.shape)
    bounded([*shape, one_hot_vector_size])
    places = torch.arange(one_hot_vector_size).reshape(-1, *[1] * (indices.ndim - axis))
    hot = indices.long().unsqueeze(axis) == places
    return torch.where(hot, torch.as_tensor(on_value).reshape(()), torch.as_tensor(off_value).reshape(()))


def non_zero(x: Tensor) -> Tensor:
    """One row for each value that is not zero: its place."""
    return x.nonzero()


def argsort(x: Tensor, axis: int = -1, ascending: bool = False) -> Tensor:
    """Of equal values the first comes first; Core ML leaves their order open."""
    return x.argsort(dim=axis, descending=not ascending, stable=True)


def topk(
    x: Tensor,
    k: int = 1,
    axis: int = -1,
    ascending: bool = False,
    sort: bool = True,
    return_indices: bool = True,
    output_indices_dtype: str = "int32",
) -> Tensor | tuple[Tensor, Tensor]:
    """The largest (smallest: ascending) and where they are, in order; -1 takes all. Without `sort` any order is right.

    The type of the indices is that of the program's output.
    """
    size = x.shape[axis]
    count = size if k == -1 else k
    if not 0 <= count <= size:
        raise ValueError(f"{k} of {size} values cannot be taken")
    values, places = x.sort(dim=axis, descending=not ascending, stable=True)
    values, places = values.narrow(axis, 0, count), places.narrow(axis, 0, count)
    return (values, places) if return_indices else values


def non_maximum_suppression(
    boxes: Tensor,
    scores: Tensor,
    iou_threshold: float,
    score_threshold: float,
    max_boxes: int,
    per_class_suppression: bool = False,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Boxes of each image by falling score, without those that overlap one before them; at least the best one.

    What is left of max_boxes is 0 in boxes and scores and -1 in the indices. The last result counts the boxes.
    """
    return suppressed(boxes, scores, iou_threshold, score_threshold, max_boxes, per_class_suppression)


def non_maximum_suppression_17(
    boxes: Tensor, scores: Tensor, iou_threshold: float, max_boxes: int, per_class_suppression: bool = False
) -> tuple[Tensor, Tensor, Tensor]:
    """iOS 17: the boxes are on the last axis, none is refused for its score, and they are not counted."""
    boxes_kept, rated, places, _ = suppressed(
        boxes.transpose(1, 2), scores.transpose(1, 2), iou_threshold, float("-inf"), max_boxes, per_class_suppression
    )
    return boxes_kept.transpose(1, 2), rated.transpose(1, 2), places


def suppressed(
    boxes: Tensor, scores: Tensor, iou_threshold: float, score_threshold: float, max_boxes: int, per_class: bool
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    images = boxes.shape[0]
    if boxes.shape[-1] != 4 or scores.shape[:2] != boxes.shape[:2]:
        raise ValueError(f"boxes of shape {tuple(boxes.shape)} and scores of {tuple(scores.shape)} do not fit")
    bounded([images, max_boxes, max(4, scores.shape[2])])
    boxes_kept = boxes.new_zeros(images, max_boxes, 4)
    rated = scores.new_zeros(images, max_boxes, scores.shape[2])
    places = torch.full((images, max_boxes), -1)
    counts = torch.zeros(images, dtype=torch.long)
    for image in range(images):
        best, classes = scores[image].max(dim=1)
        kept = survivors(boxes[image], best, classes if per_class else None, iou_threshold, score_threshold, max_boxes)
        count = len(kept)
        boxes_kept[image, :count], rated[image, :count] = boxes[image, kept], scores[image, kept]
        places[image, :count], counts[image] = kept, count
    return boxes_kept, rated, places, counts


def survivors(
    boxes: Tensor, best: Tensor, classes: Tensor | None, iou_threshold: float, score_threshold: float, most: int
) -> Tensor:
    """Indices of the boxes that stay, by falling score. A round for each box that stays, at most `most`."""
    order = best.argsort(descending=True, stable=True)
    left = order[best[order] > score_threshold]
    kept: list[Tensor] = []
    while len(left) and len(kept) < most:
        first, left = left[0], left[1:]
        kept.append(first)
        hidden = overlap(boxes[first], boxes[left]) > iou_threshold
        if classes is not None:
            hidden &= classes[left] == classes[first]
        left = left[~hidden]
    return torch.stack(kept) if kept else order[: min(1, most)]


def overlap(box: Tensor, others: Tensor) -> Tensor:
    """Intersection over union; a box is (x of its centre, y of its centre, width, height). 0 for one without area."""
    low = torch.maximum(box[:2] - box[2:] / 2, others[:, :2] - others[:, 2:] / 2)
    high = torch.minimum(box[:2] + box[2:] / 2, others[:, :2] + others[:, 2:] / 2)
    shared = (high - low).clamp(min=0).prod(dim=1)
    areas, area = others[:, 2:].prod(dim=1), box[2:].prod()
    return torch.where((areas > 0) & (area > 0), shared / (areas + area - shared), 0.0)


# Random values: drawn anew each time, or the same each time for a seed. They are not the ones that Apple's generator
# draws; of those only the distribution is documented.


def generator(seed: int) -> torch.Generator:
    source = torch.Generator()
    if seed < 0:
        source.seed()
    else:
        source.manual_seed(seed)
    return source


def random_bernoulli(shape: Ints, prob: float = 0.5, seed: int = -1) -> Tensor:
    """1 with the probability `prob`, 0 otherwise."""
    return (torch.rand(bounded(shape), generator=generator(seed)) < prob).float()


def random_normal(shape: Ints, mean: float = 0.0, stddev: float = 1.0, seed: int = -1) -> Tensor:
    return mean + stddev * torch.randn(bounded(shape), generator=generator(seed))


def random_uniform(shape: Ints, low: float = 0.0, high: float = 1.0, seed: int = -1) -> Tensor:
    return low + (high - low) * torch.rand(bounded(shape), generator=generator(seed))


def random_categorical(x: Tensor, mode: str = "logits", size: int = 1, seed: int = -1) -> Tensor:
    """`size` class numbers for each distribution on the last axis, which holds logits or probabilities."""
    if mode not in {"logits", "probs"}:
        raise ValueError(f"the mode {mode} is not known")
    bounded([*x.shape[:-1], size])
    weights = x.float().softmax(-1) if mode == "logits" else x.float()
    drawn = torch.multinomial(weights.reshape(-1, x.shape[-1]), size, replacement=True, generator=generator(seed))
    return drawn.reshape(*x.shape[:-1], size).float()


TABLE: dict[str, Callable[..., Any] | Mapping[str, Callable[..., Any]]] = {
    "fill": fill,
    "fill_like": {"CoreML6": fill_like},
    "range_1d": range_1d,
    "one_hot": one_hot,
    "non_zero": non_zero,
    "argsort": argsort,
    "topk": topk,
    "non_maximum_suppression": {"CoreML5": non_maximum_suppression, "CoreML7": non_maximum_suppression_17},
    "random_bernoulli": random_bernoulli,
    "random_normal": random_normal,
    "random_uniform": random_uniform,
    "random_categorical": random_categorical,
}
EXACT: frozenset[str] = frozenset({"fill", "fill_like", "one_hot", "topk", "non_maximum_suppression"})
