"""What a device answered in an app's self-test, read as hostile, and held against the build that the file is from.

`device-report.json` is an object of two texts: `body`, the report as JSON (device_report.schema.json), and `sha256`,
the digest of that text. The digest shows that a report was changed by accident or in passing. It is no signature:
whoever makes up a report can make up its digest too.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edge.bundles.self_test import answers_wrongly, tests_of
from edge.errors import InputError
from edge.files import read_json, without_doubles
from edge.manifest import FileEntry, Manifest, Run, first_fault

SCHEMA_FILE = Path(__file__).with_name("device_report.schema.json")
EXPECTED = "a device report, which an app's self-test saves"
MAX_BYTES = 4 * 2**20
# library of a report -> the format of the files that it runs
RUNS = {"litertjs": "tflite", "tflite": "tflite", "litert": "tflite", "coreml": "mlpackage"}
LONGEST = 100  # letters of a run's words in a manifest


@dataclass(frozen=True)
class ImageAnswer:
    """What a device said of one self-test image; probabilities in the order of the manifest's labels."""

    image: str
    answers: bool  # whether questions were answered with it
    expected: tuple[float, ...]  # of this file, by the manifest
    obtained: tuple[float, ...]
    largest_delta_p: float  # 0..1
    wrong: bool


@dataclass(frozen=True)
class Certified:
    """One device report, judged."""

    entry: FileEntry
    run: Run  # the device as a manifest notes it
    answers: tuple[ImageAnswer, ...]
    model: str  # of the device
    system: str
    accelerator: str
    load_ms: float
    first_ms: float
    median_ms: float  # of the runs after the first, as is p90
    p90_ms: float
    runs: int
    memory_bytes: int | None  # None: the system does not say

    @property
    def images(self) -> int:
        return len(self.answers)

    @property
    def largest_delta_p(self) -> float:
        """Against what the manifest expects of this file, 0..1."""
        return max(answer.largest_delta_p for answer in self.answers)

    @property
    def wrong(self) -> tuple[str, ...]:
        """The self-test images that were answered wrongly."""
        return tuple(answer.image for answer in self.answers if answer.wrong)

    @property
    def verdict(self) -> str:
        return "fail" if self.wrong else "pass"


def read_device_report(path: str | Path) -> dict[str, Any]:
    """The body of a report; InputError if it is none, was changed, or does not fit the schema."""
    return body_of(read_sealed(path), where=str(path))


def read_sealed(path: str | Path) -> dict[str, Any]:
    """A report as the app saved it; InputError where it is missing, too large or no JSON object."""
    path = Path(path)
    if path.is_file() and path.stat().st_size > MAX_BYTES:
        raise InputError(f"{path} is larger than {MAX_BYTES} bytes; expected {EXPECTED}")
    return read_json(path, expected=EXPECTED)


def body_of(sealed: Mapping[str, Any], *, where: str) -> dict[str, Any]:
    """What is sealed in a report; InputError if nothing is, if it was changed, or does not fit the schema."""
    body, digest = sealed.get("body"), sealed.get("sha256")
    if sealed.keys() != {"body", "sha256"} or not isinstance(body, str) or not isinstance(digest, str):
        raise InputError(f"{where} has not the two texts `body` and `sha256`; expected {EXPECTED}")
    if hashlib.sha256(body.encode("utf-8", "surrogatepass")).hexdigest() != digest:
        raise InputError(
            f"{where} was changed after the app saved it (its SHA-256 differs); save it again on the device"
        )
    try:
        report = json.loads(body, object_pairs_hook=without_doubles)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{where}: the body is not JSON ({error}); expected {EXPECTED}") from error
    fault = first_fault(report, json.loads(SCHEMA_FILE.read_text(encoding="utf-8")))
    if fault is not None:
        raise InputError(f"{where}: {'/'.join(fault[0]) or 'the whole report'}: {fault[1]}; expected {EXPECTED}")
    return report


def certified(report: Mapping[str, Any], manifest: Manifest, *, where: str) -> Certified:
    """A report held against the manifest; InputError where it is of another file, library or images.

    Judged are the probabilities that the report states; it has no verdict of its own.
    """
    name, digest = report["file"]["name"], report["file"]["sha256"]
    entry = next((entry for entry in manifest.files if entry.sha256 == digest), None)
    if entry is None:
        raise InputError(f"{where} is of a file {name!r} with SHA-256 {digest[:12]}…, which the manifest does not have")
    if name != entry.file:
        raise InputError(f"{where} is of a file {name!r}; the manifest has that SHA-256 under the name {entry.file}")
    library = report["runtime"]["library"]
    if RUNS[library] != entry.format:
        raise InputError(
            f"{where} says that {library} ran {entry.file}; it runs .{RUNS[library]} files, and this is no report of it"
        )
    tests = {(test.rgb_sha256, test.answers): test for test in tests_of(manifest, entry)}
    answered: dict[tuple[str, tuple[float, ...] | None], np.ndarray] = {}
    for image in report["images"]:
        told = image["answers"]
        answered[image["rgb_sha256"], None if told is None else tuple(told)] = np.array(image["probabilities"])
    if answered.keys() != tests.keys() or len(answered) != len(report["images"]):
        raise InputError(
            f"{where} has {len(report['images'])} images, which are not the {len(tests)} of the self-test of "
            f"{entry.file}"
        )
    classes = len(manifest.labels)
    judged = []
    for key, answer in answered.items():
        test = tests[key]
        if len(answer) != classes:
            raise InputError(
                f"{where}: {test.image} has {len(answer)} probabilities, {entry.file} has {classes} classes"
            )
        expected = tuple(test.expected[entry.file])
        largest = float(np.abs(answer - np.array(expected)).max())
        wrong = answers_wrongly(answer, test.reference)
        obtained = tuple(map(float, answer))
        judged.append(ImageAnswer(test.image, test.answers is not None, expected, obtained, largest, wrong))
    device, runtime, times = report["device"], report["runtime"], report["milliseconds"]
    processor = f"{device['model']}, {runtime['accelerator']}, {device['system']}"[:LONGEST]
    return Certified(
        entry, Run(f"device-{runtime['library']}", runtime["version"], processor), tuple(judged), device["model"],
        device["system"], runtime["accelerator"], times["load"], times["first"], times["median"], times["p90"],
        times["runs"], report["memory_bytes"] or None,
    )  # fmt: skip
