"""One training run, from photographs to a folder: read the sets, cut them, fit, judge and write."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from itertools import chain
from pathlib import Path

import numpy as np
import torch
from torch import nn

from edge.checkpoint import PATIENTS_UNKNOWN, Checkpoint, Preprocess, as_program, save, versions_here
from edge.data.masks import load_masks
from edge.data.near_copies import notes_on_near_copies
from edge.data.shards.on_demand import check_packed_side
from edge.data.squares import load_squares
from edge.data.table import PhotoSet
from edge.errors import InputError
from edge.files import sha256
from edge.labels import Label
from edge.metrics.temperature import fit_temperature
from edge.models import create_model, gives_masks
from edge.program import SUFFIX
from edge.progress import Listener, listening
from edge.questions.training.measure import Judged

from ._answers import Learned, add_answers, learn_answers, write_logits
from ._augment import wide_side
from ._cut import Cut, by_domain, cut_sets
from ._folder import (
    MASKS,
    UNSEEN,
    WITH_ANSWERS,
    are_several,
    goes_on,
    is_first,
    one_reads_first,
    only_run_in,
    prepare_folder,
    remove_run,
    remove_state,
    write_answers,
    write_settings,
)
from ._leaks import SplitLeaks, check_leaks
from ._masks import figures_by_set, mask_scores, write_scores
from ._objective import last_layer
from ._options import Machine, Split
from ._page import Evidence, write_page
from ._plots import confusion_plot, curves_plot
from ._predict import predict_together
from ._qat import FineTuned, FineTuning
from ._recipe import FROZEN, Recipe
from ._sets import Source, check_masks, open_sets
from ._stages import note_on, stages_of
from ._start import beginning, check_fits, check_statistics, merged, opened_start, preprocess_for, refuse_seen
from ._summary import summarise
from ._teachers import check_teachers, opened_teachers
from ._trainer import CreateNetwork, Fitted, Trainer
from ._training_data import TrainingData, training_data

log = logging.getLogger("dermedge")


@dataclass(frozen=True)
class TrainingRun:
    """What a finished run has left in its folder."""

    folder: Path
    checkpoint_path: Path  # of the .safetensors or .pt2; its .json lies beside it
    checkpoint: Checkpoint
    metrics: dict  # on the patients that stayed unseen; of `train/_summary.py`, and "masks" by set
    history: list[dict]  # a row an epoch, as in history.csv
    notes: tuple[str, ...]  # what a person should know of the photographs
    fine_tuned: FineTuned | None  # what came of it, where it was for an 8-bit file; `.verdict` says it in words
    evidence: Evidence | None = field(default=None, repr=False)  # for the page; None in all processes but the first
    page: Path | None = None  # report.html, where `train` was to write it and could

    def write_page(self) -> Path | None:
        """Write training.json and report.html into the folder; returns the page, None in all processes but the first.

        Raises InputError where the folder has files of another checkpoint.
        """
        if self.evidence is None:
            return None
        return write_page(self.folder, self.checkpoint, self.metrics, self.history, self.evidence)


@dataclass(frozen=True)
class Plan:
    """What was asked for, checked as far as it can be without a photograph."""

    recipe: Recipe
    split: Split
    machine: Machine
    folder: Path
    create: CreateNetwork
    preprocess: Preprocess
    masks: bool  # whether the network learns any
    start: Checkpoint | None
    tuning: FineTuning | None
    teachers: tuple[Checkpoint, ...]
    skip_unreadable: bool
    foreign: bool  # a network that dermedge does not know: kept as an exported program
    answers: bool  # whether answers are fitted to it, to be given beside the picture


def train(
    recipe: Recipe,
    data: Source,
    *,
    folder: Path,
    also: Sequence[Source] = (),
    init: Path | str | Checkpoint | None = None,
    tuning: FineTuning | None = None,
    teachers: Sequence[Path | str | Checkpoint] = (),
    split: Split | None = None,
    machine: Machine | None = None,
    create: CreateNetwork | None = None,
    preprocess: Preprocess | None = None,
    resume: bool = False,
    force: bool = False,
    skip_unreadable: bool = False,
    answers: bool = False,
    settings: str = "",
    page: bool = False,
    on_progress: Listener | None = None,
    on_epoch: Callable[[dict], None] | None = None,
) -> TrainingRun:
    """Train a network on labelled photographs, split by patient, and write a checkpoint into `folder`.

    * `data`: a folder of photographs or a `PhotoSet`, learned from and judged on; `also`: more to learn from
    * `init`: a checkpoint to start from, of the same network or nearly so: what fits of it by name and shape is taken,
      the last layer class by class, by code; or the path of weights that others published, or "imagenet" for those of
      the model's package, both without their last layer (`edge.pretrained`)
    * `tuning`: fine-tune that checkpoint further for its 8-bit file (`_qat.read_fine_tuning`); `init` is then not used
    * `teachers`: checkpoints whose answers the network learns as well, by `distil` and `distil_features` of the recipe;
      of the folder of a cross-validation, that of the fold of this split
    * `create`, `preprocess`: another network than that of the recipe's model, as number of classes -> module, and what
      it expects; both or neither. It takes normalised RGB (N, 3, S, S) and returns logits (N, K)
    * `answers`: fit what people answered as well, so that the checkpoint takes it beside the picture (docs/answers.md)
    * `settings`: the text of a file that says all this, kept in the folder as run.toml; empty for none
    * `page`: write the page of the run as well, before the run counts as finished: one that was killed meanwhile writes
      it when it is resumed
    * `on_epoch` is told each row of the history

    Raises InputError before anything is trained, naming what does not fit, and `Interrupted` after Ctrl-C, from where
    `resume` goes on; so it does after a run was killed. Under torchrun every process returns the same; the first one
    has written, and a run that torchrun restarts goes on by itself.
    """
    plan = checked_plan(
        recipe, split or Split(), machine or Machine(), folder, create=create, preprocess=preprocess, init=init,
        tuning=tuning, teachers=teachers, skip_unreadable=skip_unreadable, answers=answers,
    )  # fmt: skip
    with only_run_in(folder), listening(on_progress), threads(plan.machine.threads):
        resume = goes_on(folder, resume=resume)
        prepare_folder(folder, resume=resume, force=force)
        with one_reads_first(folder):
            sets = read_sets(plan, data, also)
            cuts = cut_apart(plan, sets)
            leaks = check_leaks(cuts, sets, plan.recipe.side)
            inputs = training_data(cuts, masks=plan.masks)
            if are_several():
                inputs.read(plan.recipe.sides)
        learned = learn_answers(cuts[0].train) if plan.answers else None  # first: what is wrong with them is said now
        if force and not resume:  # only now: a slip in the options must not cost the old run
            remove_run(folder)
        if settings and is_first():
            write_settings(folder, settings)
        fitted = fit(plan, inputs, sets[0].classes, resume=resume, on_epoch=on_epoch)
        run = judge_and_write(plan, cuts, inputs, fitted, learned, leaks)
    if page:  # which takes the folder for itself
        with listening(on_progress):
            run = replace(run, page=page_of(run))
    if is_first():
        remove_state(folder)
    return run


def page_of(run: TrainingRun) -> Path | None:
    """The run's page; a folder that has files of another checkpoint goes without, and the log says so."""
    try:
        return run.write_page()
    except InputError as error:
        log.warning("no page was written: %s", error)
        return None


