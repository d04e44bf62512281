"""Phones' own libraries against XNNPACK here, file by file: no further apart than rounding explains?"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from edge.build import Build
from edge.errors import InputError
from edge.questions.matrix.against import Against
from edge.questions.matrix.compare import DIFFERS
from edge.questions.matrix.tables import operator, small
from edge.report.strict import plain
from edge.runtimes.foreign.tflite import read
from edge.runtimes.litert import on_phone

if TYPE_CHECKING:
    from edge.questions.parity.report import Entry

log = logging.getLogger("dermedge")

HERE = "xnnpack"
GIVES = "probabilities"  # of every file that dermedge converts
PICTURES = 8  # the limit of each takes some twenty runs


def apart(
    build: Build, entries: Sequence[Entry], answers: Sequence[np.ndarray], squares: np.ndarray
) -> list[dict[str, Any]]:
    """A row for each file and phone's library that was asked beside XNNPACK here, as JSON values.

    `answers`: probabilities (n, K) of each entry, of the first n of `squares`, uint8 (N, S, S, 3).
    """
    pairs = [pair for pair in zip(entries, answers, strict=True) if pair[0].format == "tflite" and not pair[0].answered]
    here = {entry.file: values for entry, values in pairs if entry.runtime == HERE}
    against: dict[str, Against | None] = {}
    rows = []
    for entry, values in pairs:
        if not on_phone(entry.runtime) or entry.file not in here:
            continue
        count = min(PICTURES, len(values), len(squares))
        if entry.file not in against:
            against[entry.file] = opened(build, entry.file, squares[:count], here[entry.file])
        held = against[entry.file]
        if held is None:
            continue
        row = held.row(entry.runtime, np.asarray(values, np.float64)[:count])
        rows.append({"file": entry.file, "runtime": entry.runtime, "images": count, **row})
    return plain(rows)


def opened(build: Build, file: str, squares: np.ndarray, here: np.ndarray) -> Against | None:
    """None, with a word in the log, of a file that does not say what a pixel is: no limit can be derived."""
    try:
        return Against(read(build.folder / file), squares, np.asarray(here, np.float64)[: len(squares)], GIVES)
    except InputError as error:
        log.info("not held against this machine's answers: %s", error)
        return None


def lines(report: Mapping[str, Any]) -> Iterator[str]:
    """What a terminal and the page say of these rows, one line each."""
    for row in report.get("runtimes", ()):
        name = f"{row['file']} on {row['runtime']} against {HERE} here, {row['images']} images"
        if row["state"] == DIFFERS:
            yield f"{name}: another answer. {operator(row.get('operators') or {})}"
        elif row["limit"] is not None:
            yield f"{name}: largest |Δp| {small(row['largest'])}; rounding explains up to {small(row['limit'])}"
        else:
            yield f"{name}: largest |Δp| {small(row['largest'])}; no limit: {row['why']}"


def differing(report: Mapping[str, Any]) -> list[tuple[str, str]]:
    """File and runtime of the rows that differ."""
    return [(row["file"], row["runtime"]) for row in report.get("runtimes", ()) if row["state"] == DIFFERS]
