"""Sets of patients whose truth is known: how often do answers change, and how alike are a patient's views?"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from scipy.special import ndtri
from scipy.stats import multivariate_normal

GRID = [
    (patients, disagreement, correlation)
    for patients in (50, 170, 600)
    for disagreement in (0.002, 0.007, 0.02, 0.05)
    for correlation in (0.0, 0.3, 0.7)
]
VIEWS = 8
MIX = (0.28, 0.30, 0.05, 0.20, 0.05, 0.12)  # of the classes, about PAD-UFES-20's: two are rare
LOST, GAINED = 0.5, 0.25  # of the changed rows; the rest is wrong before and after
SPREAD = 1.6  # of the logarithm of the enlargement that changes a class; hierattn_xs' int8 has about that


@dataclass(frozen=True)
class Simulated:
    groups: np.ndarray  # (N,) patients
    labels: np.ndarray  # (N,)
    logits: np.ndarray  # (N, 6) of the float model
    candidate: np.ndarray  # (N, 6)


def groups_of(patients: int, rng: np.random.Generator) -> np.ndarray:
    """Most patients have one photograph, some up to five; VIEWS rows each."""
    photographs = np.minimum(rng.geometric(0.75, patients), 5)
    return np.repeat(np.arange(patients), VIEWS * photographs)


def changed_beta(groups: np.ndarray, share: float, correlation: float, rng: np.random.Generator) -> np.ndarray:
    """(N,) changed rows: every patient has a share of its own, from the beta distribution."""
    patients = groups[-1] + 1
    shares = np.full(patients, share)
    if correlation:
        shares = rng.beta(share * (1 / correlation - 1), (1 - share) * (1 / correlation - 1), patients)
    return rng.random(len(groups)) < shares[groups]


@cache
def latent(share: float, correlation: float) -> float:
    """Correlation of two normal numbers that makes the events "below the quantile of `share`" correlated as wanted."""
    if not correlation:
        return 0.0
    both = share**2 + correlation * share * (1 - share)
    low, high = 0.0, 0.9999
    for _ in range(30):
        middle = (low + high) / 2
        joint = multivariate_normal([0, 0], [[1, middle], [middle, 1]]).cdf([ndtri(share)] * 2)
        low, high = (middle, high) if joint < both else (low, middle)
    return low


def simulated(
    patients: int, share: float, correlation: float, rng: np.random.Generator, *, lost: float = LOST,
    gained: float = GAINED,
) -> Simulated:  # fmt: skip
    """Two sets of answers of which `share` differ, with near misses that are as alike within a patient as changes."""
    groups = groups_of(patients, rng)
    rows, classes = len(groups), len(MIX)
    r = latent(share, correlation)
    z = np.sqrt(r) * rng.normal(size=patients)[groups] + np.sqrt(1 - r) * rng.normal(size=rows)
    enlargement = np.exp(SPREAD * (z - ndtri(share)))  # that changes the class: below 1 it is changed
    label = np.concatenate([np.arange(classes), rng.choice(classes, patients - classes, p=MIX)])[groups]
    kind = rng.random(patients)[groups]
    other, third = (label + 1) % classes, (label + 2) % classes
    first = np.where(kind < lost, label, other)
    second = np.where(kind < lost, other, np.where(kind < lost + gained, label, third))
    gap = rng.uniform(0.05, 3.0, rows)
    logits, error = np.zeros((rows, classes)), np.zeros((rows, classes))
    logits[np.arange(rows), first], logits[np.arange(rows), second] = 4.0, 4.0 - gap
    error[np.arange(rows), second] = gap / enlargement
    return Simulated(groups, label, logits, logits + error)
