"""What parity judges on: images by id, patient, domain and label, and what the float model says of each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from edge.errors import InputError
from edge.metrics.masks import mask_problem
from edge.metrics.statistics import Floats, Ints

UNKNOWN = -1  # label of an image whose diagnosis nobody gave
SUM_TOLERANCE = 0.02  # a softmax in float16, or rounded to 8 bits, still sums to 1 within this


@dataclass(frozen=True)
class Observations:
    """N images and K classes; refuses what does not fit together.

    With `views` above 1 the N images are so many views of each photograph: first the photographs themselves, in their
    order, then all of them in another view, and so on.
    """

    image_ids: tuple[str, ...]  # N, each once
    groups: tuple[str, ...]  # N: the patient; images of one patient are not independent
    domains: tuple[str, ...]  # N: where it comes from, "pad_ufes_20", "isic", "synthetic"
    labels: Ints  # (N,) 0..K-1, or UNKNOWN
    class_codes: tuple[str, ...]  # K, in output order
    class_names: tuple[str, ...]  # K
    malignant: tuple[bool | None, ...]  # K; None: unknown
    reference: Floats  # (N, K) probabilities of the float32 torch model
    masks: Floats | None = None  # (N, S, S) its probability of every pixel, if the network gives masks
    views: int = 1

    def __post_init__(self) -> None:
        object.__setattr__(self, "labels", np.asarray(self.labels))
        object.__setattr__(self, "reference", np.asarray(self.reference, np.float64))
        images, classes = len(self.image_ids), len(self.class_codes)
        if images == 0 or classes < 2:
            raise InputError(f"parity needs at least 1 image and 2 classes, got {images} images and {classes} classes")
        if len(set(self.image_ids)) != images:
            twice, times = Counter(self.image_ids).most_common(1)[0]
            raise InputError(f"parity needs each image once, got {twice!r} {times} times")
        for kind, values, wanted in (
            ("patients", self.groups, images),
            ("domains", self.domains, images),
            ("class names", self.class_names, classes),
            ("malignant flags", self.malignant, classes),
        ):
            if len(values) != wanted:
                raise InputError(f"parity: expected {wanted} {kind}, got {len(values)}")
        if self.views < 1 or images % self.views or self.groups != self.groups[: images // self.views] * self.views:
            raise InputError(f"parity: {images} images are not {self.views} views of each photograph, in one order")
        if self.labels.shape != (images,) or self.labels.dtype.kind not in "iu":
            raise InputError(
                f"parity: expected integer labels of shape ({images},), got {self.labels.dtype} {self.labels.shape}"
            )
        object.__setattr__(self, "labels", self.labels.astype(np.int64))
        lowest, highest = int(self.labels.min()), int(self.labels.max())
        if lowest < UNKNOWN or highest >= classes:
            raise InputError(
                f"parity: labels are 0 to {classes - 1}, or {UNKNOWN} for unknown; got {lowest} to {highest}"
            )
        wrong = problem(self.reference, images, classes, self.image_ids)
        if wrong:
            raise InputError(f"parity: the float model's answers are no probabilities: {wrong}")
        if self.masks is not None:
            wrong = mask_problem(self.masks, (images, *self.masks.shape[1:]))
            if wrong:
                raise InputError(f"parity: the float model's {wrong}")

    def __len__(self) -> int:
        return len(self.image_ids)

    @property
    def photographs(self) -> int:
        return len(self) // self.views

    def plain(self) -> Observations:
        """The photographs themselves alone."""
        count = self.photographs
        return replace(
            self, image_ids=self.image_ids[:count], groups=self.groups[:count], domains=self.domains[:count],
            labels=self.labels[:count], reference=self.reference[:count],
            masks=None if self.masks is None else self.masks[:count], views=1,
        )  # fmt: skip


def problem(probabilities: Floats, images: int, classes: int, image_ids: Sequence[str]) -> str | None:
    """Why an array is not one probability per image and class, or None if it is."""
    if probabilities.shape != (images, classes):
        return f"expected shape ({images}, {classes}), got {probabilities.shape}"
    for reason, bad in (
        ("NaN or infinite", ~np.isfinite(probabilities).all(axis=1)),
        ("not within 0..1", ((probabilities < -SUM_TOLERANCE) | (probabilities > 1 + SUM_TOLERANCE)).any(axis=1)),
        ("not summing to 1", np.abs(probabilities.sum(axis=1) - 1) > SUM_TOLERANCE),
    ):
        if bad.any():
            return f"{reason} on {bad.sum()} of {images} images, the first {image_ids[int(bad.argmax())]!r}"
    return None
