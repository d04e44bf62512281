"""All folds of a cross-validation: run, pool, compare with the trivial."""

from __future__ import annotations

import csv
import logging
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

import edge
from edge.data.table import PhotoSet
from edge.errors import InputError
from edge.files import read_json, scratch_in, write_json
from edge.models import gives_masks
from edge.progress import Listener, listening, track

from ._answer_figures import KINDS, figures_of
from ._baselines import baselines
from ._flags import flags_of
from ._fold_checks import check_finished, check_unseen
from ._folder import MASKS, STATE, UNSEEN, WITH_ANSWERS
from ._masks import figures_by_set, read_scores
from ._options import Machine, Split
from ._plots import confusion_plot
from ._recipe import Recipe
from ._sets import check_masks, open_sets
from ._start import opened_start
from ._summary import summarise
from ._teachers import opened_teachers

log = logging.getLogger("dermedge")

FIGURES = "cross_validation.json"
GRACE_S = 5.0  # for processes that were told to stop with this one


@dataclass(frozen=True)
class CrossValidation:
    """The figures of a recipe on patients that each of its runs never saw."""

    folder: Path
    model: str
    folds: int
    data: dict  # `PhotoSet.summary` with the digest
    recipe: dict  # as the checkpoint of fold 0 has it
    out_of_fold: dict  # of `summarise`, every photograph once
    by_fold: list[dict]  # the metrics of each checkpoint
    baselines: dict[str, dict]  # of `summarise`, on the same folds
    answers: dict[str, dict] | None = None  # of `figures_of`, where answers were fitted
    masks: dict[str, dict] | None = None  # of `figures_by_set`, where masks were learned

    @property
    def path(self) -> Path:
        return self.folder / FIGURES

    def as_json(self) -> dict:
        return {
            "model": self.model,
            "folds": self.folds,
            "data": self.data,
            "recipe": self.recipe,
            "out_of_fold": self.out_of_fold,
            "by_fold": self.by_fold,
            "baselines": self.baselines,
            **({"answers": self.answers} if self.answers else {}),
            **({"masks": self.masks} if self.masks else {}),
        }


class FoldsStopped(RuntimeError):
    """Folds did not finish. `codes` are the exit codes, by fold, of those; `log` is what the first of them said."""

    def __init__(self, codes: dict[int, int], folder: Path) -> None:
        self.codes, self.log = codes, log_of(folder, min(codes))
        super().__init__(f"fold(s) {list(codes)} did not finish; see {self.log}, then run this again")


def cross_validate(
    recipe: Recipe,
    data: Path,
    *,
    folder: Path,
    also: Sequence[Path] = (),
    init: Path | str | None = None,
    teachers: Sequence[Path] = (),
    split: Split | None = None,
    machine: Machine | None = None,
    jobs: int = 1,
    force: bool = False,
    skip_unreadable: bool = False,
    answers: bool = False,
    on_progress: Listener | None = None,
) -> CrossValidation:
    """Train on every fold in turn, `jobs` at a time, and pool the answers on the patients that each run never saw.

    The split's own `fold` does not matter. Every fold is a process of its own, `dermedge train` into
    `folder`/fold-K with its output in fold-K.log; one that is finished is not trained again, unless `force`, and one
    that was interrupted is resumed. `teachers`: as in `train`. `answers`: each fold fits what people answered, and
    picture, answers, blanks and both are compared. Writes cross_validation.json and confusion.png.

    Raises InputError for what no fold could take, and `FoldsStopped`.
    """
    split, machine = split or Split(), machine or Machine()
    recipe.check()  # each fold would refuse the same, after the photographs were read
    replace(split, fold=0).check()
    machine.check()
    masks = gives_masks(recipe.model)
    start_weights = opened_start(init, recipe.model, own=False) if init else None
    taught_by = [opened_teachers(teachers, fold, recipe) for fold in range(split.folds)]
    with scratch_in(folder):  # a place that cannot be written to is known before anything is trained
        pass
    start = partial(
        flags_of, recipe, machine=machine, data=data, also=also, init=init, teachers=teachers,
        skip_unreadable=skip_unreadable, answers=answers,
    )  # fmt: skip
    commands = [start(replace(split, fold=k), folder=fold_folder(folder, k)) for k in range(split.folds)]
    with listening(on_progress):
        sets = open_sets(data, also, masks=masks, skip_missing=skip_unreadable)
        balanced = next((photos.name for photos in sets if photos.prepared), None)
        if balanced:
            raise InputError(
                f"{balanced} is a balanced set with folds of its own; train each of them (`dermedge train --fold`), or "
                "cross-validate the photographs that it is made of"
            )
        if masks:
            check_masks(sets, recipe.model)
        for fold in range(split.folds):
            own = replace(split, fold=fold)
            check_unseen(own, sets, start_weights, taught_by[fold])
            if not force:
                check_finished(fold_folder(folder, fold), recipe, own, start_weights, taught_by[fold], answers=answers)
        train_folds(commands, folder, jobs=max(1, jobs), force=force)
        return pool_and_write(recipe, split, sets[0], folder, answers=answers, masks=masks)


def train_folds(commands: Sequence[list[str]], folder: Path, *, jobs: int, force: bool) -> None:
    """Run what is not finished; raises `FoldsStopped`. Interrupted, it stops the folds that train."""
    running: list[subprocess.Popen[bytes]] = []
    train = partial(train_fold, folder=folder, force=force, running=running)
    with ThreadPoolExecutor(max_workers=jobs) as pool:
        try:
            ended = pool.map(lambda k: train(commands[k], fold=k), range(len(commands)))
            codes = dict(enumerate(track(ended, "training folds", len(commands))))
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            stop(running)
            raise
    failed = {fold: code for fold, code in codes.items() if code}
    if failed:
        raise FoldsStopped(failed, folder)


