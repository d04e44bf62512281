"""How hard each photograph is to a random forest that has not seen it: what instance-hardness undersampling goes by.

M. R. Smith, T. Martinez and C. Giraud-Carrier, "An instance level analysis of data complexity", Machine Learning 95
(2014); as the threshold of imbalanced-learn has it: one minus the probability that a cross-validated forest gives the
right class. Those that are hardest are dropped, which leaves a set that is easier than what cameras see.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np

from edge.errors import InputError

from .forest import quiet

TREES = 100
INNER_FOLDS = 5


def chances(
    pixels: np.ndarray, targets: np.ndarray, groups: Sequence[str] | None, *, seed: int, jobs: int = 1
) -> np.ndarray:
    """The probability of each photograph's own class, float64 (N,), by forests that were fitted without it.

    `pixels`: uint8 (N, ...), reduced or not; `targets`: int (N,). `groups`: N patients that are not parted by the inner
    folds; None: they are, as published. Raises InputError for fewer patients than inner folds, and where no class has
    so many photographs.
    """
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

    if groups is not None and len(set(groups)) < INNER_FOLDS:
        raise InputError(f"hardness is told in {INNER_FOLDS} parts by patient, and only {len(set(groups))} are learned")
    largest = int(np.bincount(targets).max())
    if largest < INNER_FOLDS:
        raise InputError(
            f"hardness is told in {INNER_FOLDS} parts, and the largest class that is learned has {largest} photographs"
        )
    flat = pixels.reshape(len(pixels), -1)
    splitter = (StratifiedKFold if groups is None else StratifiedGroupKFold)(
        INNER_FOLDS, shuffle=True, random_state=seed
    )
    own = np.zeros(len(targets))
    with quiet():
        for learned, judged in splitter.split(flat, targets, groups):
            forest = RandomForestClassifier(TREES, random_state=seed, n_jobs=jobs)
            forest.fit(flat[learned], targets[learned])
            shares = forest.predict_proba(flat[judged])
            right = targets[judged][:, None] == forest.classes_  # a class that was not learned has no column, so 0
            own[judged] = (shares * right).sum(axis=1)
    return own


def easiest(own_chances: np.ndarray, names: Sequence[str], number: int) -> list[int]:
    """Places of the `number` with the largest chances, in their order; equal ones by a hash of their names."""
    ranked = sorted(range(len(names)), key=lambda place: (-own_chances[place], digest(names[place])))
    return sorted(ranked[:number])


def digest(name: str) -> str:
    return hashlib.sha256(name.encode("utf-8", "surrogateescape")).hexdigest()
