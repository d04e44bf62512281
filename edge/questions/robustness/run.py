"""`dermedge robustness`: the float model and files of a build folder on photographs that get worse."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import edge
from edge.build import Build
from edge.capture import read_photo
from edge.data.selection import Photographs, judging_set
from edge.data.table import Photo, PhotoSet
from edge.errors import InputError, at_least_one
from edge.files import write_json
from edge.manifest import FileEntry
from edge.metrics.observations import UNKNOWN
from edge.progress import track
from edge.questions.parity.report import NOTICE, plain
from edge.questions.robustness import page
from edge.questions.robustness.corruptions import CORRUPTIONS, WORKING_SIDE, Condition, conditions_of, inputs
from edge.questions.robustness.figures import FLOAT, figures
from edge.questions.robustness.levels import LEVELS, SEVERITIES, check_severity
from edge.recipes import TFLITE
from edge.report import page as one_page
from edge.runtimes import Outputs
from edge.runtimes.litert import LiteRT
from edge.runtimes.reference import Reference

if TYPE_CHECKING:
    from rich.table import Table

log = logging.getLogger("dermedge")

SCHEMA = "dermedge/robustness/1"
IMAGES = 128  # 56 pictures of each, three answers: about two minutes of one core
# the files with 8-bit products that take floats, as the float model does
DEFAULT = tuple(name for name, recipe in TFLITE.items() if (recipe.activations, recipe.dtype) == (8, "float32"))

Run = Callable[[np.ndarray], Outputs]  # uint8 (C, S, S, 3) -> probabilities (C, K)


@dataclass(frozen=True)
class Robustness:
    report: dict[str, Any]
    shown: np.ndarray  # uint8 (C, S, S, 3): the inputs of one photograph

    def table(self) -> Table:
        return page.table(self.report)


def measure(
    build: Build, *, data: Photographs, images: int | None = IMAGES, files: Sequence[str] | None = None,
    corruptions: Sequence[str] | None = None, severities: Sequence[int] | None = None, skip_unreadable: bool = False,
    threads: int = 1, seed: int = 0,
) -> Robustness:  # fmt: skip
    at_least_one(images=images, threads=threads)
    if seed < 0:
        raise InputError(f"`seed` is a whole number from 0, got {seed}")
    names = list(dict.fromkeys(corruptions or CORRUPTIONS))
    unknown = [name for name in names if name not in CORRUPTIONS]
    if unknown:
        raise InputError(f"no corruption {unknown[0]!r}; there are {', '.join(CORRUPTIONS)}")
    levels = sorted(set(severities or SEVERITIES))
    for severity in levels:
        check_severity(severity)
    conditions = conditions_of(names, levels)
    entries = compared(build, files)
    photos = judging_set(build.checkpoint, data, limit=images, skip_missing=skip_unreadable)
    float_file, opened = open_all(build, entries, threads)
    try:
        photos, answers, shown, digest = answer(
            photos, conditions, {name: runtime.run for name, runtime in opened.items()},
            build.checkpoint.preprocess.side, skip_unreadable=skip_unreadable, seed=seed,
        )  # fmt: skip
    finally:
        for runtime in opened.values():
            runtime.close()
    index = {code: i for i, code in enumerate(photos.codes)}
    labels = np.array([index.get(photo.label, UNKNOWN) for photo in photos.photos], np.int64)
    by_file = {entry.recipe: entry for entry in entries}
    found = plain(figures(answers, labels, photos.patients, conditions, seed))
    for one in found["files"]:
        entry = by_file.get(one["name"])
        one["file"], one["sha256"] = (entry.file, entry.sha256) if entry else (float_file, None)
    return Robustness(
        {
            "schema": SCHEMA, "notice": NOTICE, "dermedge": edge.__version__, "model": build.manifest.model,
            "checkpoint_sha256": build.checkpoint.sha256, "seed": seed, "working_side": WORKING_SIDE,
            "data": {
                "name": photos.name, "images": len(photos), "patients": len(set(photos.patients)),
                "labelled": found["labelled"], "synthetic": photos.synthetic, "note": "; ".join(photos.notes),
                "pictures_sha256": digest, "shown": photo_name(photos.photos[0]),
            },
            "corruptions": [
                {"name": n, "title": LEVELS[n].title, "unit": LEVELS[n].unit, "severities": levels,
                 "values": [LEVELS[n].values[s - 1] for s in levels]} for n in names
            ],
            "files": found["files"],
        },
        shown,
    )  # fmt: skip


def compared(build: Build, files: Sequence[str] | None) -> list[FileEntry]:
    """The files to hold against float: .tflite, those named by file or recipe, else those of DEFAULT."""
    if not files:
        return [entry for entry in build.manifest.files if entry.recipe in DEFAULT and entry.format == "tflite"]
    # A recipe may name files of several formats; of these the .tflite is meant.
    entries = [entry for entry in build.chosen(files) if entry.format == "tflite" or entry.file in files]
    other = [entry.file for entry in entries if entry.format != "tflite"]
    if other or not entries:
        raise InputError(
            f"robustness runs .tflite files, got {', '.join(other or files)}; name a .tflite file or recipe"
        )
    return [entry for entry in entries if entry.recipe != "fp32"]  # it is the float model


def open_all(build: Build, entries: Sequence[FileEntry], threads: int) -> tuple[str, dict[str, LiteRT | Reference]]:
    """What stands for the float model, and everything that answers: that model first, then the files by recipe.

    The fp32 .tflite is the float model where there is one: its gate keeps every logit within 1e-4 of torch's, and it
    is several times as fast. Elsewhere it is the torch model itself.
    """
    own = [e.file for e in build.manifest.files if (e.recipe, e.format) == ("fp32", "tflite")]
    opened: dict[str, LiteRT | Reference] = {
        FLOAT: LiteRT(build.folder / own[0], threads=threads) if own else Reference(build.checkpoint)
    }
    for entry in entries:
        opened[entry.recipe] = LiteRT(build.path(entry), threads=threads)
    return own[0] if own else "the float32 torch model", opened


def answer(
    photos: PhotoSet, conditions: Sequence[Condition], runs: Mapping[str, Run], side: int, *,
    skip_unreadable: bool = False, seed: int = 0,
) -> tuple[PhotoSet, dict[str, np.ndarray], np.ndarray, str]:  # fmt: skip
    """The photographs that could be read, probabilities (N, C, K) by name, the first one's inputs, the inputs' digest.

    Every picture is made once and shown to all. One photograph is in memory at a time.
    """
    kept: list[Photo] = []
    unreadable: list[str] = []
    rows: dict[str, list[np.ndarray]] = {name: [] for name in runs}
    shown, digest = np.empty((0, side, side, 3), np.uint8), hashlib.sha256()
    for photo in track(photos.photos, f"{len(conditions)} pictures of each photograph", len(photos)):
        try:
            rgb = read_photo(photo.path)
        except InputError as error:
            if not skip_unreadable:
                raise InputError(
                    f"{error}. Mend or remove it, or go on without such photographs with `skip_unreadable`"
                ) from error
            unreadable.append(f"{photo.image_id}: {error}")
            continue
        pictures = np.stack(list(inputs(rgb, conditions, photo_name(photo), side, seed)))
        pictures.flags.writeable = False  # no file can change what the next one sees
        digest.update(pictures.tobytes())
        shown = shown if kept else pictures
        for name, run in runs.items():
            rows[name].append(run(pictures).probabilities)
        kept.append(photo)
    if unreadable:
        text = f"{len(unreadable)} of {len(photos)} photographs of {photos.name} cannot be read: {unreadable[0]}"
        if not kept:
            raise InputError(f"{text}. Mend them, or give `data` other photographs")
        log.warning("skipped %s", text)
        photos = replace(photos, photos=tuple(kept), notes=(*photos.notes, text))
    return photos, {name: np.stack(given) for name, given in rows.items()}, shown, digest.hexdigest()


def photo_name(photo: Photo) -> str:
    return f"{photo.domain}/{photo.image_id}"


def write(found: Robustness, folder: Path) -> Path:
    """robustness.json and the section of report.html; returns the page. Both are made before the first is written."""
    body = page.html(found.report, found.shown)
    write_json(folder / "robustness.json", found.report)
    return one_page.place(folder, "robustness", body, one_page.belongs(found.report))
