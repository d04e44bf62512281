"""Run the files of a build folder on unseen photographs and judge what they answer."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from edge.build import Build
from edge.data.selection import Photographs, judging_set
from edge.data.squares import load_squares
from edge.data.table import PhotoSet
from edge.errors import InputError, at_least_one
from edge.manifest import FileEntry
from edge.metrics.gates import FileParity, Verdict, judge
from edge.metrics.observations import Observations
from edge.progress import busy, track
from edge.questions.observe import observations_of
from edge.questions.parity.report import Entry, build_report, write
from edge.runtimes.open import missing_for, modes_of, open_file
from edge.runtimes.reference import Reference

if TYPE_CHECKING:
    from rich.table import Table

log = logging.getLogger("dermedge")

# What an app gets on ARMv8.2 only if it asks for it; without that phones compute these files in float32 on the CPU.
FORCED_FP16 = "xnnpack-fp16"


@dataclass(frozen=True)
class Answers:
    """What one file gave on one runtime."""

    entry: FileEntry
    runtime: str
    probabilities: np.ndarray  # (N, K)
    milliseconds: float  # median of one image on this host
    found: FileParity

    @property
    def binding(self) -> bool:
        """Whether a failed gate fails the command: not for recipes that only report, nor for forced fp16."""
        return self.runtime != FORCED_FP16 and self.entry.binding


@dataclass(frozen=True)
class Seen:
    build: Build
    photos: PhotoSet
    images: np.ndarray  # uint8 (N, S, S, 3)
    observations: Observations
    answers: tuple[Answers, ...]

    def failed(self, *, strict: bool) -> list[str]:
        """The files whose binding gate failed, with the runtime."""
        return [
            f"{a.entry.file} on {a.runtime}"
            for a in self.answers
            if a.found.verdict == "fail" and (strict or a.binding)
        ]

    def table(self) -> Table:
        from rich.table import Table

        kind = "synthetic images" if self.photos.synthetic else "photographs of unseen patients"
        table = Table(title=f"{self.build.manifest.model}: {len(self.photos)} {kind} ({self.photos.name})")
        table.add_column("file")
        table.add_column("runtime")
        for name in ("host ms", "SQNR dB", "5th pct.", "agreement", "largest |Δp|"):
            table.add_column(name, justify="right")
        table.add_column("verdict")
        for answer in self.answers:
            s = answer.found.statistics
            table.add_row(
                answer.entry.file,
                answer.runtime,
                f"{answer.milliseconds:.1f}",
                decibel(s.sqnr_db.value) if s else "-",
                decibel(s.sqnr_db_p5) if s else "-",
                f"{s.agreement.value:.1%}" if s else "-",
                f"{s.largest_delta_p:.2g}" if s else "-",
                str(answer.found.verdict)
                + ("" if answer.binding or answer.found.verdict == Verdict.REPORTED else " (not binding)"),
            )
        return table


def decibel(value: float) -> str:
    return f"{value:.1f}" if np.isfinite(value) else "equal"


def observe_files(
    build: Build,
    *,
    data: Photographs,
    skip_unreadable: bool = False,
    limit: int | None = None,
    modes: Sequence[str] | None = None,
    threads: int = 1,
    judged: bool = False,
) -> Seen:
    """Run every file of the folder. `modes` None: all of them to look, the phone's own where it is `judged`."""
    at_least_one(images=limit, threads=threads)
    photos = judging_set(build.checkpoint, data, limit=limit, skip_missing=skip_unreadable)
    photos, images = load_squares(photos, build.checkpoint.preprocess.side, skip_unreadable=skip_unreadable)
    with busy("running the float32 model"):
        observations = observations_of(photos, *Reference(build.checkpoint).run(images))
    answers = []
    remark = None if modes else left_out(build.manifest.files)
    if remark:
        log.info(remark)
    for entry in build.manifest.files:
        for mode in () if remark and missing_for(entry.format) else modes_for(entry, modes, judged=judged):
            runtime = open_file(build.path(entry), entry.format, mode=mode, threads=threads)
            rows, masks, times = [], [], []
            for image in track(images, f"{entry.recipe} on {mode}", len(images)):
                begun = time.perf_counter()
                one = runtime.run(image[None])
                times.append(1e3 * (time.perf_counter() - begun))
                rows.append(one.probabilities[0])
                masks += [] if one.masks is None else [one.masks[0]]
            runtime.close()
            probabilities = np.array(rows)
            found = judge(
                entry.recipe,
                observations,
                probabilities,
                masks=np.array(masks) if masks else None,
                mac_share_int8=entry.audit.share_8bit if entry.audit else None,
                untrained=bool(build.checkpoint.untrained),
            )
            answers.append(Answers(entry, mode, probabilities, float(np.median(times)), found))
    return Seen(build, photos, images, observations, tuple(answers))


def modes_for(entry: FileEntry, wanted: Sequence[str] | None, *, judged: bool) -> Sequence[str]:
    """How a file is run: every way there is to look, the phone's own where it is judged, or the `wanted` ones."""
    if wanted:
        return [mode for mode in wanted if mode in modes_of(entry.format)]
    return judged_modes(entry.recipe) if judged and entry.format == "tflite" else modes_of(entry.format)


def left_out(entries: Sequence[FileEntry]) -> str | None:
    """A line for the screen where there are files that nothing here runs."""
    reasons = {form: reason for form in {entry.format for entry in entries} if (reason := missing_for(form))}
    names = [entry.file for entry in entries if entry.format in reasons]
    return f"left out {', '.join(names)}: {next(iter(reasons.values()))}" if names else None


def judged_modes(recipe: str) -> tuple[str, ...]:
    """Where a file is judged: on the CPU path of phones; the fp16 file also as phones with fp16 arithmetic run it."""
    return ("xnnpack", FORCED_FP16) if recipe == "fp16" else ("xnnpack",)


def write_report(seen: Seen, folder: Path) -> Path:
    """The section of report.html, parity.json and parity.xml; returns the page."""
    photos, manifest = seen.photos, seen.build.manifest
    data = {
        "name": photos.name,
        "images": len(photos),
        "patients": len(set(photos.patients)),
        "synthetic": photos.synthetic,
        "note": "; ".join(photos.notes),
    }
    entries = [
        Entry(
            a.entry.file,
            a.entry.sha256,
            a.entry.bytes,
            a.entry.format,
            a.entry.recipe,
            a.runtime,
            a.found,
        )
        for a in seen.answers
    ]
    if not entries:
        raise InputError(f"{seen.build.folder} holds no file that can be run here; `convert/to_tflite.py` writes some")
    report = build_report(
        manifest.model, manifest.checkpoint_sha256, data, entries, seen.observations,
        [a.probabilities for a in seen.answers], seen.build.schemes(),
        untrained=bool(seen.build.checkpoint.untrained),
    )  # fmt: skip
    thumbnails = dict(zip(seen.observations.image_ids, seen.images, strict=True))
    return write(report, folder, thumbnails)[-1]
