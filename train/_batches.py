"""Batches of augmented photographs. Which ones and how they look depends on (seed, epoch, index) alone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from ._augment import augment, augment_both
from ._guide import Guide, guide_for
from ._recipe import Recipe

NO_MASK = -1.0  # every pixel of the mask of a photograph that has none
SECOND_VIEW = 1_000_003  # epochs on, so that a second view is another one; a prime, so that kept variants differ too
NEARLY_ALL = 0.98  # a photograph with this share is left unblended
Sample = tuple[Tensor, Tensor, int, Tensor, Tensor, int]


@dataclass(frozen=True)
class Squares:
    """Photographs, in memory or read as they are drawn: uint8 (N, C, C, 3) RGB, class indices (N,), -1 unknown,
    data-set indices (N,).

    For a network that learns masks, these, too: uint8 (N, C, C) of 0 and 255, and which of them are known, bool (N,).
    """

    images: np.ndarray
    targets: np.ndarray
    domains: np.ndarray
    masks: np.ndarray | None = None
    known: np.ndarray | None = None
    _by_domain: dict[int, np.ndarray] = field(default_factory=dict, repr=False, compare=False)

    def of_domain(self, domain: int) -> np.ndarray:
        """The numbers of a data set's photographs, int (M,)."""
        if domain not in self._by_domain:
            self._by_domain[domain] = np.flatnonzero(self.domains == domain)
        return self._by_domain[domain]

    def __len__(self) -> int:
        return len(self.targets)


@dataclass
class Views(Dataset):
    """One augmented view per (epoch, index), blended with another photograph's now and then.

    Blending is mix-up (arXiv:1710.09412) within a data set, before the descriptors are taken, so that these belong
    to what the network sees. With `variants` only so many views of a photograph are drawn, and kept in memory.
    """

    squares: Squares
    side: int
    classes: int
    seed: int
    strength: float
    mixup: float = 0.0  # share ~ Beta(a, a); 0 for none
    variants: int = 0
    guide: Guide | None = None
    kept: dict[tuple[int, int], Sample] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.squares)

    def __getitem__(self, item: tuple[int, int]) -> Sample:
        """Image, uint8 (3, S, S); class shares, float32 (K,); data set; scaled descriptors, float32 (D or 0,); mask,
        float32 (S, S) 0..1, NO_MASK everywhere where there is none, (0,) where no masks are learned; number of the
        view, by which it is told from the others of its side."""
        if not self.variants:
            return self.draw(item)
        item = (item[0] % self.variants, item[1])
        if item not in self.kept:
            self.kept[item] = self.draw(item)
        return self.kept[item]

    def draw(self, item: tuple[int, int]) -> Sample:
        rng = np.random.default_rng((self.seed, *item))
        index = item[1]
        view, mask = self.augmented(index, rng)
        wanted = np.zeros(self.classes, np.float32)
        share = rng.beta(self.mixup, self.mixup) if self.mixup else 1.0
        if share < NEARLY_ALL:
            partner = rng.choice(self.squares.of_domain(int(self.squares.domains[index])))
            other, its_mask = self.augmented(partner, rng)
            view = cv2.addWeighted(view, share, other, 1 - share, 0)
            mask = blended(mask, its_mask, share)
            wanted += self.one_hot(partner, 1 - share)
        else:
            share = 1.0
        wanted += self.one_hot(index, share)
        return (
            torch.from_numpy(view).permute(2, 0, 1),
            torch.from_numpy(wanted),
            int(self.squares.domains[index]),
            torch.from_numpy(self.guide.scaled(view)) if self.guide else torch.empty(0),
            torch.empty(0) if mask is None else torch.from_numpy(mask),
            item[0] * len(self) + index,
        )

    def one_hot(self, index: int, share: float) -> np.ndarray:
        """The share at the photograph's class, float32 (K,); all 0 where the class is unknown."""
        target = self.squares.targets[index]
        return (np.arange(self.classes) == target).astype(np.float32) * np.float32(share)

    def augmented(self, index: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray | None]:
        """A view and its mask, float32."""
        own = self.squares.masks
        if own is None or self.squares.known is None:
            return augment(self.squares.images[index], self.side, rng, strength=self.strength), None
        view, mask = augment_both(self.squares.images[index], own[index], self.side, rng, strength=self.strength)
        assert mask is not None  # it was given one
        return view, mask.astype(np.float32) / 255 if self.squares.known[index] else np.full_like(mask, NO_MASK, "f4")


def blended(mask: np.ndarray | None, other: np.ndarray | None, share: float) -> np.ndarray | None:
    """The mask of a blend of two photographs; unknown where one of them is."""
    if mask is None or other is None:
        return None
    if min(mask.flat[0], other.flat[0]) == NO_MASK:
        return np.full_like(mask, NO_MASK)
    return (share * mask + (1 - share) * other).astype(np.float32)


class Order(Sampler):
    """Batches of (epoch, index): a fresh shuffle per epoch, dealt out to processes, beginning at any step.

    With `chances`, float (count,), an epoch has as many photographs as before, drawn by them with replacement. `views`
    of a photograph stand in one batch, which has that many fewer photographs.
    """

    def __init__(
        self, count: int, batch: int, *, epoch: int, seed: int, rank: int, world: int, start: int,
        chances: np.ndarray | None = None, views: int = 1,
    ) -> None:  # fmt: skip
        self.photographs, self.views = batch // views, views
        self.steps = steps_per_epoch(count, self.photographs, world)
        self.start, self.epoch, self.rank, self.world = start, epoch, rank, world
        rng = np.random.default_rng((seed, 1, epoch))
        shuffled = rng.permutation(count) if chances is None else rng.choice(count, count, p=chances)
        self.mine = np.resize(shuffled, self.steps * self.photographs * world)[rank::world]

    def __len__(self) -> int:
        return self.steps - self.start

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        for step in range(self.start, self.steps):
            chosen = self.mine[step * self.photographs : (step + 1) * self.photographs]
            yield [(self.epoch + view * SECOND_VIEW, int(index)) for view in range(self.views) for index in chosen]

    def places(self, step: int) -> list[int]:
        """The place in the epoch's order of each sample of a step's batch, by which all processes tell them apart."""
        own = range(step * self.photographs, (step + 1) * self.photographs)
        return [(place * self.world + self.rank) * self.views + view for view in range(self.views) for place in own]


def steps_per_epoch(count: int, batch: int, world: int) -> int:
    """Full batches only, at least one: batch norm over a remainder of two images does harm."""
    return max(1, count // (batch * world))


def loader(views: Views, order: Order, *, workers: int) -> DataLoader:
    return DataLoader(views, batch_sampler=order, num_workers=workers, persistent_workers=False)


def views_for(recipe: Recipe, squares: Squares, side: int, classes: int) -> Views:
    """The views that a recipe asks for, with the guide's descriptors where it wants some."""
    views = Views(
        squares, side, classes, seed=recipe.seed, strength=recipe.augment, mixup=recipe.mixup, variants=recipe.variants
    )
    if recipe.descriptors or recipe.guide:
        # Fitted on the first data set alone: the others may have other cameras and lack classes.
        own = np.flatnonzero(squares.domains == 0)
        views.guide = guide_for(
            squares.images, squares.targets, own, side, classes, seed=recipe.seed, strength=recipe.augment
        )
    return views
