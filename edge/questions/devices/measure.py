"""Reports of devices, judged against the build that their files are from, as a question of the one report.

Nothing runs here. devices.json keeps each report as its app sealed it, so that the next report is shown beside the
earlier ones, which are opened and judged again then.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from edge import artifact
from edge.bundles.device_report import Certified, body_of, certified, read_sealed
from edge.errors import InputError
from edge.files import read_json
from edge.manifest import Manifest
from edge.questions.devices import tables
from edge.questions.devices.section import SCHEMA
from edge.report.header import header
from edge.report.page import MOST_ROWS
from edge.report.question import QuestionReport

if TYPE_CHECKING:
    from rich.table import Table

log = logging.getLogger("dermedge")

FILE = "devices.json"


@dataclass(frozen=True, repr=False)
class DevicesReport(QuestionReport):
    """What each device answered, and whether it was right."""

    name: ClassVar[str] = "devices"

    def failing(self, *, strict: bool = False) -> list[str]:
        """The devices that answered wrongly, each with its file."""
        return [f"{row['file']} on {row['model']}" for row in self.report["rows"] if row["verdict"] == "fail"]

    def tables(self) -> list[Table | str]:
        return tables.all_of(self.report)


def judge(
    build: str | Path, reports: Sequence[Path], *, out: str | Path | None = None
) -> tuple[DevicesReport, list[Certified]]:
    """The reports of devices held against the manifest of `build`, beside those that `out` (None: `build`) has already.

    Returns the question's report, and what was judged of `reports` alone. InputError for a report that was changed, or
    is of another file, library or images than the manifest's.
    """
    manifest = artifact.read(build)
    read = [(str(path), read_sealed(path)) for path in dict.fromkeys(reports)]
    new = [(opened(sealed, manifest, where), sealed) for where, sealed in read]
    rows = {identity(row): row for row in earlier(Path(out or build), manifest)}
    for judged, sealed in new:
        row = row_of(judged, sealed)
        rows[identity(row)] = row
    if len(rows) > MOST_ROWS:
        raise InputError(
            f"expected reports of at most {MOST_ROWS} devices, got {len(rows)}; give another folder with `out`"
        )
    return DevicesReport(report_of(manifest, rows.values())), [judged for judged, _ in new]


def opened(sealed: Mapping[str, Any], manifest: Manifest, where: str) -> Certified:
    return certified(body_of(sealed, where=where), manifest, where=where)


def earlier(folder: Path, manifest: Manifest) -> list[dict[str, Any]]:
    """The rows of the folder's own devices.json, judged again; what does not fit the manifest any more is left out."""
    path = folder / FILE
    if not path.is_file():
        return []
    try:
        all_kept = list(read_json(path, expected=f"a report of devices ({SCHEMA})")["rows"])
    except (InputError, KeyError, TypeError) as error:
        log.warning("earlier reports of devices are left out: %s", error)
        return []
    rows = []
    for kept in all_kept:
        try:
            rows.append(row_of(opened(kept["report"], manifest, f"a report in {path}"), kept["report"]))
        except (InputError, KeyError, TypeError, AttributeError) as error:
            log.warning("an earlier report of a device is left out: %s", error)
    return rows


def identity(row: Mapping[str, Any]) -> tuple[str, ...]:
    """Of one device, system, runtime and file the last report counts."""
    return tuple(str(row[key]) for key in ("file", "model", "system", "runtime", "version", "accelerator"))


def row_of(judged: Certified, sealed: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "file": judged.entry.file,
        "model": judged.model,
        "system": judged.system,
        "runtime": judged.run.runtime.removeprefix("device-"),
        "version": judged.run.version,
        "accelerator": judged.accelerator,
        "verdict": judged.verdict,
        "largest_delta_p": judged.largest_delta_p,
        "milliseconds": {
            "load": judged.load_ms, "first": judged.first_ms, "cold": judged.load_ms + judged.first_ms,
            "median": judged.median_ms, "p90": judged.p90_ms, "runs": judged.runs,
        },
        "memory_bytes": judged.memory_bytes,
        "images": [asdict(answer) for answer in judged.answers],
        "report": dict(sealed),
    }  # fmt: skip


def report_of(manifest: Manifest, rows: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """The question's JSON: files with their devices, in the order of the manifest."""
    order = [entry.file for entry in manifest.files]
    sorted_rows = sorted(rows, key=lambda row: order.index(row["file"]))
    ran = {row["file"] for row in sorted_rows}
    return {
        **header(SCHEMA, model=manifest.model, checkpoint_sha256=manifest.checkpoint_sha256),
        "verdict": "fail" if any(row["verdict"] == "fail" for row in sorted_rows) else "pass",
        "classes": [asdict(label) for label in manifest.labels],
        "files": [
            {"file": entry.file, "sha256": entry.sha256, "recipe": entry.recipe, "bytes": entry.bytes}
            for entry in manifest.files
            if entry.file in ran
        ],
        "rows": sorted_rows,
    }
