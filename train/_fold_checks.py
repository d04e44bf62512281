"""What a cross-validation looks at before its first fold: hours of training must not end in a refusal or a mixture."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

from edge.checkpoint import Checkpoint
from edge.data.table import PhotoSet
from edge.errors import InputError
from edge.files import read_json

from ._cut import cut_sets
from ._options import Split
from ._recipe import Recipe
from ._start import refuse_seen
from ._teachers import check_teachers
from ._trainer import as_json


def check_unseen(
    split: Split, sets: Sequence[PhotoSet], start: Checkpoint | None, teachers: Sequence[Checkpoint]
) -> None:
    """InputError where a fold would refuse what it starts from or is taught by, known before any is trained."""
    cuts = cut_sets(sets, split)
    apart = [*(part.unseen for part in cuts), cuts[0].held_back]
    if start:
        refuse_seen(start, apart)
    check_teachers(teachers, sets[0].classes, apart)


def check_finished(
    folder: Path,
    recipe: Recipe,
    split: Split,
    start: Checkpoint | None,
    teachers: Sequence[Checkpoint],
    *,
    answers: bool,
    learned: Callable[[], Sequence[str]] | None = None,
) -> None:
    """InputError for a finished fold of other settings or photographs, whose figures would be pooled as those of these.

    `learned`: gives the digests of the sets that the fold learns from (`PhotoSet.sha256`), as machines that share a
    folder have copies of the photographs each; asked for only where the fold is finished.
    """
    path = folder / "checkpoint.json"
    if not path.is_file():
        return
    facts = read_json(path, expected=f"the checkpoint of {folder.name}")
    was = facts.get("recipe", {})
    wanted = {
        **as_json(asdict(recipe)),
        "folds": split.folds,
        "held_back": split.held_back,
        "split_seed": split.seed,
        "init": start.sha256 if start else None,
        "teachers": [teacher.sha256 for teacher in teachers],
    }
    there = {
        **was,
        "init": (was.get("init") or {}).get("sha256"),
        "teachers": [teacher["sha256"] for teacher in was.get("teachers", [])],
    }
    other = [name for name, value in wanted.items() if name in there and there[name] != value]
    if learned is not None:
        digests = list(learned())  # a checkpoint lists those of the networks that it learned from behind its own
        if digests != [part.get("sha256") for part in facts.get("data", [])[: len(digests)]]:
            other.append("photographs")
    if answers and "questions" not in facts:
        other.append("answers")
    if other:
        raise InputError(
            f"{folder} was trained with other settings or photographs ({', '.join(other)}); give another folder, or "
            "`force` to train all folds again"
        )
