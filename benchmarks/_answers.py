"""How far a file's answers are from those it should give, on photographs of patients that the model never saw."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from edge.checkpoint import Checkpoint
from edge.data.table import PhotoSet
from edge.metrics.measure import measure
from edge.metrics.observations import Observations, problem
from edge.progress import track
from edge.questions.observe import observations_of
from edge.runtimes.litert import LiteRT
from edge.runtimes.reference import Reference

from ._files import Candidate


def answers(
    candidates: Mapping[str, Candidate],
    files: Mapping[str, Path],
    checkpoint: Checkpoint,
    photos: PhotoSet,
    images: np.ndarray,
) -> dict[str, dict]:
    """`compared` of every file, by name. `images`: uint8 (N, S, S, 3) RGB of `photos`."""
    model = observations_of(photos, Reference(checkpoint).run(images).probabilities)
    given: dict[str, np.ndarray] = {}
    for name, path in track(files.items(), "comparing answers", len(files)):
        runtime = LiteRT(path)
        given[name] = runtime.run(images).probabilities
        runtime.close()
    found: dict[str, dict] = {}
    for name, candidate in candidates.items():
        other = candidate.compared_with
        if other == name:
            found[name] = {"compared_with": None, "sqnr_db_median": None, "agreement": None}
            continue
        expected = model if other is None else replace(model, reference=given[other])
        found[name] = {"compared_with": other or "the float torch model", **compared(expected, given[name])}
    return found


def compared(expected: Observations, given: np.ndarray) -> dict:
    """Median SQNR of the logits in dB, infinite where all are equal, and the share of images with the same class.

    `given`: (N, K). None where they are no probabilities.
    """
    if problem(given, len(expected), len(expected.class_codes), expected.image_ids):
        return {"sqnr_db_median": None, "agreement": None}
    statistics = measure(expected, given)
    return {"sqnr_db_median": statistics.sqnr_db.value, "agreement": statistics.agreement.value}
