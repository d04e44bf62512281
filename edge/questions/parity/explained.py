"""Is a file's answer further from PyTorch's than the roundings of its own weights and results explain?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from edge.build import Build
from edge.errors import InputError
from edge.questions.matrix.against import derived
from edge.questions.matrix.compare import DIFFERS, SAME, compared
from edge.questions.matrix.rounding import FLOAT32_UNIT
from edge.questions.matrix.tables import small
from edge.questions.parity.runtimes import GIVES, HERE
from edge.report.strict import plain
from edge.runtimes.foreign.tflite import read
from edge.runtimes.litert import on_phone

if TYPE_CHECKING:
    from edge.questions.parity.report import Entry

PICTURES = 2  # the limit of each takes a second of a processor, for each file


def explained(
    build: Build, entries: Sequence[Entry], answers: Sequence[np.ndarray], wanted: np.ndarray, squares: np.ndarray
) -> list[dict[str, Any] | None]:
    """A row for each entry, as JSON values; None of one that the limit is not for: of another format, with answers, in
    forced half precision, or not asked on this machine too.

    `answers`: probabilities (n, K) of each entry; `wanted`: PyTorch's, (N, K); both of the first of `squares`, uint8
    (N, S, S, 3).
    """
    here = {entry.file for entry in entries if entry.runtime == HERE and not entry.answered}
    limits: dict[str, np.ndarray | str] = {}
    rows: list[dict[str, Any] | None] = []
    for entry, values in zip(entries, answers, strict=True):
        other = entry.format != "tflite" or entry.answered or entry.file not in here
        if other or not (entry.runtime == HERE or on_phone(entry.runtime)):
            rows.append(None)
            continue
        count = min(PICTURES, len(values))
        if entry.file not in limits:
            limits[entry.file] = limits_against_source(build, entry.file, squares[:PICTURES])
        limit = limits[entry.file]
        row = compared(
            np.asarray(wanted[:count], np.float64), np.asarray(values[:count], np.float64),
            limit[:count] if isinstance(limit, np.ndarray) else None,
        )  # fmt: skip
        if isinstance(limit, str):
            row["why"] = row["why"] or limit
        rows.append(plain({"images": count, **row}))
    return rows


def limits_against_source(build: Build, file: str, squares: np.ndarray) -> np.ndarray | str:
    """For each picture, or why there is none."""
    try:
        contents = read(build.folder / file)
    except InputError as error:
        return str(error)
    return derived(contents, squares, FLOAT32_UNIT, GIVES, source=True)


def lines(report: Mapping[str, Any]) -> Iterator[str]:
    """What a terminal and the page say of these rows: each file that is further off, and one line for all others."""
    rows = [(file, file["explained"]) for file in report["files"] if file.get("explained")]
    for file, row in rows:
        if row["state"] == DIFFERS:
            largest = f"|Δp| {small(row['largest'])}" if row["largest"] is not None else row["why"]
            yield (
                f"{file['file']} on {file['runtime']} against PyTorch, {pictures(row)}: {largest}; the roundings of "
                f"its weights and results explain up to {small(row['limit'])}; `dermedge parity --layers` names the "
                "layer that is off"
            )
    within = [row for _, row in rows if row["state"] == SAME]
    if within:
        yield (
            f"against PyTorch, {pictures(within[0])}: {len(within)} of {len(rows)} no further off than the roundings "
            "of their weights and results explain"
        )


def pictures(row: Mapping[str, Any]) -> str:
    return f"{row['images']} image{'s' if row['images'] > 1 else ''}"
