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
from edge.data.views import load_views, usual_views
from edge.errors import InputError, at_least_one, did_you_mean
from edge.manifest import FileEntry, Run
from edge.metrics.gates import Verdict, judge, overall
from edge.metrics.observations import Observations
from edge.progress import Listener, busy, listening
from edge.questions.answered import CASES, NONE, vectors_of
from edge.questions.observe import observations_of
from edge.questions.parity import beside, tables
from edge.questions.parity.explained import explained
from edge.questions.parity.explained import lines as explained_lines
from edge.questions.parity.report import Entry, build_report
from edge.questions.parity.runtimes import HERE, apart, differing, lines
from edge.questions.parity.section import shown_images
from edge.questions.parity.slower import SLOWER, times_fp32
from edge.report.header import data_block
from edge.report.junit import junit
from edge.report.pictures import jpeg
from edge.report.question import QuestionReport
from edge.report.words import file_of
from edge.runtimes import Outputs, Refused
from edge.runtimes.litert import PHONES, on_phone
from edge.runtimes.open import missing_for, modes_of, open_file
from edge.runtimes.phone import choice_of, environment_of, run_side_by_side
from edge.runtimes.reference import TOGETHER, Reference
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
        if differing(self.report) or beside.differing(self.report):
            return Verdict.FAIL.value
        binding = [file["verdict"] for file in self.report["files"] if file.get("binding")]
        return overall(Verdict(verdict) for verdict in binding).value if binding else self.report["verdict"]

    def failing(self, *, strict: bool = False) -> list[str]:
        """The files whose binding gate failed, with the runtime; `strict` makes every gate bind."""
        failed = [
            f"{file_of(file)} on {file['runtime']}"
            for file in self.report["files"]
            if file["verdict"] == "fail" and (strict or file["binding"])
        ]
        others = [f"{file} on {runtime}" for file, runtime in (*differing(self.report), *beside.differing(self.report))]
        return list(dict.fromkeys([*failed, *others]))

    def tables(self) -> list[Table | str]:
        said = [*lines(self.report), *explained_lines(self.report), *beside.lines(self.report.get("phones"))]
        return [tables.table(self.report), *tables.reasons(self.report), *map(tables.escaped, said)]

    def other_files(self) -> dict[str, str]:
        return {"parity.xml": junit(self.report)}


def measure(
    build: Build,
    photos: Photographs,
    *,
    images: int | None = None,
    views: int | None = None,
    modes: Sequence[str] | None = None,
    every_way: bool = False,
    phone_seconds: float = 0.0,
    threads: int = 1,
    skip_unreadable: bool = False,
    on_progress: Listener | None = None,
) -> ParityReport:
    """Run every file of the build on photographs of patients that its checkpoint never saw, and judge each.

    `images`: at most so many photographs, each in so many `views` (None: `edge.data.views.usual_views`; of random
    weights, whose classes mean nothing, 1). A phone's own library, which is slow, sees the photographs alone. `modes`:
    how .tflite files run; without it as phones run them, or with `every_way` in every way that there is here.
    `phone_seconds`: how long phones' libraries that `modes` does not name are asked about the first photograph.
    InputError if the photographs cannot be used or no file can be run.
    """
    at_least_one(images=images, views=views, threads=threads)
    check_modes(build, modes)
    with listening(on_progress):
        judged_on = judging_set(build.checkpoint, photos, limit=images, skip_missing=skip_unreadable)
        side = build.checkpoint.preprocess.side
        views = views or (1 if build.checkpoint.untrained else usual_views(len(judged_on)))
        judged_on, drawn = load_views(judged_on, side, views, skip_unreadable=skip_unreadable)
        squares = drawn.reshape(-1, side, side, 3)
        with busy("running the float32 model"):
            reference = Reference(build.checkpoint)
            observations = observations_of(judged_on, *reference.run(squares, together=TOGETHER), views=views)
        planned = runs(build, modes, every_way=every_way)
        vectors: dict[str, np.ndarray] = {}
        if any(entry.answers for entry, _ in planned):
            vectors = vectors_of(judged_on, build.checkpoint.questions, views=views)
        with busy("running the float32 model with answers"):
            told = {
                case: observations_of(judged_on, *reference.run(squares, rows, together=TOGETHER), views=views)
                for case, rows in vectors.items()
            }
        entries, answers, refusals = [], [], []
        refused: set[tuple[str, str]] = set()  # file and mode
        for entry, mode, case in by_case(planned):
            if (entry.file, mode) in refused:
                continue
            try:
                judged_images = len(judged_on) if on_phone(mode) else len(squares)  # emulated: without further views
                rows = None if case is None else vectors[case][:judged_images]
                outputs, milliseconds = answered(build, entry, mode, squares[:judged_images], threads, rows)
                timed = on_phone(mode) and case in (None, NONE)
                slower = times_fp32(build, entry, mode, squares[0]) if timed else None
            except Refused as refusal:  # an old library says so where it would be wrong, plain kernels lack operators
                log.info("left out: %s", refusal)
                refusals.append(str(refusal))
                refused.add((entry.file, mode))
                continue
            if slower is not None and slower >= SLOWER:
                log.info("%s on %s takes %.1f times the time of the fp32 file", entry.file, mode, slower)
            observed = observations if case is None else told[case]
            if on_phone(mode):
                observed = observed.plain()
            result = judged(build, entry, mode, observed, outputs, milliseconds)
            entries.append(result._replace(times_fp32=slower, answered=case))
            answers.append(outputs.probabilities)
    if not entries:
        why = f": {'; '.join(refusals)}" if refusals else "; `convert/to_tflite.py` writes some"
        raise InputError(f"{build.folder} holds no file that can be run here{why}")
    report = build_report(
        build.manifest.model,
        build.manifest.checkpoint_sha256,
        data_block(judged_on, build.checkpoint, views=views),
        entries,
        observations,
        answers,
        build.schemes(),
        untrained=bool(build.checkpoint.untrained),
        answered=told,
    )
    ran = dict.fromkeys(entry.runtime for entry in entries if on_phone(entry.runtime))
    report["environments"] = {mode: environment for mode in ran if (environment := environment_of(mode))}
    libraries = apart(build, entries, answers, squares)
    if libraries:
        report["runtimes"] = libraries
    if not every_way:
        against_torch = explained(build, entries, answers, observations.reference, squares)
        for file, row in zip(report["files"], against_torch, strict=True):
            file["explained"] = row
    if phone_seconds > 0:
        report["phones"] = asked_beside(build, entries, answers, squares, phone_seconds)
    shown = shown_images(report)
    pictures = zip(observations.image_ids, squares, strict=True)
    return ParityReport(report, {name: jpeg(square, name=name) for name, square in pictures if name in shown})


