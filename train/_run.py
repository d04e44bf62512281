"""One training run from flags to a folder: read, cut, fit, calibrate, judge, write."""

from __future__ import annotations

import argparse
import csv
import shutil
from dataclasses import asdict
from functools import cache
from pathlib import Path

import numpy as np
import torch

from dermedge.console import screen
from edge.checkpoint import Checkpoint, Preprocess, load, save, versions_here
from edge.data.masks import load_masks
from edge.data.selection import seen_in
from edge.data.squares import load_squares
from edge.data.table import PhotoSet
from edge.errors import InputError
from edge.files import moved_into_place, scratch_in
from edge.models import family_name, gives_masks, normalisation
from edge.preprocess import PREPROCESS_VERSION

from ._augment import MARGIN
from ._batches import Squares
from ._cut import Cut, by_domain, check_split, cut_sets
from ._loop import Interrupted, fit, predict
from ._masks import mask_line, masks_of
from ._plots import confusion_plot, curves_plot
from ._qat import FineTuning, verdict
from ._recipe import Recipe, recipe_of
from ._sets import check_masks, open_sets
from ._summary import summarise, summary_table
from ._temperature import fit_temperature


def run(args: argparse.Namespace, tuning: FineTuning | None = None) -> int:
    """Train; with `tuning`, a checkpoint further for its 8-bit file."""
    # What needs no photograph is looked at before any is: a large set takes minutes to read.
    recipe = recipe_of(args)
    check_split(folds=args.folds, fold=args.fold, held_back=args.held_back)
    learns_masks = gives_masks(recipe.model)
    if tuning:
        if learns_masks:
            raise InputError(f"--qat minds the class alone, and {recipe.model} gives a mask beside it")
        tuning.check(recipe)
        start: Checkpoint | None = tuning.start
    else:
        start = load(args.init) if args.init else None
    folder = args.out or Path("runs") / f"{recipe.model}{'-qat' if tuning else ''}"
    prepare_folder(folder, resume=args.resume, force=args.force)
    if args.threads:
        torch.set_num_threads(args.threads)
    sets = open_sets(args.data, args.also, masks=learns_masks, skip_missing=args.skip_unreadable)
    # Every set is read once at the final side, so that unreadable files are known before anything is cut.
    sets = [load_squares(photos, recipe.side, skip_unreadable=args.skip_unreadable)[0] for photos in sets]
    for photos in sets:
        for note in photos.notes:
            screen().print(f"[yellow]note[/] {note}", soft_wrap=True)
    cuts = cut_sets(sets, folds=args.folds, fold=args.fold, held_back=args.held_back, seed=args.split_seed)
    for part in cuts:
        screen().print(
            f"{part.train.name}: {len(part.train)} photographs to learn from, {len(part.held_back)} held back, "
            f"{len(part.unseen)} unseen, no patient in two parts"
        )
    if tuning:
        tuning.check_classes(sets[0].classes)
    if start:
        refuse_seen(start, [part.unseen for part in cuts] + [cuts[0].held_back])
    check_masks([part.train for part in cuts], recipe.model)
    if learns_masks:  # one that cannot be read must not end a finished run
        for kept_apart in (cuts[0].held_back, cuts[0].unseen):
            load_masks(kept_apart, recipe.side)
    if args.force and not args.resume:  # only now: a slip in the flags must not cost the old run
        remove_run(folder)
    preprocess = tuning.start.preprocess if tuning else preprocess_for(recipe, start)
    held_back_targets = np.array(cuts[0].held_back.targets)
    held_back_at = cache(lambda side: (load_squares(cuts[0].held_back, side)[1], held_back_targets))
    try:
        state, history, precision = fit(
            recipe,
            preprocess,
            initial=start.state if start else {},
            classes=len(sets[0].classes),
            squares_at=cache(lambda side: training_squares([part.train for part in cuts], side, masks=learns_masks)),
            held_back_at=held_back_at,
            held_back_masks_at=cache(lambda side: load_masks(cuts[0].held_back, side)) if learns_masks else None,
            folder=folder,
            data=[part.train.sha256() for part in cuts],
            objective=tuning.objective(recipe) if tuning else None,
            resume=args.resume,
            precision="32-true" if tuning and args.precision == "auto" else args.precision,  # bf16 has 8 bits itself
            workers=args.workers,
        )
    except Interrupted as stop:
        screen().print(f"{stop}; the same command with [bold]--resume[/] goes on from there ({folder})")
        return 130
    if torch.distributed.is_available() and torch.distributed.is_initialized() and torch.distributed.get_rank():
        return 0  # one process writes
    net = Checkpoint(recipe.model, sets[0].classes, preprocess, state).network()
    temperature = fit_temperature(predict(net, held_back_at(recipe.side)[0], preprocess), held_back_targets)
    logits = predict(net, load_squares(cuts[0].unseen, recipe.side)[1], preprocess) / temperature
    targets = np.array(cuts[0].unseen.targets)
    metrics = summarise(targets, cuts[0].unseen.patients, logits, sets[0].classes)
    masks = masks_of(net, cuts[0].unseen, preprocess)
    if masks:
        metrics["masks"] = masks
    near = tuning.compare(net, temperature, held_back_at(recipe.side)) if tuning else None
    checkpoint = Checkpoint(
        model=recipe.model,
        labels=sets[0].classes,
        preprocess=preprocess,
        state=state,
        temperature=temperature,
        data=[summary(part) for part in cuts] + (start.data if start else []),
        trained=merged("trained", by_domain(part.train for part in cuts), start),
        held_back=merged("held_back", by_domain(part.held_back for part in cuts), start),
        unseen=merged("unseen", by_domain(part.unseen for part in cuts), start),
        metrics={"unseen": metrics},
        recipe={
            **asdict(recipe),
            "precision": precision,
            "folds": args.folds,
            "fold": args.fold,
            "held_back": args.held_back,
            "split_seed": args.split_seed,
            "init": {"sha256": start.sha256, "recipe": start.recipe} if start else None,
            **({"qat": tuning.entry(*near)} if tuning and near else {}),
        },
        versions=versions_here(),
    )
    save(checkpoint, folder / "checkpoint")
    write_answers(folder / "unseen.csv", cuts[0].unseen, logits)
    curves_plot(history, folder / "curves.png")
    confusion_plot(
        targets, logits.argmax(1), cuts[0].unseen.codes, folder / "confusion.png",
        title=f"{recipe.model}, {len(logits)} photographs of unseen patients",
    )  # fmt: skip
    screen().print(summary_table(metrics, "unseen patients"))
    if masks:
        screen().print(mask_line(masks), soft_wrap=True)
    if near:
        screen().print(verdict(*near), soft_wrap=True)
    screen().print(f"checkpoint: {folder / 'checkpoint.safetensors'}")
    return 0


