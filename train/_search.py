"""A search over recipes: every trial on every fold, on as many machines as see the folder, and one table of them."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from edge.data.table import PhotoSet
from edge.errors import InputError, at_least_one
from edge.files import read_json, scratch_in
from edge.locks import alone_in
from edge.metrics.selection import Selection, selection
from edge.models import gives_masks
from edge.progress import Listener, listening
from edge.questions.search.measure import FAILED, FINISHED, OPEN, SearchReport, Trial, search_report

from ._fold_runs import FoldRun, train_folds
from ._folder import UNSEEN
from ._folds import (
    FIGURES,
    Sources,
    fold_folder,
    fold_runs,
    pool_and_write,
    pooled,
)
from ._options import Machine, Split
from ._recipe import Recipe
from ._search_failures import MOST_FAILURES, Failures, failure_in, mark_of
from ._search_opened import opened_for
from ._search_plan import join, plan_of
from ._slots import cores, gpus, slots
from ._space import Space, recipe_of
from ._space import Trial as Varied

log = logging.getLogger("dermedge")

TABLE_LOCK = ".table.lock"  # beside the one that a report takes to be written


@dataclass(frozen=True)
class Search:
    """What is there of a search."""

    folder: Path
    report: SearchReport
    page: Path
    stopped: dict[str, int]  # exit codes, by name, of folds that this process saw stopped or killed


def search(
    base: Recipe,
    space: Space,
    sources: Sources,
    *,
    folder: Path,
    split: Split | None = None,
    machine: Machine | None = None,
    jobs: int | None = None,
    processes: int = 1,
    retry: bool = False,
    most_failures: int = MOST_FAILURES,
    on_progress: Listener | None = None,
) -> Search:
    """Train every trial of the space on every fold, `jobs` folds at a time, beside other processes in `folder`.

    Every process that is started with the same arguments and `folder` takes folds that nobody trains; one that ends,
    however it does, loses no more than the epoch that a fold was in. `processes` of torchrun train each fold, a GPU
    each. `jobs`: None for as many as GPUs or cores are enough for.
    `machine.threads`: None for one on CPUs, where several folds at a time use the cores best. A fold that fails is
    kept as failed, and ends its trial; `retry` tries such folds again. Where the folds of
    `most_failures` trials failed in this process and it has finished none, it may be the machine: it gives up, and
    none of them is kept as failed. Writes search.csv, search.json and report.html
    into `folder`.

    Raises InputError for what no trial could take, where `folder` holds another search, and where it gives up.
    """
    at_least_one(jobs=jobs, processes=processes, most_failures=most_failures)
    split, machine = split or Split(), machine or Machine()
    replace(split, fold=0).check()
    machine.check()
    trials = space.drawn()
    with scratch_in(folder):  # a place that cannot be written to is known before anything is trained
        pass
    with listening(on_progress):
        (sets, networks), refused = opened_for([recipe_of(base, trial) for trial in trials], split, sources)
        slots(jobs or 1, processes)  # more processes than GPUs are refused before anything is written
        free = machine.threads is None
        usual = max(1, cores() // len(gpus())) if gpus() else 1
        machine = replace(machine, threads=machine.threads or usual)
        plan = plan_of(base, trials, split, machine, sources, sets, networks, processes)
        threads = join(folder, plan, any_threads=free)
        machine = replace(machine, threads=threads)
        own = len(gpus()) // processes or cores() // (threads * processes)
        environments = slots(jobs or max(1, own), processes)
        runs = [
            run
            for number, trial in enumerate(trials)
            if number not in refused
            for run in fold_runs(
                recipe_of(base, trial), split, machine, sources, trial_folder(folder, number),
                processes=processes, name=f"trial {number}, fold",
            )
        ]  # fmt: skip
        if retry:
            for run in runs:
                mark_of(run).unlink(missing_ok=True)
        failures = Failures(most_failures)
        codes = train_folds(runs, environments, unwanted=failures.is_unwanted, on_end=failures.ended)
        failures.keep_unsure()
        with alone_in(folder, name=TABLE_LOCK):  # whoever comes last sees all, and writes over no newer table
            results = results_of(base, trials, split, sources, sets[0], folder, refused)
            selection = compared(results, sets[0], folder, split)
            report = search_report(results, selection, sets[0], sha256=plan["sets"][0]["sha256"])
            page = report.write(folder)
    stopped = {
        run.name: codes[place]
        for place, run in enumerate(runs)
        if codes[place] and not (run.finished or mark_of(run).is_file())
    }
    return Search(folder, report, page, stopped)


def trial_folder(folder: Path, number: int) -> Path:
    return folder / f"trial-{number:03d}"


def results_of(
    base: Recipe,
    trials: Sequence[Varied],
    split: Split,
    sources: Sources,
    photos: PhotoSet,
    folder: Path,
    refused: Mapping[int, str],
) -> list[Trial]:
    """What is there of each trial; the figures over all folds are written into its folder where they were not."""
    results: list[Trial] = []
    trivial: dict[str, dict] | None = None
    for number, trial in enumerate(trials):
        own = trial_folder(folder, number)
        if not all(FoldRun("", (), fold_folder(own, fold)).finished for fold in range(split.folds)):
            # what this machine cannot open, another one may have finished
            reason = refused.get(number) or failure_in(own, split.folds)
            results.append(Trial(number, trial, FAILED if reason else OPEN, reason))
            continue
        recipe = recipe_of(base, trial)
        told = pool_and_write(
            recipe, split, photos, own,
            answers=sources.answers, masks=gives_masks(recipe.model), trivial=trivial or known_baselines(own),
        )  # fmt: skip
        trivial = told.baselines
        results.append(Trial(number, trial, FINISHED, figures=told.out_of_fold, precision=computed_in(own, split)))
    return results


def known_baselines(folder: Path) -> dict[str, dict] | None:
    """The trivial classifiers as the figures in the folder have them; they are the same for all trials."""
    if not (folder / FIGURES).is_file():
        return None
    return read_json(folder / FIGURES, expected="the figures of a trial").get("baselines")


def computed_in(folder: Path, split: Split) -> tuple[str, ...]:
    """The precisions of a trial's folds, each once; machines that multiply bfloat16 and others differ by themselves."""
    checkpoints = [
        read_json(fold_folder(folder, fold) / "checkpoint.json", expected="the checkpoint of a fold")
        for fold in range(split.folds)
    ]
    return tuple(sorted({str(own["recipe"]["precision"]) for own in checkpoints}))


def compared(results: Sequence[Trial], photos: PhotoSet, folder: Path, split: Split) -> Selection | None:
    """What it does to the best of the finished trials that it was chosen; None where none is finished.

    Raises InputError where a trial has answers to other photographs than the first.
    """
    done = [result for result in results if result.status == FINISHED]
    if not done:
        return None
    answers: list[np.ndarray] = []
    for result in done:
        own = trial_folder(folder, result.number)
        patients, targets, logits = pooled(photos, own, split.folds, UNSEEN, ["logit"])
        if not answers:
            everybody, labels = patients, targets
        if patients != everybody or not np.array_equal(targets, labels):
            raise InputError(f"{own} has answers to other photographs than trial {done[0].number}")
        answers.append(logits["logit"].argmax(axis=1))
    return selection(labels, np.array(answers), everybody)
