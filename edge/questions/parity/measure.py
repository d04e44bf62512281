"""Run the files of a build on unseen photographs and judge what they answer."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from edge.build import Build
from edge.data.selection import Photographs, judging_set
from edge.data.squares import load_squares
from edge.errors import InputError, at_least_one
from edge.manifest import FileEntry, Run
from edge.metrics.gates import Verdict, judge, overall
from edge.metrics.observations import Observations
from edge.progress import Listener, busy, listening
from edge.questions.observe import observations_of
from edge.questions.parity import tables
from edge.questions.parity.report import Entry, build_report
from edge.questions.parity.section import shown_images
from edge.questions.parity.slower import SLOWER, times_fp32
from edge.report.header import data_block
from edge.report.junit import junit
from edge.report.pictures import jpeg
from edge.report.question import QuestionReport
from edge.runtimes import Outputs
from edge.runtimes.litert import PHONES, on_phone
from edge.runtimes.open import missing_for, modes_of, open_file
from edge.runtimes.phone import Refused, choice_of, run_side_by_side
from edge.runtimes.reference import Reference
from edge.runtimes.timing import timed_run

if TYPE_CHECKING:
    from rich.table import Table

log = logging.getLogger("dermedge")

# What an app gets on ARMv8.2 only if it asks for it; without that phones compute these files in float32 on the CPU.
FORCED_FP16 = "xnnpack-fp16"


@dataclass(frozen=True, repr=False)
class ParityReport(QuestionReport):
    """Whether each file of a build gives the answers of its float model."""

    name: ClassVar[str] = "parity"

    @property
    def verdict(self) -> str:
        """The worst of the files whose gate binds (of all where none does): pass, fail, inconclusive or reported."""
        binding = [file["verdict"] for file in self.report["files"] if file.get("binding")]
        return overall(Verdict(verdict) for verdict in binding).value if binding else self.report["verdict"]

    def failing(self, *, strict: bool = False) -> list[str]:
        """The files whose binding gate failed, with the runtime; `strict` makes every gate bind."""
        return [
            f"{file['file']} on {file['runtime']}"
            for file in self.report["files"]
            if file["verdict"] == "fail" and (strict or file["binding"])
        ]

    def tables(self) -> list[Table | str]:
        return [tables.table(self.report)]

    def other_files(self) -> dict[str, str]:
        return {"parity.xml": junit(self.report)}


def measure(
    build: Build,
    photos: Photographs,
    *,
    images: int | None = None,
    modes: Sequence[str] | None = None,
    every_way: bool = False,
    threads: int = 1,
    skip_unreadable: bool = False,
    on_progress: Listener | None = None,
) -> ParityReport:
    """Run every file of the build on photographs of patients that its checkpoint never saw, and judge each.

    `images`: at most so many photographs. `modes`: how .tflite files run; without it as phones run them, or with
    `every_way` in every way that there is here. InputError if the photographs cannot be used or no file can be run.
    """
    at_least_one(images=images, threads=threads)
    check_modes(build, modes)
    with listening(on_progress):
        judged_on = judging_set(build.checkpoint, photos, limit=images, skip_missing=skip_unreadable)
        side = build.checkpoint.preprocess.side
        judged_on, squares = load_squares(judged_on, side, skip_unreadable=skip_unreadable)
        with busy("running the float32 model"):
            observations = observations_of(judged_on, *Reference(build.checkpoint).run(squares))
        entries, answers = [], []
        for entry, mode in runs(build, modes, every_way=every_way):
            try:
                outputs, milliseconds = answered(build, entry, mode, squares, threads)
                slower = times_fp32(build, entry, mode, squares[0]) if on_phone(mode) else None
            except Refused as refusal:  # an old library says so where it would be wrong
                log.info("left out: %s", refusal)
                continue
            if slower is not None and slower >= SLOWER:
                log.info("%s on %s takes %.1f times the time of the fp32 file", entry.file, mode, slower)
            result = judged(build, entry, mode, observations, outputs, milliseconds)
            entries.append(result._replace(times_fp32=slower))
            answers.append(outputs.probabilities)
    if not entries:
        raise InputError(f"{build.folder} holds no file that can be run here; `convert/to_tflite.py` writes some")
    report = build_report(
        build.manifest.model,
        build.manifest.checkpoint_sha256,
        data_block(judged_on, build.checkpoint),
        entries,
        observations,
        answers,
        build.schemes(),
        untrained=bool(build.checkpoint.untrained),
    )
    shown = shown_images(report)
    pictures = zip(observations.image_ids, squares, strict=True)
    return ParityReport(report, {name: jpeg(square, name=name) for name, square in pictures if name in shown})


def seen_right(report: Mapping[str, Any]) -> list[tuple[str, Run]]:
    """Of a parity report: the files that a phone's own library answered without failing their gate, and where."""
    return [(row["file"], run_of(row)) for row in report["files"] if right_on_phone(row)]


