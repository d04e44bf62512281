"""Run the files of a build folder on unseen photographs and judge what they answer."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from dermedge.console import screen, third_party_noise_into
from edge import artifact
from edge.checkpoint import UNTRAINED, Checkpoint, load, shipped
from edge.data.selection import judging_set
from edge.data.squares import load_squares
from edge.data.table import PhotoSet
from edge.errors import InputError, at_least_one
from edge.metrics.gates import FileParity, Verdict, judge
from edge.metrics.observations import Observations
from edge.preprocess import check_version
from edge.progress import busy, track
from edge.questions.observe import observations_of
from edge.questions.parity.report import Entry, build_report, write
from edge.runtimes import coreai
from edge.runtimes.coreml import classifier as coreml
from edge.runtimes.litert import MODES, LiteRT
from edge.runtimes.reference import Reference
from edge.scheme import COREML_SUFFIX, SUFFIX, Scheme
from edge.scheme import load as load_scheme

if TYPE_CHECKING:
    from rich.table import Table

LOG = "runtime.log"
# What an app gets on ARMv8.2 only if it asks for it; without that phones compute these files in float32 on the CPU.
FORCED_FP16 = "xnnpack-fp16"


@dataclass(frozen=True)
class Build:
    """A build folder whose files are the ones its manifest describes, and the checkpoint they came from."""

    folder: Path
    manifest: dict
    checkpoint: Checkpoint

    @property
    def log(self) -> Path:
        """What third parties say while files run: in the folder, or where temporary files are if that is read-only."""
        folder = self.folder if os.access(self.folder, os.W_OK) else Path(tempfile.gettempdir())
        return folder / LOG


@dataclass(frozen=True)
class Answers:
    """What one file gave on one runtime."""

    entry: dict  # of the manifest
    runtime: str
    probabilities: np.ndarray  # (N, K)
    milliseconds: float  # median of one image on this host
    found: FileParity

    @property
    def binding(self) -> bool:
        """Whether a failed gate fails the command: not for recipes that only report, nor for forced fp16."""
        return self.runtime != FORCED_FP16 and bool((self.entry["parity"] or {"binding": True})["binding"])


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
            f"{a.entry['file']} on {a.runtime}"
            for a in self.answers
            if a.found.verdict == "fail" and (strict or a.binding)
        ]

    def table(self) -> Table:
        from rich.table import Table

        kind = "synthetic images" if self.photos.synthetic else "photographs of unseen patients"
        table = Table(title=f"{self.build.manifest['model']}: {len(self.photos)} {kind} ({self.photos.name})")
        table.add_column("file")
        table.add_column("runtime")
        for name in ("host ms", "SQNR dB", "5th pct.", "agreement", "largest |Δp|"):
            table.add_column(name, justify="right")
        table.add_column("verdict")
        for answer in self.answers:
            s = answer.found.statistics
            table.add_row(
                answer.entry["file"],
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


def open_build(folder: Path, *, checkpoint: Path | None) -> Build:
    """Check the folder against its manifest and find the checkpoint; InputError if they do not belong together."""
    manifest = artifact.read(folder)
    check_version(manifest["preprocess"]["version"], where=str(folder))
    artifact.verify(folder, manifest)
    source = load(checkpoint or random_weights(folder, manifest) or shipped(manifest["model"]))
    if source.sha256 != manifest["checkpoint_sha256"]:
        raise InputError(
            f"{folder} was converted from another checkpoint than {checkpoint or 'the shipped one'}; "
            "give the right one with --checkpoint, or convert again"
        )
    return Build(folder, manifest, source)


def random_weights(folder: Path, manifest: dict) -> Path | None:
    """The checkpoint that `convert … --untrained` left beside its files; None of trained ones."""
    drawn = manifest["training"].get(UNTRAINED)
    return folder / f"{UNTRAINED}-{drawn['seed']}.safetensors" if drawn else None


def observe_files(
    build: Build,
    *,
    data: Path | None,
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
    log = build.log
    with busy("running the float32 model"), third_party_noise_into(log):
        observations = observations_of(photos, *Reference(build.checkpoint).run_all(images))
    answers = []
    left_out = None if modes else coreai_missing(build.manifest["files"])
    if left_out:
        screen().print(left_out, markup=False, soft_wrap=True)
    for entry in build.manifest["files"]:
        for mode in () if left_out and entry["format"] == "aimodel" else modes_for(entry, modes, judged=judged):
            with third_party_noise_into(log):
                runtime = open_file(build.folder / entry["file"], entry["format"], mode, threads)
                rows, masks, times = [], [], []
                for image in track(images, f"{entry['recipe']} on {mode}", len(images)):
                    begun = time.perf_counter()
                    one = runtime.run_all(image[None])
                    times.append(1e3 * (time.perf_counter() - begun))
                    rows.append(one.probabilities[0])
                    masks += [] if one.masks is None else [one.masks[0]]
                runtime.close()
            probabilities = np.array(rows)
            found = judge(
                entry["recipe"],
                observations,
                probabilities,
                masks=np.array(masks) if masks else None,
                mac_share_int8=artifact.share_8bit(entry.get("audit")),
                untrained=bool(build.checkpoint.untrained),
            )
            answers.append(Answers(entry, mode, probabilities, float(np.median(times)), found))
    return Seen(build, photos, images, observations, tuple(answers))


def modes_for(entry: dict, wanted: Sequence[str] | None, *, judged: bool) -> Sequence[str]:
    """How a file is run: every way there is to look, the phone's own where it is judged, or the `wanted` ones."""
    if entry["format"] == "mlpackage":
        known = coreml.modes()
        return [mode for mode in wanted if mode in known] if wanted else known
    if entry["format"] == "aimodel":
        return (coreai.MODE,) if not wanted or coreai.MODE in wanted else ()
    if wanted:
        return [mode for mode in wanted if mode in MODES]
    return judged_modes(entry["recipe"]) if judged else MODES


