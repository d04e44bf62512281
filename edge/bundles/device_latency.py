"""Times that devices reported in apps' self-tests, as figures that latencies are foretold from (edge/latency.py)."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from edge import artifact
from edge.bundles.device_report import Certified, certified, read_device_report
from edge.checkpoint import FOREIGN
from edge.errors import InputError
from edge.latency import Figure, arithmetic_of
from edge.manifest import Manifest

log = logging.getLogger("dermedge")


def reported(reports: Sequence[Path], folders: Sequence[Path]) -> list[Figure]:
    """The figures of device reports, each judged as `dermedge parity --device-report` judges it.

    `folders`: builds or bundles with the manifests of the files that ran. InputError for a report that was changed, or
    is of no file of these folders, of a format other than .tflite, of a device that answered wrongly, or without a
    time. One of a file whose arithmetic is a mixture is left out with a warning, as such files are not foretold.
    """
    manifests = [artifact.read(folder) for folder in folders]
    figures = []
    for path in dict.fromkeys(reports):
        body = read_device_report(path)
        digest = body["file"]["sha256"]
        manifest = next((m for m in manifests if any(entry.sha256 == digest for entry in m.files)), None)
        if manifest is None:
            places = ", ".join(map(str, folders)) or "no folder"
            raise InputError(
                f"{path} is of a file {body['file']['name']!r} with SHA-256 {digest[:12]}…, which no manifest of "
                f"{places} has; name the folder of its build too"
            )
        figure = figure_of(path, body, certified(body, manifest, where=str(path)), manifest)
        if figure is None:
            log.warning("%s is left out: its file computes partly in 8 bits, or measures ranges as it runs", path)
        else:
            figures.append(figure)
    return figures


def figure_of(path: Path, body: Mapping[str, Any], judged: Certified, manifest: Manifest) -> Figure | None:
    """One report as a figure; None where its file's arithmetic is a mixture."""
    entry = judged.entry
    if entry.format != "tflite":
        raise InputError(f"{path} is of {entry.file}; times are foretold of .tflite files, from .tflite files")
    if judged.wrong:
        raise InputError(
            f"{path}: the device answered {', '.join(judged.wrong)} wrongly, so that its time is that of another "
            "computation; `dermedge parity --device-report` shows it"
        )
    if judged.median_ms <= 0:
        raise InputError(f"{path} has a median of 0 ms; the clock of that app is too coarse for this file")
    if entry.audit is None or entry.audit.macs < 1:
        raise InputError(f"{path}: the manifest has no operators of {entry.file}; convert it again")
    arithmetic = arithmetic_of(entry.audit)
    if arithmetic is None:
        return None
    runtime = body["runtime"]
    return Figure(
        network=manifest.model if manifest.family == FOREIGN else manifest.family,
        model=entry.file,
        macs_million=entry.audit.macs / 1e6,
        parameters_million=manifest.parameters / 1e6,
        device=body["device"]["model"],
        processor=f"{runtime['accelerator']}, {runtime['library']} {runtime['version']}",
        threads=None,
        arithmetic=arithmetic,
        milliseconds=judged.median_ms,
        runtime=runtime["library"],
        source=f"device report {path}",
        published=None,
        read="",
        operators=frozenset(entry.audit.operators),
        sha256=entry.sha256,
    )
