"""What trained a checkpoint, as one command, and how long that took."""

from __future__ import annotations

import csv
import shlex
from dataclasses import fields
from pathlib import Path
from typing import Any

from edge.errors import InputError
from edge.models import MODELS
from edge.pretrained import IMAGENET, PACKAGES
from train._flags import flag
from train._options import Split
from train._recipe import Recipe, stages_text

SPLIT = {"folds": "folds", "held_back": "held_back", "split_seed": "seed"}  # in a checkpoint's recipe -> of a Split
OWN_START = "CHECKPOINT"


def command_of(recipe: dict[str, Any], sets: list[str], *, answers: bool, folds: int) -> str:
    """The command line behind a checkpoint's recipe, with the flags whose values are not the defaults.

    `sets` are the names of the sets of photographs, in the order of the flags; `folds`: of a cross-validation, 1: of a
    single run. Raises InputError for a recipe that no flags can repeat.
    """
    words = ["dermedge", "cross-validate" if folds > 1 else "train", "--model", str(recipe["model"])]
    words += ["--data", sets[0], *(word for name in sets[1:] for word in ("--also", name))]
    words += start_flags(recipe.get("init"))
    words += [word for teacher in recipe.get("teachers", []) for word in ("--teacher", str(teacher["model"]))]
    for own in fields(Recipe):
        if own.name == "model" or own.name not in recipe:
            continue
        value = recipe[own.name]
        if own.name == "stages":
            value = stages_text(tuple((int(side), int(epochs)) for side, epochs in value))
            words += ["--stages", value] if value != stages_text(Recipe().stages) else []
        elif value != getattr(Recipe(), own.name):
            words += [flag(own.name), f"{value:g}" if isinstance(value, float) else str(value)]
    for name, field in SPLIT.items():
        if recipe.get(name) not in (None, getattr(Split(), field)):
            words += [flag(name), str(recipe[name])]
    if folds == 1 and recipe.get("fold"):
        words += ["--fold", str(recipe["fold"])]
    words += ["--precision", str(recipe["precision"])] if "precision" in recipe else []
    return shlex.join([*words, *(["--answers"] if answers else [])])


def sets_of(recipe: dict[str, Any], data: list[dict[str, Any]]) -> list[str]:
    """The names of the sets of photographs that a run learned from, itself; InputError where the recipe is silent.

    `data` as a checkpoint lists it: what it started from is among it.
    """
    if "sets" in recipe:
        return list(recipe["sets"])
    if starts_from_ours(recipe):
        raise InputError(
            "the recipe does not say which sets of photographs this run learned from and which the checkpoint that it "
            "started from; give --command"
        )
    return [str(part["name"]) for part in data]


def start_flags(init: dict[str, Any] | None) -> list[str]:
    """`--init` of what a run started from: ImageNet's, a file of others, or a checkpoint of ours."""
    if not init:
        return []
    source = str(init.get("recipe", {}).get("imported_from", ""))
    if any(source.startswith(f"{package.distribution}, ") for package in PACKAGES.values()):
        return ["--init", IMAGENET]
    return ["--init", source or OWN_START]


def starts_from_ours(recipe: dict[str, Any]) -> bool:
    """Whether a checkpoint of ours was started from, whose own recipe is inside."""
    start = (recipe.get("init") or {}).get("recipe", {})
    return start.get("model") in MODELS


def seconds_of(recipe: dict[str, Any], folder: Path, images: int) -> float | None:
    """How long the steps of a run took: its own word, else from the images per second in its history.

    `images`: photographs of an epoch. None where neither says it.
    """
    if "seconds" in recipe:
        return float(recipe["seconds"])
    history = folder / "history.csv"
    if not history.is_file():
        return None
    with history.open(newline="") as file:
        rates = [float(row["images_per_second"]) for row in csv.DictReader(file)]
    return sum(images / rate for rate in rates)