def checked_plan(
    recipe: Recipe,
    split: Split,
    machine: Machine,
    folder: Path,
    *,
    create: CreateNetwork | None,
    preprocess: Preprocess | None,
    init: Path | str | Checkpoint | None,
    tuning: FineTuning | None,
    teachers: Sequence[Path | str | Checkpoint],
    skip_unreadable: bool,
    answers: bool,
) -> Plan:
    """What needs no photograph is looked at before any is: a large set takes minutes to read."""
    recipe.check()
    split.check()
    machine.check()
    if (create is None) != (preprocess is None):
        raise InputError("`create` and `preprocess` go together: a network of one's own has its own normalisation")
    masks = create is None and gives_masks(recipe.model)  # which refuses an unknown model by name
    start: Checkpoint | None
    if tuning:
        if masks:
            raise InputError(f"`qat` minds the class alone, and {recipe.model} gives a mask beside it")
        if teachers:
            raise InputError("`qat` follows the float network, and takes no `teachers`")
        tuning.check(recipe)
        start = tuning.start
        if machine.precision == "auto":  # bf16 has 8 bits itself
            machine = replace(machine, precision="32-true")
    else:
        start = None if init is None else opened_start(init, recipe.model, own=create is not None)
        if recipe.batch_norm == FROZEN and start is None:
            raise InputError("`batch_norm` frozen keeps the statistics of `init`; give one, or leave it out")
    make = create or (lambda classes: create_model(recipe.model, classes))
    if start and start.questions and not answers:
        log.warning("the checkpoint to start from takes answers; this run does not fit any (`answers`)")
    if create and (recipe.descriptors or recipe.contrast or (teachers and recipe.distil_features)):
        with torch.random.fork_rng(devices=[]):
            last_layer(create(2))  # refuses a network without it
    if recipe.deep_supervision:
        with torch.random.fork_rng(devices=[]):
            if note := note_on(stages_of(make(2), recipe.side)):  # likewise
                log.warning(note)
    if start and not tuning:
        check_fits(start, make, recipe.model)
        if recipe.batch_norm == FROZEN:
            check_statistics(start, make)
    return Plan(
        recipe,
        split,
        machine,
        folder,
        make,
        preprocess or (tuning.start.preprocess if tuning else preprocess_for(recipe, start)),
        masks,
        start,
        tuning,
        opened_teachers(teachers, split.fold, recipe),
        skip_unreadable,
        create is not None,
        answers,
    )


