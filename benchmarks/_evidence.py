"""What a model card rests on: runs, their cross-validation and the photographs, checked to belong together."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge.checkpoint import Checkpoint, load
from edge.data.readers import sets_in
from edge.data.selection import ENVIRONMENT
from edge.data.table import PhotoSet
from edge.errors import InputError
from edge.files import read_json
from edge.metrics.statistics import balanced_accuracy
from edge.questions.training.groups import Group

from ._reproduce import command_of, seconds_of, sets_of
from ._subgroups import Confounds, confounds, subgroups
from ._unseen import Unseen, unseen_of

SAME = 1e-3  # of a balanced accuracy: logits are written with six places, so that one may fall on the other side


@dataclass(frozen=True)
class Evidence:
    """All numbers of a card that the checkpoint does not say itself."""

    unseen: Unseen
    validation: Mapping[str, Any] | None  # cross_validation.json of the same recipe; None: one run alone
    subgroups: Mapping[str, Sequence[Group]]
    confounds: Confounds
    seconds: Sequence[float]  # of the steps of each run; empty where a run does not say it
    command: str  # that trains it again
    stored: Mapping[str, Any]  # of `smaller`


def evidence_of(
    trained: Checkpoint,
    run: Path,
    sets: Sequence[PhotoSet],
    figures: Path | None,
    tables: Sequence[Path],
    *,
    command: str | None,
    stored: Mapping[str, Any],
) -> Evidence:
    """`run` is the folder of `trained`, `figures` its cross_validation.json, `tables` the folders of `sets`.

    Raises InputError where they do not belong together.
    """
    validation = None if figures is None else validation_of(figures, trained, run)
    folders = [run]
    if figures and validation:
        folders = [figures.parent / f"fold-{fold}" for fold in range(validation["folds"])]
    unseen = unseen_of(folders, trained, sets)
    if validation:
        check_same(validation["out_of_fold"], unseen, figures)
    else:
        check_same(trained.metrics["unseen"], unseen, run)
    if command is None:
        names = sets_of(trained.recipe, trained.data)
        command = command_of(trained.recipe, names, answers=bool(trained.questions), folds=len(folders))
    images = sum(int(part["images"]) for part in trained.data[: len(trained.recipe.get("sets", trained.data))])
    seconds = [seconds_of(load(folder).recipe, folder, images) for folder in folders]
    return Evidence(
        unseen,
        validation,
        subgroups(unseen, tables),
        confounds(unseen, trained.preprocess.side),
        [own for own in seconds if own is not None] if None not in seconds else [],
        command,
        stored,
    )


def validation_of(path: Path, trained: Checkpoint, run: Path) -> dict[str, Any]:
    """The figures of a cross-validation; InputError unless the run is one of its folds."""
    validation = read_json(path, expected="the figures of a cross-validation")
    if validation.get("model") != trained.model or "out_of_fold" not in validation:
        raise InputError(f"{path} is not about {trained.model}; run `dermedge cross-validate` for it")
    fold = path.parent / f"fold-{trained.recipe.get('fold')}"
    if not (fold / "checkpoint.json").is_file() or load(fold).sha256 != trained.sha256:
        raise InputError(f"{run} is no fold of {path}: {fold} holds another checkpoint, or none")
    return validation


def check_same(summary: Mapping[str, Any], unseen: Unseen, where: Path | None) -> None:
    """InputError unless a run's own figures are those of its logits."""
    own = balanced_accuracy(unseen.targets, unseen.answers)
    told = summary["balanced_accuracy"]["value"]
    if summary["images"] != len(unseen.photos) or abs(own - told) > SAME:
        raise InputError(
            f"{where} says a balanced accuracy of {told:.4f} on {summary['images']} photographs, its folders' logits "
            f"{own:.4f} on {len(unseen.photos)}; they are of different runs"
        )


def folders_of(data: Path | None) -> list[Path]:
    """The folders of the sets that `edge.data.selection.find_sets` opens; none of the synthetic sample."""
    named = data or os.environ.get(ENVIRONMENT)
    return sets_in(Path(named)) if named else []