def preprocess_for(recipe: Recipe, start: Checkpoint | None) -> Preprocess:
    """The family's normalisation; where weights of the same family are started from, the one that they expect."""
    if start and family_name(start.model) == family_name(recipe.model):
        return Preprocess(PREPROCESS_VERSION, recipe.side, start.preprocess.mean, start.preprocess.std)
    return Preprocess(PREPROCESS_VERSION, recipe.side, *normalisation(recipe.model))


RUN_FILES = (
    "checkpoint.safetensors",
    "checkpoint.json",
    "resume.safetensors",
    "history.csv",
    "curves.png",
    "confusion.png",
    "unseen.csv",
)


def remove_run(folder: Path) -> None:
    """Delete what a run writes, and nothing else that may be in the folder."""
    for name in RUN_FILES:
        (folder / name).unlink(missing_ok=True)
    shutil.rmtree(folder / "tensorboard", ignore_errors=True)


def prepare_folder(folder: Path, *, resume: bool, force: bool) -> None:
    """Refuse to overwrite a run, unless told to, and a place that cannot be written to."""
    with scratch_in(folder):
        pass
    there = (folder / "checkpoint.json").exists() or (folder / "resume.safetensors").exists()
    if there and not (resume or force):
        raise InputError(
            f"{folder} holds a run; continue it with --resume, replace it with --force, or give another --out"
        )


def training_squares(parts: list[PhotoSet], side: int, *, masks: bool = False) -> Squares:
    """All training photographs of all sets in memory, a margin larger than `side`, where wanted with their masks."""
    wide = round(side * MARGIN)
    images = [load_squares(part, wide)[1] for part in parts]
    drawn, known = zip(*(load_masks(part, wide) for part in parts), strict=True) if masks else (None, None)
    return Squares(
        np.concatenate(images),
        np.concatenate([np.array(part.targets) for part in parts]),
        np.concatenate([np.full(len(part), number) for number, part in enumerate(parts)]),
        np.concatenate(drawn) if drawn else None,
        np.concatenate(known) if known else None,
    )


def refuse_seen(start: Checkpoint, parts: list[PhotoSet]) -> None:
    """InputError if the checkpoint to start from learned from patients that this run keeps apart."""
    for part in parts:
        was_seen = seen_in([start.trained], part.photos[0].domain) if part.photos else None
        seen = sorted({photo.patient for photo in part.photos if was_seen and was_seen(photo)})
        if seen:
            raise InputError(
                f"--init learned from {len(seen)} patients of {part.name} that this run keeps apart, first "
                f"{seen[0]}; repeat its --folds, --fold and --split-seed, or start without --init"
            )


def merged(role: str, own: dict[str, dict[str, list[str]]], start: Checkpoint | None) -> dict:
    """This run's ids by domain, with those of the checkpoint it started from: what that saw, this model saw."""
    found = dict(getattr(start, role)) if start else {}
    for name, listed in own.items():
        before = found.get(name, {})
        found[name] = {kind: sorted({*before.get(kind, []), *values}) for kind, values in listed.items()}
    return found


def summary(part: Cut) -> dict:
    return {**part.train.summary(), "sha256": part.train.sha256()}


def write_answers(path: Path, photos: PhotoSet, logits: np.ndarray) -> None:
    """One row a photograph: id, patient, class, and the calibrated logits in class order."""
    with moved_into_place(path) as unfinished, unfinished.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["image", "patient", "label", *(f"logit_{code}" for code in photos.codes)])
        for photo, row in zip(photos.photos, logits, strict=True):
            writer.writerow([photo.image_id, photo.patient, photo.label, *(f"{value:.6f}" for value in row)])