def read_sets(plan: Plan, data: Source, also: Sequence[Source]) -> list[PhotoSet]:
    """Every set, read once at the final side, so that unreadable files are known before anything is cut."""
    sets = open_sets(data, also, masks=plan.masks, skip_missing=plan.skip_unreadable)
    for photos in sets:
        for note in photos.notes:
            log.warning(note)
        check_packed_side(photos, wide_side(max(plan.recipe.sides)), wanted_for="augmentation draws on")
    read = [load_squares(photos, plan.recipe.side, skip_unreadable=plan.skip_unreadable) for photos in sets]
    everything = [photo for photos, _ in read for photo in photos.photos]
    squares = chain.from_iterable(own for _, own in read)
    for note in notes_on_near_copies(everything, squares, plan.recipe.side):
        log.warning(note)
    return [photos for photos, _ in read]


def cut_apart(plan: Plan, sets: Sequence[PhotoSet]) -> list[Cut]:
    """Train, held back and unseen of every set; InputError where that cannot be, or would judge on what was seen."""
    cuts = cut_sets(sets, plan.split)
    for part in cuts:
        log.info(
            f"{part.train.name}: {len(part.train)} photographs to learn from, {len(part.held_back)} held back, "
            f"{len(part.unseen)} unseen, no patient in two parts"
        )
    if plan.tuning:
        plan.tuning.check_classes(sets[0].classes)
    apart = [part.unseen for part in cuts] + [cuts[0].held_back]
    if plan.start:
        refuse_seen(plan.start, apart)
    check_teachers(plan.teachers, sets[0].classes, apart)
    if plan.masks:
        check_masks([part.train for part in cuts], plan.recipe.model)
        for part in cuts:  # one that cannot be read must not end a finished run
            for kept_apart in (part.held_back, part.unseen):
                for _ in load_masks(kept_apart, plan.recipe.side)[0]:
                    pass  # those in shards are decoded now
    return cuts


def fit(
    plan: Plan,
    inputs: TrainingData,
    classes: tuple[Label, ...],
    *,
    resume: bool,
    on_epoch: Callable[[dict], None] | None,
) -> Fitted:
    """The averaged weights at the end of the recipe."""
    trainer = Trainer(
        plan.recipe,
        plan.preprocess,
        inputs,
        plan.tuning.objective(plan.recipe) if plan.tuning else None,
        folder=plan.folder,
        teachers=(plan.teachers, [label.code for label in classes]),
        start=beginning(plan.start, classes) if plan.start and not resume else None,
        create=plan.create,
        machine=plan.machine,
        on_epoch=on_epoch,
    )
    return trainer.fit(resume=resume)