def asked_beside(
    build: Build, entries: Sequence[Entry], answers: Sequence[np.ndarray], squares: np.ndarray, seconds: float
) -> dict[str, Any] | None:
    """What phones' libraries that nobody asked for say of the files that ran on XNNPACK here, as JSON values; None
    where some were asked for, or no file was."""
    if any(on_phone(entry.runtime) for entry in entries):
        return None
    here = {
        entry.file: np.asarray(values)
        for entry, values in zip(entries, answers, strict=True)
        if entry.format == "tflite" and entry.runtime == HERE and not entry.answered
    }
    return beside.look(build.folder, here, squares, seconds=seconds).document() if here else None


def by_case(
    planned: Sequence[tuple[FileEntry, str]],
) -> list[tuple[FileEntry, str, str | None]]:
    """Each file and mode; of a file that takes answers once with none, some and all of them."""
    return [(entry, mode, case) for entry, mode in planned for case in (CASES if entry.answers else (None,))]


def seen_right(report: Mapping[str, Any]) -> list[tuple[str, Run]]:
    """Of a parity report: the files that a phone's own library answered without failing their gate, and where.

    Of a file that takes answers with none, some and all of them.
    """
    return [seen for seen, right in seen_on_phones(report).items() if right]


def seen_wrong(report: Mapping[str, Any]) -> list[tuple[str, Run]]:
    """Of a parity report: the files that failed their gate in a phone's own library, or answered otherwise there."""
    return [seen for seen, right in seen_on_phones(report).items() if not right]


def seen_on_phones(report: Mapping[str, Any]) -> dict[tuple[str, Run], bool]:
    """File and phone's library -> whether the file was right there."""
    rows = [row for row in report["files"] if on_phone(row["runtime"])]
    wrong = {(row["file"], row["runtime"]) for row in rows if not right_on_phone(row)} | set(differing(report))
    return {(row["file"], run_of(row)): (row["file"], row["runtime"]) not in wrong for row in rows}


def seen_slow(report: Mapping[str, Any]) -> list[tuple[str, Run]]:
    """Of a parity report: the files that are right in a phone's own library, but slower there than the fp32 file."""
    right = seen_right(report)
    rows = [row for row in report["files"] if on_phone(row["runtime"]) and (row["times_fp32"] or 0) >= SLOWER]
    return [(row["file"], run_of(row)) for row in rows if (row["file"], run_of(row)) in right]


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
        meant = did_you_mean(strange[0].partition(":")[0], [*known, *phones])
        raise InputError(f"no mode {strange[0]!r}{meant}; `modes` of the files in {build.folder} are {ways}")


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
    build: Build, entry: FileEntry, mode: str, squares: np.ndarray, threads: int, rows: np.ndarray | None = None
) -> tuple[Outputs, float | None]:
    """What a file says, and the median milliseconds of one image; None in a phone's library, which is emulated.

    `rows`: its second input, float32 (N, Q).
    """
    task = f"{entry.recipe} on {mode}"
    if on_phone(mode):
        return run_side_by_side(
            partial(open_file, build.path(entry), entry.format, mode=mode), squares, task=task, answers=rows
        ), None
    runtime = open_file(build.path(entry), entry.format, mode=mode, threads=threads)
    try:
        return timed_run(runtime, squares, task=task, answers=rows)
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
