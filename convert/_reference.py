"""Keeping the float network of a conversion beside its files, so that they can be judged again without its source."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from edge.checkpoint import Checkpoint, save
from edge.manifest import Manifest, Reference

STEM = "reference"


def keep_reference(manifest: Manifest, checkpoint: Checkpoint, folder: Path) -> Manifest:
    """Write `reference.pt2` and `reference.json` for a network that dermedge does not know; the manifest with its hash.

    Nothing is written for a checkpoint of one of dermedge's own models, which `checkpoint` finds again.
    """
    if not checkpoint.program:
        return replace(manifest, reference=Reference("checkpoint", checkpoint.sha256))
    save(checkpoint, folder / STEM)
    return replace(manifest, reference=Reference("program", checkpoint.sha256, f"{STEM}.pt2"))