def judge_and_write(
    plan: Plan,
    cuts: Sequence[Cut],
    inputs: TrainingData,
    fitted: Fitted,
    learned: Learned | None,
    leaks: SplitLeaks,
) -> TrainingRun:
    """Temperature from the held-back patients, figures from the unseen ones; all of it into the folder."""
    unseen, side = cuts[0].unseen, plan.recipe.side
    net = with_weights(plan.create(inputs.classes), fitted)
    held_back, held_back_targets = inputs.held_back_at(side)
    held_back_logits = predict_together(net, held_back, plan.preprocess)
    temperature = fit_temperature(held_back_logits, held_back_targets)
    raw_logits = predict_together(net, load_squares(unseen, side)[1], plan.preprocess)
    logits = raw_logits / temperature
    metrics = summarise(np.array(unseen.targets), unseen.patients, logits, unseen.classes)
    scores = [score for part in cuts if plan.masks for score in mask_scores(net, part.unseen, plan.preprocess)]
    if scores:
        metrics["masks"] = figures_by_set(scores)
    fine_tuned = plan.tuning.compare(net, temperature, (held_back, held_back_targets)) if plan.tuning else None
    checkpoint = Checkpoint(
        model=plan.recipe.model,
        labels=unseen.classes,
        preprocess=plan.preprocess,
        state=fitted.state,
        temperature=temperature,
        data=data_of([summary(part) for part in cuts], plan),
        trained=merged("trained", by_domain(part.train for part in cuts), plan.start, *plan.teachers),
        held_back=merged("held_back", by_domain(part.held_back for part in cuts), plan.start, *plan.teachers),
        unseen=merged("unseen", by_domain(part.unseen for part in cuts), plan.start, *plan.teachers),
        metrics={"unseen": metrics},
        recipe=recipe_entry(plan, cuts, fitted, fine_tuned),
        versions=versions_here(),
    )
    with_answers = None
    if learned:
        with_answers = add_answers(checkpoint, learned, cuts[0].held_back, unseen, (held_back_logits, raw_logits))
        checkpoint, metrics = with_answers.checkpoint, {**metrics, "answers": with_answers.figures}
    if plan.foreign:
        checkpoint = as_program(checkpoint, net)
    path = plan.folder / f"checkpoint{SUFFIX if plan.foreign else '.safetensors'}"
    if fitted.leads:
        save(checkpoint, path.with_suffix(""))
        write_pages(plan, unseen, logits, fitted.history)
        if with_answers:
            write_logits(plan.folder / WITH_ANSWERS, with_answers)
        if plan.masks:
            write_scores(plan.folder / MASKS, scores)
        checkpoint = replace(checkpoint, sha256=sha256(path), path=path)
    notes = tuple(note for part in cuts for note in part.train.notes)
    evidence = Evidence(Judged(unseen, logits), tuple(cuts), leaks) if fitted.leads else None
    return TrainingRun(plan.folder, path, checkpoint, metrics, fitted.history, notes, fine_tuned, evidence)


def with_weights(net: nn.Module, fitted: Fitted) -> nn.Module:
    net.load_state_dict(fitted.state)
    return net.eval()


def recipe_entry(plan: Plan, cuts: Sequence[Cut], fitted: Fitted, fine_tuned: FineTuned | None) -> dict:
    """How the checkpoint was trained, as it says itself."""
    start = plan.start
    return {
        **asdict(plan.recipe),
        "precision": fitted.precision,
        "folds": plan.split.folds,
        "fold": plan.split.fold,
        "held_back": plan.split.held_back,
        "split_seed": plan.split.seed,
        "sets": [part.train.name for part in cuts],  # the first is judged on, the others only teach
        "seconds": round(sum(row["seconds"] for row in fitted.history), 1),  # of the steps alone
        "init": {"sha256": start.sha256, "recipe": start.recipe} if start else None,
        **({"teachers": [teacher_entry(teacher) for teacher in plan.teachers]} if plan.teachers else {}),
        **({PATIENTS_UNKNOWN: True} if any(teacher.patients_unknown for teacher in plan.teachers) else {}),
        **({"qat": plan.tuning.entry(fine_tuned)} if plan.tuning and fine_tuned else {}),
    }


def teacher_entry(teacher: Checkpoint) -> dict:
    return {"model": teacher.model, "side": teacher.preprocess.side, "sha256": teacher.sha256}


def data_of(own: list[dict], plan: Plan) -> list[dict]:
    """Summaries of this run's sets, and of the sets of the checkpoints it learned from that are others."""
    learned_from = [*own, *(plan.start.data if plan.start else [])]
    for teacher in plan.teachers:
        known = [part.get("sha256") for part in learned_from]
        learned_from += [part for part in teacher.data if part.get("sha256") not in known]
    return learned_from


def write_pages(plan: Plan, unseen: PhotoSet, logits: np.ndarray, history: list[dict]) -> None:
    """What a person or a cross-validation looks at, beside the checkpoint."""
    write_answers(plan.folder / UNSEEN, unseen, logits)
    curves_plot(history, plan.folder / "curves.png")
    confusion_plot(
        np.array(unseen.targets), logits.argmax(1), unseen.codes, plan.folder / "confusion.png",
        title=f"{plan.recipe.model}, {len(logits)} photographs of unseen patients",
    )  # fmt: skip


def summary(part: Cut) -> dict:
    return {**part.train.summary(), "sha256": part.train.sha256()}


@contextmanager
def threads(number: int | None) -> Iterator[None]:
    """So many CPU threads of torch in this block; None leaves them alone."""
    before = torch.get_num_threads()
    if number:
        torch.set_num_threads(number)
    try:
        yield
    finally:
        if number:
            torch.set_num_threads(before)
