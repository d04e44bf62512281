"""How far a file's answers are from the expected ones, on photographs of patients that the model never saw."""

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
    """`compare_answers` of every file, by name. `images`: uint8 (N, S, S, 3) RGB of `photos`."""
    model = observations_of(photos, Reference(checkpoint).run(images).probabilities)
    answers_by_file: dict[str, np.ndarray] = {}
    for name, path in track(files.items(), "comparing answers", len(files)):
        runtime = LiteRT(path)
        answers_by_file[name] = runtime.run(images).probabilities
        runtime.close()
    comparisons: dict[str, dict] = {}
    for name, candidate in candidates.items():
        other = candidate.compared_with
        if other == name:
            comparisons[name] = {"compared_with": None, "sqnr_db_median": None, "agreement": None}
            continue
        expected = model if other is None else replace(model, reference=answers_by_file[other])
        comparisons[name] = {
            "compared_with": other or "the float torch model",
            **compare_answers(expected, answers_by_file[name]),
        }
    return comparisons


def compare_answers(expected: Observations, probabilities: np.ndarray) -> dict:
    """Median SQNR of the logits in dB, infinite where all are equal, and the share of images with the same class.

    `probabilities`: (N, K). None where they are no probabilities.
    """
    if problem(probabilities, len(expected), len(expected.class_codes), expected.image_ids):
        return {"sqnr_db_median": None, "agreement": None}
    statistics = measure(expected, probabilities)
    return {"sqnr_db_median": statistics.sqnr_db.value, "agreement": statistics.agreement.value}
