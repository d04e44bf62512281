"""Sums over what the weights of a layer are multiplied with, and how many places of a map they look at."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

PLACES = 2048  # of a map, at most, that are looked at in each image


@dataclass(frozen=True)
class Moments:
    """Over all places: G groups of output channels that read the same inputs, K weights of an output channel."""

    products: np.ndarray  # float64 (G, K, K): sums of products of two inputs, H of `_joint_rounding`
    means: np.ndarray  # float32 (G, K)
    places: int


def step_between(places: int) -> int:
    """So that no more than PLACES are taken, in every column of a square map alike."""
    step = -(-places // PLACES)
    while math.gcd(step, places) > 1:
        step += 1
    return step