def stop(running: Sequence[subprocess.Popen[bytes]]) -> None:
    """Have processes save their state and end: after a while, since a terminal's Ctrl-C has told them already."""
    deadline = time.monotonic() + GRACE_S
    while any(child.poll() is None for child in running) and time.monotonic() < deadline:
        time.sleep(0.1)
    for child in running:
        if child.poll() is None:
            child.terminate()


def train_fold(
    flags: list[str], *, folder: Path, fold: int, force: bool, running: list[subprocess.Popen[bytes]]
) -> int:
    """Train one fold in a process of its own, unless it is finished; its exit code."""
    out = fold_folder(folder, fold)
    if (out / "checkpoint.json").is_file() and not (out / STATE).is_file() and not force:
        return 0
    if force:
        flags = [*flags, "--force"]
    elif (out / STATE).is_file():
        flags = [*flags, "--resume"]
    out.mkdir(parents=True, exist_ok=True)
    log.info("fold %d: training, see %s", fold, log_of(folder, fold))
    # -P: whatever lies in the current folder, the command is ours
    command = [sys.executable, "-P", "-m", "dermedge.cli", "train", *flags]
    with log_of(folder, fold).open("a") as said:
        child = subprocess.Popen(command, stdout=said, stderr=subprocess.STDOUT, env=environment())
        running.append(child)
        code = child.wait()
    log.info("fold %d: %s", fold, "finished" if code == 0 else f"stopped with exit code {code}")
    return code


def environment() -> dict[str, str]:
    """That of this process, in which a clone's packages are found first; installed ones are found without."""
    own = Path(edge.__file__).resolve().parents[1]
    if own.name in {"site-packages", "dist-packages"}:
        return dict(os.environ)
    paths = [str(own), *filter(None, [os.environ.get("PYTHONPATH")])]
    return os.environ | {"PYTHONPATH": os.pathsep.join(paths)}


def fold_folder(folder: Path, fold: int) -> Path:
    return folder / f"fold-{fold}"


def log_of(folder: Path, fold: int) -> Path:
    return folder / f"fold-{fold}.log"


def pool_and_write(
    recipe: Recipe, split: Split, photos: PhotoSet, folder: Path, *, answers: bool, masks: bool
) -> CrossValidation:
    """The figures over all folds, and the trivial classifiers on the same ones."""
    patients, targets, pooled_logits = pooled(photos, folder, split.folds, UNSEEN, ["logit"])
    logits = pooled_logits["logit"]
    checkpoints = [
        read_json(fold_folder(folder, fold) / "checkpoint.json", expected=f"the checkpoint of fold {fold}")
        for fold in range(split.folds)
    ]
    result = CrossValidation(
        folder=folder,
        model=recipe.model,
        folds=split.folds,
        data={**photos.summary(), "sha256": photos.sha256()},
        recipe=checkpoints[0]["recipe"],
        out_of_fold=summarise(targets, patients, logits, photos.classes),
        by_fold=[facts["metrics"] for facts in checkpoints],
        baselines=baselines(photos, folds=split.folds, seed=split.seed),
        answers=answers_figures(photos, folder, split.folds) if answers else None,
        masks=masks_figures(folder, split.folds) if masks else None,
    )
    write_json(result.path, result.as_json())
    confusion_plot(
        targets, logits.argmax(1), photos.codes, folder / "confusion.png", title=f"{recipe.model}, out of fold"
    )
    return result


def answers_figures(photos: PhotoSet, folder: Path, folds: int) -> dict[str, dict]:
    """Picture, answers, blanks and both, over all folds."""
    patients, targets, logits = pooled(photos, folder, folds, WITH_ANSWERS, list(KINDS))
    return figures_of(logits, targets, patients, photos.classes)


def masks_figures(folder: Path, folds: int) -> dict[str, dict]:
    """How near the masks of all folds' unseen photographs are, by set. InputError where one is unseen in two folds."""
    scores = [score for fold in range(folds) for score in read_scores(fold_folder(folder, fold) / MASKS)]
    seen: set[tuple[str, str]] = set()
    for score in scores:
        if (score.set, score.image) in seen:
            raise InputError(f"{score.image} is unseen in two folds; the runs in {folder} had other splits")
        seen.add((score.set, score.image))
    return figures_by_set(scores)


def pooled(
    photos: PhotoSet, folder: Path, folds: int, table: str, kinds: Sequence[str]
) -> tuple[list[str], np.ndarray, dict[str, np.ndarray]]:
    """Patients, class indices (N,) and calibrated logits (N, K) by kind of all folds' unseen photographs, each once.

    `table`: the file in each fold's folder, `kinds`: what its columns of logits begin with. InputError where a fold has
    no such file or other columns.
    """
    index = {code: i for i, code in enumerate(photos.codes)}
    rows: dict[str, tuple[str, int, list[list[float]]]] = {}
    for fold in range(folds):
        path = fold_folder(folder, fold) / table
        if not path.is_file():
            raise InputError(
                f"{path} is not there: fold {fold} was trained without `answers`; train it again, with `force`"
            )
        with path.open(newline="") as file:
            for row in csv.DictReader(file):
                if row["image"] in rows:
                    raise InputError(f"{row['image']} is unseen in two folds; the runs in {folder} had other splits")
                numbers = [[float(row[f"{kind}_{code}"]) for code in photos.codes] for kind in kinds]
                rows[row["image"]] = (row["patient"], index[row["label"]], numbers)
    patients, targets, logits = zip(*rows.values(), strict=True)
    by_kind = np.array(logits).transpose(1, 0, 2)
    return list(patients), np.array(targets), dict(zip(kinds, by_kind, strict=True))
