"""What a folder holds before files are added to it: whether they may be, and the entries of those that are."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from edge import artifact
from edge.checkpoint import Checkpoint
from edge.errors import InputError
from edge.files import sha256, size
from edge.manifest import FileEntry, Manifest
from edge.recipes import Recipe
from edge.runtimes import Outputs

from ._judge import Judged
from ._self_test import mean_of

SAME_ANSWER = 1e-4  # of a probability; processors differ by less


def manifest_to_extend(folder: Path, checkpoint: Checkpoint, names: list[str], *, force: bool) -> Manifest | None:
    """The manifest in `folder` if it is of the same checkpoint. InputError if something would be overwritten."""
    there = [name for name in names if (folder / name).exists()]
    if there and not force:
        raise InputError(f"{folder / there[0]} exists; replace it with `force`, or give another `out`")
    if not (folder / artifact.MANIFEST).exists():
        return None
    manifest = artifact.read(folder)
    if manifest.checkpoint_sha256 == checkpoint.sha256:
        return manifest
    others = [entry.file for entry in manifest.files if entry.file not in names]
    if others:
        raise InputError(
            f"{folder} holds files of another checkpoint ({others[0]}); remove the folder or give another `out`"
        )
    return None


def refuse_another_network(folder: Path, manifest: Manifest, outputs: Outputs, names: list[str]) -> None:
    """InputError if files that stay in `folder` were made of the same weights by another forward pass.

    Nothing but its answers to the self test tells of that: code has no digest in a checkpoint.
    """
    stay = [entry.file for entry in manifest.files if entry.file not in names]
    tested = [entry for entry in manifest.self_test if entry.answers is None]
    earlier = np.array([entry.reference for entry in tested], np.float64)
    if not stay or earlier.shape != outputs.probabilities.shape:
        return
    difference = float(np.abs(earlier - outputs.probabilities).max())
    if outputs.masks is not None:
        for entry, mask in zip(tested, outputs.masks, strict=True):
            before = np.nan if entry.reference_mask is None else entry.reference_mask
            difference = max(difference, abs(before - mean_of(mask)), key=lambda value: (np.isnan(value), value))
    if not difference <= SAME_ANSWER:
        raise InputError(
            f"{folder} holds {stay[0]}, made of these weights when the network's code was another: its answers to the "
            f"self test were {difference:.2g} from those it gives now. Remove the folder or give another `out`"
        )


def file_entry(path: Path, result: Judged, recipe: Recipe) -> FileEntry:
    """The manifest's entry of a file that is kept."""
    return FileEntry(
        file=path.name,
        format=recipe.format,
        recipe=recipe.name,
        purpose=recipe.purpose,
        sha256=sha256(path),
        bytes=size(path),
        layout=recipe.layout,
        dtype=recipe.dtype,
        opens_from=result.opens_from,
        parity=result.parity,
        answers=result.answers,
        audit=result.audit,
        fine_tuned=result.fine_tuned,
    )
