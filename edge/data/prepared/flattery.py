"""By how much the published protocol flatters: a quick probe on both sets, with an interval over patients."""

from __future__ import annotations

import cv2
import numpy as np

from edge.errors import InputError
from edge.metrics.bootstrap import balanced_accuracy_interval, difference_of_sets
from edge.metrics.statistics import Estimate
from edge.progress import track

from .build import REDUCED, Prepared
from .forest import quiet
from .protocols import Item

TREES = 200


def flattery(as_published: Prepared, sound: Prepared, *, seed: int = 0, jobs: int = 1) -> dict:
    """Out-of-fold figures of one probe, a random forest on 16 x 16 pixels, on a set and on the sound one of the same.

    `difference` is the balanced accuracy as published minus the sound one, patients resampled in both together.
    """
    if as_published.facts["source"] != sound.facts["source"]:
        raise InputError("both sets have to be made of the same photographs")
    results = [probed(own, seed=seed, jobs=jobs) for own in (as_published, sound)]
    first, second = ((labels, labels == said, groups) for labels, said, groups in results)
    return {
        "probe": f"random forest of {TREES} trees on {REDUCED} x {REDUCED} pixels",
        "published": figures(results[0]),
        "sound": figures(results[1]),
        "difference": numbers(difference_of_sets(first, second, seed=seed)),
    }


def probed(own: Prepared, *, seed: int, jobs: int) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Classes (N,), those that the probe said (N,) and N patients, of every test image of every fold."""
    from sklearn.ensemble import RandomForestClassifier

    place = {item: row for row, item in enumerate(own.items)}
    pixels = np.stack([tiny(own, item) for item in own.items])
    targets = np.array([own.photos.targets[photo] for photo, _ in own.items])
    rows: list[int] = []
    said: list[int] = []
    for fold in track(own.folds, f"probing the set {own.facts['protocol']}", len(own.folds)):
        learned, judged = ([place[item] for item in part] for part in (fold.train, fold.test))
        forest = RandomForestClassifier(TREES, random_state=seed, n_jobs=jobs)
        with quiet():
            forest.fit(pixels[learned], targets[learned])
            said += forest.predict(pixels[judged]).tolist()
        rows += judged
    patients = [own.photos.photos[own.items[row][0]].patient for row in rows]
    return targets[rows], np.array(said), patients


def tiny(own: Prepared, item: Item) -> np.ndarray:
    """uint8 (REDUCED * REDUCED * 3,) of a square on disk."""
    square = cv2.imread(str(own.path(item)), cv2.IMREAD_COLOR)
    if square is None:
        raise InputError(f"{own.path(item)} cannot be read; remove {own.folder} and make it again")
    return np.asarray(cv2.resize(square, (REDUCED, REDUCED), interpolation=cv2.INTER_AREA)).ravel()


def figures(result: tuple[np.ndarray, np.ndarray, list[str]]) -> dict:
    labels, said, patients = result
    return {
        "images": len(labels),
        "patients": len(set(patients)),
        "accuracy": float((labels == said).mean()),
        "balanced_accuracy": numbers(balanced_accuracy_interval(labels, said, patients)),
    }


def numbers(estimate: Estimate) -> dict[str, float]:
    return {"value": estimate.value, "low": estimate.low, "high": estimate.high}
