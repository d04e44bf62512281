"""What a network is held against: forests that see almost nothing of the photograph, and hand-made descriptors."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np

from edge.capture import read_bounded
from edge.data.shards.on_demand import on_demand
from edge.data.splits import patient_folds
from edge.data.squares import load_squares
from edge.data.table import PhotoSet

from ._descriptors import SIDE
from ._guide import drawn, fit_guide
from ._summary import summarise

TREES = 500
TINY = 16  # pixels


def baselines(photos: PhotoSet, *, folds: int, seed: int) -> dict[str, dict]:
    """Out-of-fold figures on the same patient-level folds.

    Two random forests, on 16x16 RGB and on the geometry of the file, and the linear classifier on hand-made
    descriptors that may guide training (`_guide`), on MOST_PHOTOGRAPHS at the most. Shards have the geometry of none.
    """
    from sklearn.ensemble import RandomForestClassifier

    photos, squares = load_squares(photos, TINY, skip_unreadable=True, enlarged=True)
    targets = np.array(photos.targets)
    fold_of = patient_folds(photos.targets, photos.patients, folds=folds, seed=seed)
    features = {"forest on 16x16 RGB": np.array(squares).reshape(len(squares), -1)}
    if not on_demand(photos):
        features["forest on file size and geometry"] = np.array([geometry(photo.path) for photo in photos.photos])
    summaries = {}
    for name, x in features.items():
        votes = np.zeros((len(targets), len(photos.codes)))
        for fold in range(folds):
            train = fold_of != fold
            forest = RandomForestClassifier(TREES, class_weight="balanced", random_state=seed, n_jobs=1)
            forest.fit(x[train], targets[train])
            votes[np.ix_(~train, forest.classes_)] = forest.predict_proba(x[~train])
        summaries[name] = summarise(targets, photos.patients, np.log(votes + 1e-3), photos.classes)
    _, squares = load_squares(photos, SIDE, enlarged=True)
    rng = np.random.default_rng((seed, 4))
    logits = np.zeros((len(targets), len(photos.codes)))
    for fold in range(folds):
        train, rest = drawn(np.flatnonzero(fold_of != fold), rng), np.flatnonzero(fold_of == fold)
        guide = fit_guide(([squares[index]] for index in train), targets[train], len(photos.codes))
        logits[rest] = [guide.scaled(squares[index]) @ guide.weight + guide.bias for index in rest]
    summaries["linear classifier on hand-made descriptors"] = summarise(
        targets, photos.patients, logits, photos.classes
    )
    return summaries


def geometry(path: Path) -> tuple[int, int, int, bool]:
    """Width, height, bytes, and whether it is a PNG: nothing that is in the picture."""
    from PIL import Image

    content = read_bounded(path, str(path))
    with Image.open(io.BytesIO(content)) as image:
        return (*image.size, len(content), path.suffix.lower() == ".png")
