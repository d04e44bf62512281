"""All folds of a cross-validation: run, pool, compare with the trivial."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path

import numpy as np

from edge.checkpoint import Checkpoint
from edge.data.table import PhotoSet
from edge.errors import InputError, at_least_one
from edge.files import read_json, scratch_in, write_json
from edge.models import gives_masks
from edge.progress import Listener, listening

from ._answer_figures import KINDS, figures_of
from ._baselines import baselines
from ._cut import cut_sets
from ._flags import flags_of
from ._fold_checks import check_finished, check_unseen
from ._fold_runs import FoldRun, train_folds
from ._folder import MASKS, UNSEEN, WITH_ANSWERS
from ._masks import figures_by_set, read_scores
from ._options import Machine, Split
from ._plots import confusion_plot
from ._recipe import Recipe
from ._sets import check_masks, open_sets
from ._slots import cores, gpus, slots
from ._start import opened_start
from ._summary import summarise
from ._teachers import opened_teachers

FIGURES = "cross_validation.json"


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
    jobs: int | None = None,
    processes: int = 1,
    force: bool = False,
    skip_unreadable: bool = False,
    answers: bool = False,
    on_progress: Listener | None = None,
) -> CrossValidation:
    """Train on every fold, `jobs` at a time, and pool the answers on the patients that each run never saw.

    `jobs`: None for as many as the GPUs are enough for, else one. `processes` of torchrun train each fold, a GPU each.
    Several share the cores, unless `machine` says how many threads each has.
    Other processes that are started with the same `folder` take folds as well. The split's own `fold` does not matter.
    Every fold is a process of its own, `dermedge train` into `folder`/fold-K with its output in fold-K.log; one that
    is finished is not trained again, unless `force`, and one that was interrupted is resumed. `teachers`: as in
    `train`. `answers`: each fold fits what people answered, and picture, answers, blanks and both are compared.
    Writes cross_validation.json and confusion.png.

    Raises InputError for what no fold could take, and `FoldsStopped`.
    """
    split, machine = split or Split(), machine or Machine()
    sources = Sources(
        data, tuple(also), init, tuple(teachers), skip_unreadable=skip_unreadable, answers=answers
    )  # fmt: skip
    recipe.check()  # each fold would refuse the same, after the photographs were read
    replace(split, fold=0).check()
    machine.check()
    at_least_one(jobs=jobs, processes=processes)
    jobs = jobs or max(1, len(gpus()) // processes)
    if jobs * processes > 1 and machine.threads is None:
        machine = replace(machine, threads=max(1, cores() // (jobs * processes)))
    environments = slots(jobs, processes)
    networks = opened_networks(recipe, split, sources)
    with scratch_in(folder):  # a place that cannot be written to is known before anything is trained
        pass
    runs = fold_runs(recipe, split, machine, sources, folder, processes=processes)
    with listening(on_progress):
        sets = sets_of(sources, masks=networks.masks)
        check_folds(recipe, split, sets, networks)
        digests_of = cache(lambda own: [cut.train.sha256() for cut in cut_sets(sets, own)])
        fold_of = {run.folder: fold for fold, run in enumerate(runs)}

        def check(run: FoldRun) -> None:
            """Whoever shares this folder may have been started with other settings, or have other photographs."""
            fold = fold_of[run.folder]
            own, teachers = replace(split, fold=fold), networks.teachers[fold]
            # with `skip_unreadable` each fold alone knows which photographs it left out
            learned = None if skip_unreadable else partial(digests_of, own)
            check_finished(
                run.folder, recipe, own, networks.start, teachers, answers=answers, learned=learned
            )  # fmt: skip

        for run in [] if force else runs:
            check(run)
        codes = train_folds(runs, environments, force=force, check=check)
        if any(codes.values()):
            raise FoldsStopped({fold: code for fold, code in sorted(codes.items()) if code}, folder)
        for run in runs:
            check(run)
        return pool_and_write(recipe, split, sets[0], folder, answers=answers, masks=networks.masks)


@dataclass(frozen=True)
class Sources:
    """What the folds learn from, as the flags of `dermedge train` name it."""

    data: Path
    also: tuple[Path, ...] = ()
    init: Path | str | None = None
    teachers: tuple[Path, ...] = ()
    skip_unreadable: bool = False
    answers: bool = False


@dataclass(frozen=True)
class Networks:
    """The networks that a recipe's folds begin with and learn from, opened."""

    masks: bool  # whether the folds learn any
    start: Checkpoint | None
    teachers: tuple[tuple[Checkpoint, ...], ...]  # by fold


