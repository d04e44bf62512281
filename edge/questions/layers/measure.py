"""Every file of a build, layer by layer, against the torch model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from edge import checks
from edge.build import Build
from edge.checkpoint import Checkpoint
from edge.data.selection import Photographs, judging_set
from edge.data.squares import load_squares
from edge.errors import InputError, at_least_one
from edge.manifest import FileEntry
from edge.progress import Listener, busy, listening
from edge.questions.layers import tables
from edge.questions.layers.merge import with_other_files
from edge.questions.layers.model_explorer import node_data
from edge.questions.layers.section import SCHEMA
from edge.report.header import data_block, header
from edge.report.question import QuestionReport
from edge.report.strict import plain
from edge.runtimes.open import missing_for

if TYPE_CHECKING:
    from rich.table import Table

    from edge.questions.layers.network import Network

IMAGES = 4
TRACED_TO = 1e-4  # of a probability: the float64 graph against the float32 model; a graph that differs is no reference


@dataclass(frozen=True, repr=False)
class LayersReport(QuestionReport):
    """Where each file of a build loses more than its precision explains, if anywhere."""

    name: ClassVar[str] = "layers"

    def failing(self, *, strict: bool = False) -> list[str]:
        """The files that lose more than their precision explains and whose gate binds; `strict`: every gate does."""
        return [
            file["file"] for file in self.report["files"] if file["first"] is not None and (strict or file["binding"])
        ]

    def tables(self) -> list[Table | str]:
        return [tables.table(file) for file in self.report["files"]]

    def other_files(self) -> dict[str, str]:
        """The losses of every .tflite for Model Explorer."""
        return node_data(self.report)

    def write(self, folder: str | Path) -> Path:
        """As every question; what the folder's report says of files that were not looked into now is kept."""
        folder = checks.path(folder, "folder", "the folder to write into")
        return super(LayersReport, replace(self, report=with_other_files(self.report, folder))).write(folder)


def measure(
    build: Build,
    photos: Photographs,
    *,
    images: int | None = None,
    files: Sequence[str] | None = None,
    skip_unreadable: bool = False,
    on_progress: Listener | None = None,
) -> LayersReport:
    """Run the files (all, or those named by file or recipe) on a few unseen photographs and compare every layer.

    `images`: how many photographs, 4 by default. InputError if no file can be looked into, or the network cannot be
    traced faithfully.
    """
    at_least_one(images=images)
    entries = build.chosen(files)
    with listening(on_progress):
        judged_on = judging_set(build.checkpoint, photos, limit=images or IMAGES, skip_missing=skip_unreadable)
        side = build.checkpoint.preprocess.side
        judged_on, squares = load_squares(judged_on, side, skip_unreadable=skip_unreadable)
        with busy("tracing the torch model"):
            network, apart = traced(build.checkpoint, squares)
        parts = [compared_file(build, entry, network, squares) for entry in entries]
    if all(part["note"] for part in parts):
        raise InputError("; ".join(f"{part['file']} {part['note']}" for part in parts))
    data = data_block(judged_on, build.checkpoint)
    return LayersReport(
        {
            **header(SCHEMA, model=build.manifest.model, checkpoint_sha256=build.checkpoint.sha256, data=data),
            "traced_apart": apart,
            "files": plain(parts),
        }
    )


def traced(checkpoint: Checkpoint, squares: np.ndarray) -> tuple[Network, float]:
    """The network's graph in float64, and how far its answers are from the model's.

    InputError where the two differ by more than float32 rounds: such a graph is no reference.
    """
    from edge.questions.layers.findings import checked
    from edge.questions.layers.network import Network
    from edge.runtimes.reference import Reference

    probabilities = Reference(checkpoint).run(squares).probabilities
    network = Network(checkpoint.deployed(layout="NHWC"), squares)
    apart = checked(network, probabilities)
    if not apart <= TRACED_TO:
        raise InputError(
            f"the traced model differs from the model by {apart:.1e}; its layers cannot be compared. Report this"
        )
    return network, apart


def compared_file(build: Build, entry: FileEntry, network: Network, squares: np.ndarray) -> dict[str, Any]:
    """The rows of one file; none, with a note, where its format cannot be run here."""
    from edge.questions.layers.findings import compared
    from edge.runtimes.inside import look_inside

    facts = {key: getattr(entry, key) for key in ("file", "recipe", "format", "sha256", "binding")}
    reason = missing_for(entry.format)
    if reason:
        return facts | {"note": f"not looked into: {reason}", "rows": [], "first": None, "counts": {}}
    inside = look_inside(build.path(entry), entry.format, squares)
    network.reset()
    rows = compared(network, inside, f"{entry.recipe} ({entry.format})")
    return facts | {"note": ""} | {key: rows[key] for key in ("rows", "first", "counts")}
