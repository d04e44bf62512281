"""Batches of augmented photographs. Which ones and how they look depends on (seed, epoch, index) alone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from ._augment import augment


@dataclass(frozen=True)
class Squares:
    """Photographs in memory: uint8 (N, C, C, 3) RGB, class indices (N,), data-set indices (N,)."""

    images: np.ndarray
    targets: np.ndarray
    domains: np.ndarray

    def __len__(self) -> int:
        return len(self.targets)


class Views(Dataset):
    """One augmented view per (epoch, index)."""

    def __init__(self, squares: Squares, side: int, *, seed: int, strength: float) -> None:
        self.squares, self.side, self.seed, self.strength = squares, side, seed, strength

    def __len__(self) -> int:
        return len(self.squares)

    def __getitem__(self, item: tuple[int, int]) -> tuple[Tensor, int, int]:
        epoch, index = item
        rng = np.random.default_rng((self.seed, epoch, index))
        view = augment(self.squares.images[index], self.side, rng, strength=self.strength)
        return (
            torch.from_numpy(view).permute(2, 0, 1),
            int(self.squares.targets[index]),
            int(self.squares.domains[index]),
        )


class Order(Sampler):
    """Batches of (epoch, index): a fresh shuffle per epoch, dealt out to processes, beginning at any step."""

    def __init__(self, count: int, batch: int, *, epoch: int, seed: int, rank: int, world: int, start: int) -> None:
        self.steps = steps_per_epoch(count, batch, world)
        self.start, self.batch, self.epoch = start, batch, epoch
        shuffled = np.random.default_rng((seed, 1, epoch)).permutation(count)
        self.mine = np.resize(shuffled, self.steps * batch * world)[rank::world]

    def __len__(self) -> int:
        return self.steps - self.start

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        for step in range(self.start, self.steps):
            chosen = self.mine[step * self.batch : (step + 1) * self.batch]
            yield [(self.epoch, int(index)) for index in chosen]


def steps_per_epoch(count: int, batch: int, world: int) -> int:
    """Full batches only, at least one: batch norm over a remainder of two images does harm."""
    return max(1, count // (batch * world))


def loader(views: Views, order: Order, *, workers: int) -> DataLoader:
    return DataLoader(views, batch_sampler=order, num_workers=workers, persistent_workers=False)
