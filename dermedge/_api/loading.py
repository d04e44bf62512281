"""Photographs, checkpoints and builds by name or path."""

from __future__ import annotations

from pathlib import Path

from edge import checks
from edge.build import Build
from edge.build import open_build as open_build_folder
from edge.checkpoint import Checkpoint, shipped
from edge.checkpoint import load as load_checkpoint
from edge.checkpoint import save as save_checkpoint
from edge.data.readers import open_photos as open_set
from edge.data.table import PhotoSet
from edge.errors import InputError
from edge.models import MODELS

A_CHECKPOINT = "a Checkpoint; `load`, `train` and `wrap` give one"


def open_photos(folder: str | Path, *, skip_missing: bool = False) -> PhotoSet:
    """A set of labelled photographs in a layout that dermedge knows: PAD-UFES-20, ISIC, or a folder per class.

    The result has `photos` (path, label, patient, mask), `classes` in output order, `patients`, `counts`, `licence` and
    `notes`. With `skip_missing`, rows without a file are left out and counted in `notes`. Raises InputError that names
    the folder or table where it is no such set.
    """
    folder = checks.path(folder, "folder", "a folder of photographs")
    return open_set(folder, skip_missing=checks.truth(skip_missing, "skip_missing"))


def load(model: str | Path) -> Checkpoint:
    """The checkpoint that comes with dermedge under this name (`hierattn_xs`), or one on disk.

    A path is a `.safetensors` or `.pt2` that training, `wrap` or `convert` wrote with its `.json`, or the folder of a
    run. Raises InputError that says what is missing, damaged or of another network.
    """
    if isinstance(model, str) and model in MODELS:
        return load_checkpoint(shipped(model))
    if isinstance(model, Checkpoint):
        raise InputError("`model` is a Checkpoint already; take it as it is")
    return load_checkpoint(checks.path(model, "model", "a checkpoint, or the name of one that comes with dermedge"))


def save(checkpoint: Checkpoint, stem: str | Path) -> Path:
    """Write `<stem>.safetensors` (a network of your own: `<stem>.pt2`) and `<stem>.json`; returns the weights' path."""
    checks.instance(checkpoint, "checkpoint", Checkpoint, A_CHECKPOINT)
    stem = checks.path(stem, "stem", "the files to write, without a suffix")
    save_checkpoint(checkpoint, stem)
    return stem.with_suffix(".pt2" if checkpoint.program else ".safetensors")


def open_build(folder: str | Path, *, checkpoint: str | Path | None = None) -> Build:
    """A folder of exported files, checked against its manifest, with the float network that they are judged against.

    `checkpoint`: where the weights lie, if they are neither shipped nor in the folder. Raises InputError where a file
    is missing or changed, or the checkpoint is another.
    """
    folder = checks.path(folder, "folder", "a folder that `convert` wrote")
    weights = None if checkpoint is None else checks.path(checkpoint, "checkpoint", "the weights it was converted from")
    return open_build_folder(folder, checkpoint=weights)