def coreai_missing(entries: Sequence[dict]) -> str | None:
    """A line for the screen where there are .aimodel files and nothing that runs them: Core AI is an extra."""
    names = [entry["file"] for entry in entries if entry["format"] == "aimodel"]
    reason = coreai.missing() if names else None
    return f"left out {', '.join(names)}: {reason}" if reason else None


def open_file(path: Path, form: str, mode: str, threads: int) -> LiteRT | coreml.CoreML | coreai.CoreAI:
    if form == "aimodel":
        return coreai.CoreAI(path)
    if form == "mlpackage":
        return coreml.CoreML(path, mode=mode, threads=threads)
    return LiteRT(path, mode=mode, threads=threads)


def judged_modes(recipe: str) -> tuple[str, ...]:
    """Where a file is judged: on the CPU path of phones; the fp16 file also as phones with fp16 arithmetic run it."""
    return ("xnnpack", FORCED_FP16) if recipe == "fp16" else ("xnnpack",)


def schemes_of(build: Build) -> dict[str, Scheme]:
    """Format -> the quantisation scheme beside its files, if it is the one that they were made with."""
    found = {}
    for form, suffix in (("tflite", SUFFIX), ("mlpackage", COREML_SUFFIX)):
        path = build.folder / f"{build.manifest['model']}-int8{suffix}"
        scheme = load_scheme(path) if path.is_file() else None
        if scheme is not None and scheme.checkpoint_sha256 == build.checkpoint.sha256:
            found[form] = scheme
    return found


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
            a.entry["file"],
            a.entry["sha256"],
            a.entry["bytes"],
            a.entry["format"],
            a.entry["recipe"],
            a.runtime,
            a.found,
        )
        for a in seen.answers
    ]
    if not entries:
        raise InputError(f"{seen.build.folder} holds no file that can be run here; `convert/to_tflite.py` writes some")
    report = build_report(
        manifest["model"], manifest["checkpoint_sha256"], data, entries, seen.observations,
        [a.probabilities for a in seen.answers], schemes_of(seen.build),
        untrained=bool(seen.build.checkpoint.untrained),
    )  # fmt: skip
    thumbnails = dict(zip(seen.observations.image_ids, seen.images, strict=True))
    return write(report, folder, thumbnails)[-1]
