"""What a network learns from and is looked at on, as arrays of one side."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import cast

import numpy as np

from edge.data.masks import load_masks
from edge.data.shards.on_demand import joined
from edge.data.squares import load_squares
from edge.data.table import PhotoSet

from ._augment import wide_side
from ._batches import Squares
from ._cut import Cut


@dataclass(frozen=True)
class TrainingData:
    """Functions of the side in pixels, each of which keeps what it has read."""

    classes: int
    squares_at: Callable[[int], Squares]  # training photographs, a margin larger than the side
    held_back_at: Callable[[int], tuple[np.ndarray, np.ndarray]]  # uint8 (N, S, S, 3) and classes (N,), for the curves
    # of all sets those that have a mask, uint8 (M, S, S, 3), and it, (M, S, S); None where no masks are learned
    held_back_masks_at: Callable[[int], tuple[np.ndarray, np.ndarray]] | None = None
    digests: tuple[str, ...] | None = None  # of the training parts: a resumed run must have the same

    def read(self, sides: Iterable[int]) -> None:
        """Read all of these sides now."""
        for side in sides:
            self.squares_at(side)
            self.held_back_at(side)
            if self.held_back_masks_at:
                self.held_back_masks_at(side)


def training_data(cuts: Sequence[Cut], *, masks: bool) -> TrainingData:
    """All sets are learned from; looked at are the held-back patients of the first, and the masks of those of all.

    `masks`: whether any are learned.
    """
    parts, held_back = [part.train for part in cuts], cuts[0].held_back
    targets = np.array(held_back.targets)
    return TrainingData(
        classes=len(held_back.classes),
        squares_at=cache(lambda side: training_squares(parts, side, masks=masks)),
        held_back_at=cache(lambda side: (load_squares(held_back, side)[1], targets)),
        held_back_masks_at=cache(lambda side: with_masks([part.held_back for part in cuts], side)) if masks else None,
        digests=tuple(part.sha256() for part in parts),
    )


def with_masks(parts: Sequence[PhotoSet], side: int) -> tuple[np.ndarray, np.ndarray]:
    """The photographs that have a mask, uint8 (M, side, side, 3), and their masks, uint8 (M, side, side)."""
    masked = [part.where(lambda photo: photo.mask is not None) for part in parts]
    images = [load_squares(part, side)[1] for part in masked if part.photos]
    masks = [load_masks(part, side)[0] for part in masked if part.photos]
    return (
        np.concatenate([np.zeros((0, side, side, 3), np.uint8), *images]),
        np.concatenate([np.zeros((0, side, side), np.uint8), *masks]),
    )


def training_squares(parts: Sequence[PhotoSet], side: int, *, masks: bool = False) -> Squares:
    """All training photographs of all sets, a margin larger than `side`, where wanted with their masks.

    Those of a single set are mapped from the cache, those in shards are decoded as they are drawn.
    """
    wide = wide_side(side)
    images = [load_squares(part, wide)[1] for part in parts]
    drawn, known = zip(*(load_masks(part, wide) for part in parts), strict=True) if masks else (None, None)
    return Squares(
        cast(np.ndarray, joined(images)),
        np.concatenate([np.array(part.targets) for part in parts]),
        np.concatenate([np.full(len(part), number) for number, part in enumerate(parts)]),
        cast(np.ndarray, joined(drawn)) if drawn else None,
        np.concatenate(known) if known else None,
    )
