"""A run's checkpoint -> the one that comes with dermedge: in half precision where that changes no class."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from edge import scheme, thresholds
from edge.checkpoint import Checkpoint
from edge.data.selection import images_in, order
from edge.data.squares import load_squares
from edge.data.table import PhotoSet
from edge.errors import InputError
from edge.files import read_json
from edge.half_precision import in_half_precision
from edge.metrics.masks import measure_masks
from edge.metrics.statistics import read_back_logits, sqnr_db
from edge.questions.answered import vectors_of
from edge.runtimes.reference import Reference

LARGEST_MB, LARGEST_SUM_MB = 10.0, 30.0  # of one model's weights, and of all that are shipped
ROUNDINGS = (".rounding.npz", ".whole.rounding.npz", ".coreml.rounding.npz")  # of weights, beside a scheme


def smaller(checkpoint: Checkpoint, sets: Sequence[PhotoSet]) -> tuple[Checkpoint, dict[str, Any]]:
    """The checkpoint with weights in half precision if that changes no class, else as it is; and what was measured.

    Judged on the photographs of `sets` that the checkpoint lists as unseen, with no, some and all questions answered
    where it takes answers. Raises InputError where none of them is at hand.
    """
    photos = listed_unseen(checkpoint, sets)
    squares = load_squares(photos, checkpoint.preprocess.side)[1]
    try:
        half = replace(checkpoint, state=in_half_precision(checkpoint.state))
    except InputError as error:
        return checkpoint, {"precision": "float32", "because": str(error)}
    before, after = Reference(checkpoint), Reference(half)
    cases = {"none": None} if checkpoint.answers_weight is None else vectors_of(photos, checkpoint.questions)
    changed, largest, sqnr = 0, 0.0, []
    facts: dict[str, Any] = {}
    for answers in cases.values():
        exact, rounded = before.run(squares, answers), after.run(squares, answers)
        p, q = exact.probabilities, rounded.probabilities
        changed += int((p.argmax(axis=1) != q.argmax(axis=1)).sum())
        largest = max(largest, float(np.abs(p - q).max()))
        sqnr.append(sqnr_db(read_back_logits(p), read_back_logits(q)))
        if exact.masks is not None and rounded.masks is not None:
            facts["dice_median"] = measure_masks(exact.masks, rounded.masks).dice.value
    median = float(np.median(np.concatenate(sqnr)))
    facts = {
        "precision": "float32" if changed else "float16",
        "images": len(squares),
        "cases_of_answers": len(cases),
        "classes_changed": changed,
        "sqnr_db_median": median if np.isfinite(median) else None,  # None: equal
        "largest_delta_p": largest,
        **facts,
    }
    return (checkpoint if changed else half), facts


def listed_unseen(checkpoint: Checkpoint, sets: Sequence[PhotoSet]) -> PhotoSet:
    """The photographs that the checkpoint lists as unseen, of all sets together."""
    parts = []
    for photos in sets:
        parts += sorted(filter(images_in(checkpoint, "unseen"), photos.photos), key=order)
    if not parts:
        raise InputError(
            f"none of the photographs that {checkpoint.model} lists as unseen are in {', '.join(p.name for p in sets)};"
            " give --data the photographs of its training"
        )
    return PhotoSet("unseen photographs", checkpoint.labels, tuple(parts))


def check_shippable(checkpoint: Checkpoint, path: Path) -> None:
    """InputError for what no card could stand behind."""
    if checkpoint.program:
        raise InputError(f"{path} is a network that dermedge does not know; models of docs/models.md are shipped")
    if not checkpoint.learned or checkpoint.untrained:
        raise InputError(f"{path} lists no patients that trained it; only what was trained here is shipped")
    if not checkpoint.unseen:
        raise InputError(f"{path} lists nobody as unseen; a shipped checkpoint keeps a fold of patients apart")


def check_sizes(weights: Path, folder: Path) -> None:
    """InputError if new weights are too large, alone or with the others of the folder in which they shall lie."""
    own = weights.stat().st_size / 1e6
    if own > LARGEST_MB:
        raise InputError(f"the weights take {own:.1f} MB, more than the {LARGEST_MB:g} MB of a shipped model")
    others = [path for path in folder.glob("*.safetensors") if path.name != weights.name]
    total = own + sum(path.stat().st_size for path in others) / 1e6
    if total > LARGEST_SUM_MB:
        raise InputError(
            f"with these weights {folder} holds {total:.1f} MB of weights, more than {LARGEST_SUM_MB:g} MB"
        )


def left_behind(stem: Path, sha256: str) -> list[str]:
    """Files beside a shipped checkpoint that were made for other weights, by name."""
    kinds = (thresholds.SUFFIX, scheme.SUFFIX, scheme.COREML_SUFFIX)
    described = [stem.with_name(stem.name + kind) for kind in kinds]
    stale = [
        path.name for path in described
        if path.is_file() and read_json(path, expected="what belongs to weights").get("checkpoint_sha256") != sha256
    ]  # fmt: skip
    roundings = [stem.with_name(stem.name + kind) for kind in ROUNDINGS]
    return stale + ([path.name for path in roundings if path.is_file()] if stale else [])