def seen_slow(report: Mapping[str, Any]) -> list[tuple[str, Run]]:
    """Of a parity report: the files that are right in a phone's own library, but slower there than the fp32 file."""
    rows = [row for row in report["files"] if right_on_phone(row) and (row["times_fp32"] or 0) >= SLOWER]
    return [(row["file"], run_of(row)) for row in rows]


def right_on_phone(row: Mapping[str, Any]) -> bool:
    return on_phone(row["runtime"]) and row["verdict"] != Verdict.FAIL


def run_of(row: Mapping[str, Any]) -> Run:
    choice = choice_of(row["runtime"])
    return Run(choice.library, choice.version, choice.processor)


def check_modes(build: Build, modes: Sequence[str] | None) -> None:
    """InputError for a way of running that no file of the build has here."""
    formats = [form for form in dict.fromkeys(entry.format for entry in build.manifest.files) if not missing_for(form)]
    known = list(dict.fromkeys(mode for form in formats for mode in modes_of(form)))
    phones = PHONES if "tflite" in formats else ()
    strange = [mode for mode in modes or () if mode not in known and not (phones and on_phone(mode))]
    if strange and known:
        ways = ", ".join([*known, *phones])
        raise InputError(f"no mode {strange[0]!r}; `modes` of the files in {build.folder} are {ways}")


def runs(build: Build, modes: Sequence[str] | None, *, every_way: bool) -> list[tuple[FileEntry, str]]:
    """The files that can be run here, each with the ways to run it. Those left out are named in the log."""
    entries = build.manifest.files
    remark = None if modes else left_out(entries)
    if remark:
        log.info(remark)
    return [
        (entry, mode)
        for entry in entries
        if not (remark and missing_for(entry.format))
        for mode in modes_for(entry, modes, every_way=every_way)
    ]


def modes_for(entry: FileEntry, wanted: Sequence[str] | None, *, every_way: bool) -> Sequence[str]:
    """How a file is run: as phones run it, in every way that there is, or in the `wanted` ones."""
    if wanted:
        return [mode for mode in wanted if mode in modes_of(entry.format) or runs_on_phone(entry, mode)]
    return modes_of(entry.format) if every_way or entry.format != "tflite" else phone_modes(entry.recipe)


def runs_on_phone(entry: FileEntry, mode: str) -> bool:
    return entry.format == "tflite" and on_phone(mode)


def phone_modes(recipe: str) -> tuple[str, ...]:
    """Where a .tflite is judged: on phones' CPU path; the fp16 file also as phones with fp16 arithmetic run it."""
    return ("xnnpack", FORCED_FP16) if recipe == "fp16" else ("xnnpack",)


def left_out(entries: Sequence[FileEntry]) -> str | None:
    """Which files cannot be run here and why, in one line; None where all can."""
    reasons = {entry.format: reason for entry in entries if (reason := missing_for(entry.format))}
    names = [entry.file for entry in entries if entry.format in reasons]
    return f"left out {', '.join(names)}: {next(iter(reasons.values()))}" if names else None


def answered(
    build: Build, entry: FileEntry, mode: str, squares: np.ndarray, threads: int
) -> tuple[Outputs, float | None]:
    """What a file answers, and the median milliseconds of one image; None in a phone's library, which is emulated."""
    task = f"{entry.recipe} on {mode}"
    if on_phone(mode):
        return run_side_by_side(
            partial(open_file, build.path(entry), entry.format, mode=mode), squares, task=task
        ), None
    runtime = open_file(build.path(entry), entry.format, mode=mode, threads=threads)
    try:
        return timed_run(runtime, squares, task=task)
    finally:
        runtime.close()


def judged(
    build: Build, entry: FileEntry, mode: str, observations: Observations, outputs: Outputs, milliseconds: float | None
) -> Entry:
    """The answers against the gate of the file's recipe. It does not bind where fp16 arithmetic was forced."""
    parity = judge(
        entry.recipe,
        observations,
        outputs.probabilities,
        masks=outputs.masks,
        mac_share_int8=entry.audit.share_8bit if entry.audit else None,
        untrained=bool(build.checkpoint.untrained),
    )
    binding = mode != FORCED_FP16 and entry.binding
    return Entry(entry.file, entry.sha256, entry.bytes, entry.format, entry.recipe, mode, parity, binding, milliseconds)
