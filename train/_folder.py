"""The folder of a run: what lies in it, and that no run is lost by a slip."""

from __future__ import annotations

import csv
import hashlib
import logging
import os
import shutil
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import numpy as np

from edge.data.squares import cache_folder
from edge.data.table import PhotoSet
from edge.errors import InputError
from edge.files import moved_into_place, scratch_in
from edge.locks import alone_at_first, refused_company
from edge.report import pictures

log = logging.getLogger("dermedge")

STATE = "resume.safetensors"  # of a run that is not finished
SETTINGS = "run.toml"  # all of them, as `dermedge train` takes them again
UNSEEN = "unseen.csv"  # the logits on unseen patients
WITH_ANSWERS = "unseen_with_answers.csv"
MASKS = "unseen_masks.csv"  # how near each mask of an unseen photograph is to the drawn one
RUN_FILES = (
    "checkpoint.safetensors",
    "checkpoint.pt2",
    "checkpoint.json",
    STATE,
    "history.csv",
    "curves.png",
    "confusion.png",
    UNSEEN,
    WITH_ANSWERS,
    MASKS,
    "training.json",
    "report.html",
    SETTINGS,
)


def only_run_in(folder: Path) -> AbstractContextManager[None]:
    """InputError where another run trains in `folder`. Of the processes of torchrun the first one looks."""
    return refused_company(folder, "training") if is_first() else nullcontext()


def is_first() -> bool:
    """Whether this process is the one that writes; under torchrun one of them does."""
    return os.environ.get("RANK", "0") == "0"


def are_several() -> bool:
    """Whether torchrun has started this process beside others."""
    return int(os.environ.get("WORLD_SIZE", "1")) > 1


def one_reads_first(folder: Path) -> AbstractContextManager[None]:
    """Of the processes of the run in `folder`, one of each machine reads photographs in this block, alone.

    The others then do so together: they find them in the cache. Other runs are not waited for.
    """
    if not are_several():
        return nullcontext()
    run = hashlib.sha256(os.fsencode(folder.resolve())).hexdigest()[:32]
    return alone_at_first(
        cache_folder() / "reading", name=f"{run}.lock", waiting="another process of this run reads the photographs"
    )


def was_restarted() -> bool:
    """Whether torchrun has started this process anew, as it lost one of the run's."""
    return int(os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")) > 0


def goes_on(folder: Path, *, resume: bool) -> bool:
    """Whether there is a state to go on from, and it is wanted: by who started the run, or by torchrun's restart.

    A run that was killed before its first state goes on from nothing, and a word says so.
    """
    if (folder / STATE).exists():
        return resume or was_restarted()
    if resume and not (folder / "checkpoint.json").exists():
        log.warning(f"{folder} holds no state of a run yet; starting from the beginning")
        return False
    return resume


def prepare_folder(folder: Path, *, resume: bool, force: bool) -> None:
    """Refuse to overwrite a run, unless told to, and a place that cannot be written to."""
    with scratch_in(folder):
        pass
    finished, unfinished = (folder / "checkpoint.json").exists(), (folder / STATE).exists()
    if resume and finished and not unfinished:
        raise InputError(f"{folder} holds a finished run, with nothing to `resume`; give another `out`, or `force`")
    there = finished or unfinished
    if there and not (resume or force):
        raise InputError(
            f"{folder} holds a run; continue it with `resume`, replace it with `force`, or give another `out`"
        )


def remove_run(folder: Path) -> None:
    """Delete what a run writes, and nothing else that may be in the folder."""
    for name in RUN_FILES:
        (folder / name).unlink(missing_ok=True)
    pictures.path_of(folder, "training").unlink(missing_ok=True)
    shutil.rmtree(folder / "tensorboard", ignore_errors=True)


def write_settings(folder: Path, text: str) -> None:
    with moved_into_place(folder / SETTINGS) as unfinished:
        unfinished.write_text(text, encoding="utf-8", errors="backslashreplace")  # names of files need be no text


def remove_state(folder: Path) -> None:
    """Delete what only an interrupted run needs: five times the weights."""
    (folder / STATE).unlink(missing_ok=True)


def write_history(path: Path, history: list[dict]) -> None:
    """One row an epoch; columns that some rows lack stay empty there."""
    columns = list(dict.fromkeys(key for row in history for key in row))
    with moved_into_place(path) as unfinished, unfinished.open("w", newline="") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(history)


def write_answers(path: Path, photos: PhotoSet, logits: np.ndarray) -> None:
    """One row a photograph: id, patient, class, and the calibrated logits (N, K) in class order."""
    with moved_into_place(path) as unfinished, unfinished.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["image", "patient", "label", *(f"logit_{code}" for code in photos.codes)])
        for photo, row in zip(photos.photos, logits, strict=True):
            writer.writerow([photo.image_id, photo.patient, photo.label, *(f"{value:.6f}" for value in row)])