def opened_networks(recipe: Recipe, split: Split, sources: Sources) -> Networks:
    """InputError for a model that is none, and for checkpoints that cannot be read or teach nothing."""
    masks = gives_masks(recipe.model)
    start = opened_start(sources.init, recipe.model, own=False) if sources.init else None
    return Networks(
        masks, start, tuple(opened_teachers(sources.teachers, fold, recipe) for fold in range(split.folds))
    )  # fmt: skip


def fold_runs(
    recipe: Recipe,
    split: Split,
    machine: Machine,
    sources: Sources,
    folder: Path,
    *,
    processes: int = 1,
    name: str = "fold",
) -> list[FoldRun]:
    """The folds of a recipe, each to be trained by processes of its own below `folder`; "NAME 0" in messages."""
    start = partial(
        flags_of, recipe, machine=machine, data=sources.data, also=sources.also, init=sources.init,
        teachers=sources.teachers, skip_unreadable=sources.skip_unreadable, answers=sources.answers,
    )  # fmt: skip
    places = [fold_folder(folder, fold) for fold in range(split.folds)]
    return [
        FoldRun(f"{name} {fold}", tuple(start(replace(split, fold=fold), folder=own)), own, processes)
        for fold, own in enumerate(places)
    ]


def sets_of(sources: Sources, *, masks: bool) -> list[PhotoSet]:
    """The sets that the folds cut; InputError for one that has folds of its own."""
    sets = open_sets(sources.data, sources.also, masks=masks, skip_missing=sources.skip_unreadable)
    balanced = next((photos.name for photos in sets if photos.prepared), None)
    if balanced:
        raise InputError(
            f"{balanced} is a balanced set with folds of its own; train each of them (`dermedge train --fold`), or "
            "cross-validate the photographs that it is made of"
        )
    return sets


def check_folds(recipe: Recipe, split: Split, sets: Sequence[PhotoSet], networks: Networks) -> None:
    """InputError for what a fold would refuse."""
    if networks.masks:
        check_masks(sets, recipe.model)
    for fold in range(split.folds):
        check_unseen(replace(split, fold=fold), sets, networks.start, networks.teachers[fold])


def fold_folder(folder: Path, fold: int) -> Path:
    return folder / f"fold-{fold}"


def log_of(folder: Path, fold: int) -> Path:
    return folder / f"fold-{fold}.log"


def pool_and_write(
    recipe: Recipe,
    split: Split,
    photos: PhotoSet,
    folder: Path,
    *,
    answers: bool,
    masks: bool,
    trivial: dict[str, dict] | None = None,
) -> CrossValidation:
    """The figures over all folds, and the trivial classifiers on the same ones (`trivial`, if they are known).

    What is written there of the same folds is left as it is; a fold may have been trained again since.
    """
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
        baselines=trivial or baselines(photos, folds=split.folds, seed=split.seed),
        answers=answers_figures(photos, folder, split.folds) if answers else None,
        masks=masks_figures(folder, split.folds) if masks else None,
    )
    if not is_written(result):
        confusion_plot(
            targets, logits.argmax(1), photos.codes, folder / "confusion.png", title=f"{recipe.model}, out of fold"
        )
        write_json(result.path, result.as_json())  # last, so that where it is the plot is, too
    return result


def is_written(result: CrossValidation) -> bool:
    """Whether the figures in the folder are these."""
    try:
        there = read_json(result.path, expected="the figures of a cross-validation")
    except InputError:
        return False
    return there == json.loads(json.dumps(result.as_json()))


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
