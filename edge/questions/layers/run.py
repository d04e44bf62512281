"""`dermedge parity --layers`: every file of a build folder, layer by layer, against the torch model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import edge
from edge.build import Build
from edge.data.selection import Photographs, judging_set
from edge.data.squares import load_squares
from edge.errors import InputError, at_least_one
from edge.files import write_json
from edge.progress import busy
from edge.questions.parity.report import NOTICE, plain
from edge.report import page as one_page
from edge.runtimes.inside import look_inside
from edge.runtimes.open import missing_for
from edge.runtimes.reference import Reference

from . import page
from .findings import checked, compared
from .network import Network

if TYPE_CHECKING:
    from rich.table import Table

SCHEMA = "dermedge/layers/1"
IMAGES = 4
TRACED_TO = 1e-4  # of a probability: the float64 graph against the float32 model; a graph that differs is no reference


@dataclass(frozen=True)
class Layers:
    report: dict[str, Any]

    @property
    def failed(self) -> list[str]:
        """Files that leave what their precision explains and whose gate binds."""
        return [one["file"] for one in self.report["files"] if one["first"] is not None and one["binding"]]

    def tables(self) -> list[Table | str]:
        return [page.table(one) for one in self.report["files"]]


def look_into(
    build: Build, *, data: Photographs, skip_unreadable: bool = False, images: int | None = None,
    files: Sequence[str] | None = None, strict: bool = False,
) -> Layers:  # fmt: skip
    """Run the files (all, or those named) on a few unseen photographs and compare every layer."""
    at_least_one(images=images)
    entries = build.chosen(files)
    photos = judging_set(build.checkpoint, data, limit=images or IMAGES, skip_missing=skip_unreadable)
    photos, squares = load_squares(photos, build.checkpoint.preprocess.side, skip_unreadable=skip_unreadable)
    with busy("tracing the torch model"):
        probabilities = Reference(build.checkpoint).run(squares).probabilities
        network = Network(build.checkpoint.deployed(layout="NHWC"), squares)
        apart = checked(network, probabilities)
    if not apart <= TRACED_TO:
        raise InputError(
            f"the traced model differs from the model by {apart:.1e}; its layers cannot be compared. Report this"
        )
    found = []
    for entry in entries:
        facts = {key: getattr(entry, key) for key in ("file", "recipe", "format", "sha256")}
        facts["binding"] = strict or entry.binding
        reason = missing_for(entry.format)
        if reason:
            found.append(facts | {"note": f"not looked into: {reason}", "rows": [], "first": None, "counts": {}})
            continue
        inside = look_inside(build.path(entry), entry.format, squares)
        network.reset()
        rows = compared(network, inside, f"{entry.recipe} ({entry.format})")
        found.append(facts | {"note": ""} | {key: rows[key] for key in ("rows", "first", "counts")})
    if all(one["note"] for one in found):
        raise InputError("; ".join(f"{one['file']} {one['note']}" for one in found))
    return Layers({
        "schema": SCHEMA, "notice": NOTICE, "dermedge": edge.__version__, "model": build.manifest.model,
        "checkpoint_sha256": build.checkpoint.sha256,
        "data": {"name": photos.name, "images": len(photos), "synthetic": photos.synthetic},
        "traced_apart": apart, "files": plain(found),
    })  # fmt: skip


def write(layers: Layers, folder: Path) -> Path:
    """layers.json and the section of report.html, both made before the first is written; returns the page."""
    body = page.html(layers.report)
    write_json(folder / "layers.json", layers.report)
    return one_page.place(folder, "layers", body, one_page.belongs(layers.report))
