"""All folds of a cross-validation: run, pool, compare with the trivial."""

from __future__ import annotations

import argparse
import csv
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from dermedge.console import screen
from edge.checkpoint import load
from edge.data.table import PhotoSet
from edge.errors import GOOD, InputError
from edge.files import read_json, scratch_in, write_json
from edge.models import gives_masks

from ._baselines import baselines
from ._cut import check_split
from ._plots import confusion_plot
from ._recipe import recipe_of
from ._sets import check_masks, open_sets
from ._summary import summarise, summary_table

OWN_FLAGS = {"fold", "jobs", "out", "resume", "force"}  # everything else is passed on to train.py


def cross_validate(args: argparse.Namespace) -> int:
    """Run what is not finished, then pool; returns the exit code."""
    folder = args.out or Path("runs") / f"{args.model}-cv"
    if args.qat:
        raise InputError("--qat is of one checkpoint and its own split; give it to train.py")
    recipe_of(args)  # each fold would refuse the same flags, after the photographs were read
    check_split(folds=args.folds, fold=0, held_back=args.held_back)
    if args.init:
        load(args.init)
    with scratch_in(folder):  # a place that cannot be written to is known before anything is trained
        pass
    sets = open_sets(args.data, args.also, masks=gives_masks(args.model), skip_missing=args.skip_unreadable)
    check_masks(sets, args.model)
    photos = sets[0]
    with ThreadPoolExecutor(max_workers=max(1, args.jobs)) as pool:
        codes = list(pool.map(lambda fold: train_fold(args, folder, fold), range(args.folds)))
    failed = [fold for fold, code in enumerate(codes) if code]
    if failed:
        screen().print(f"fold(s) {failed} did not finish; see {folder}/fold-{failed[0]}.log, then run this again")
        return max(codes)
    patients, targets, logits = pooled(photos, folder, args.folds)
    found = {
        "model": args.model,
        "folds": args.folds,
        "data": {**photos.summary(), "sha256": photos.sha256()},
        "recipe": read_json(folder / "fold-0" / "checkpoint.json", what="the checkpoint of fold 0")["recipe"],
        "out_of_fold": summarise(targets, patients, logits, photos.classes),
        "by_fold": [
            read_json(folder / f"fold-{fold}" / "checkpoint.json", what=f"the checkpoint of fold {fold}")["metrics"]
            for fold in range(args.folds)
        ],
        "baselines": baselines(photos, folds=args.folds, seed=args.split_seed),
    }
    write_json(folder / "cross_validation.json", found)
    confusion_plot(
        targets, logits.argmax(1), photos.codes, folder / "confusion.png", title=f"{args.model}, out of fold"
    )
    screen().print(summary_table(found["out_of_fold"], f"{args.model}, out of fold"))
    for name, value in found["baselines"].items():
        screen().print(f"baseline, {name}: balanced accuracy {value['balanced_accuracy']['value']:.3f}")
    screen().print(f"{folder / 'cross_validation.json'}")
    return GOOD


def train_fold(args: argparse.Namespace, folder: Path, fold: int) -> int:
    """Train one fold in a process of its own, unless it is finished; its exit code."""
    out = folder / f"fold-{fold}"
    if (out / "checkpoint.json").is_file() and not args.force:
        return 0
    command = [sys.executable, str(Path(__file__).with_name("train.py")), *passed_on(args)]
    command += ["--fold", str(fold), "--out", str(out)]
    if args.force:
        command.append("--force")
    elif (out / "resume.safetensors").is_file():
        command.append("--resume")
    out.mkdir(parents=True, exist_ok=True)
    log_file = folder / f"fold-{fold}.log"
    screen().print(f"fold {fold}: training, see {log_file}", soft_wrap=True)
    with log_file.open("a") as log:
        code = subprocess.run(command, stdout=log, stderr=subprocess.STDOUT, check=False).returncode
    screen().print(f"fold {fold}: {'finished' if code == 0 else f'stopped with exit code {code}'}")
    return code


def passed_on(args: argparse.Namespace) -> Iterator[str]:
    """The flags as train.py takes them."""
    for name, value in vars(args).items():
        flag = "--" + name.replace("_", "-")
        if name in OWN_FLAGS or value is None or value is False:
            continue
        for item in value if isinstance(value, list) else [value]:
            yield flag
            if item is not True:
                yield str(item)


def pooled(photos: PhotoSet, folder: Path, folds: int) -> tuple[list[str], np.ndarray, np.ndarray]:
    """Patients, class indices (N,) and calibrated logits (N, K) of all folds' unseen photographs, each once."""
    index = {code: i for i, code in enumerate(photos.codes)}
    rows: dict[str, tuple[str, int, list[float]]] = {}
    for fold in range(folds):
        with (folder / f"fold-{fold}" / "unseen.csv").open(newline="") as file:
            for row in csv.DictReader(file):
                if row["image"] in rows:
                    raise InputError(f"{row['image']} is unseen in two folds; the runs in {folder} had other splits")
                rows[row["image"]] = (
                    row["patient"],
                    index[row["label"]],
                    [float(row[f"logit_{c}"]) for c in photos.codes],
                )
    patients, targets, logits = zip(*rows.values(), strict=True)
    return list(patients), np.array(targets), np.array(logits)
