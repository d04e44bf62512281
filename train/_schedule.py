"""What changes from step to step beside the weights: the rate, and the average that is kept."""

from __future__ import annotations

import math
from collections.abc import Callable

from torch import Tensor

from ._recipe import Recipe


def learning_rate(recipe: Recipe, done: float) -> float:
    """Linear warm-up, then a cosine, as a function of the share of the run that is done."""
    if done < recipe.warmup:
        return recipe.learning_rate * done / recipe.warmup
    cosine = 0.5 * (1 + math.cos(math.pi * (done - recipe.warmup) / (1 - recipe.warmup)))
    return recipe.learning_rate * (recipe.final_rate + (1 - recipe.final_rate) * cosine)


def average(decay: float) -> Callable[[Tensor, Tensor, Tensor | int], Tensor]:
    """Exponential moving average that starts short, so that the random beginning is forgotten."""

    def blend(averaged: Tensor, current: Tensor, count: Tensor | int) -> Tensor:
        if not averaged.is_floating_point():
            return current
        n = float(count)
        return averaged.lerp(current, 1 - min(decay, (1 + n) / (10 + n)))

    return blend
