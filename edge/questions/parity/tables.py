"""Parity for a terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from edge.report import class_counts, words

if TYPE_CHECKING:
    from rich.table import Table

NOTHING = "-"
UNSETTLED = {"fail", "inconclusive"}


def table(report: Mapping[str, Any]) -> Table:
    from rich.markup import escape
    from rich.table import Table

    data = report["data"]
    kind = words.kind_in(data)
    views = f" in {data['views']} views each" if data.get("views", 1) > 1 else ""
    shown = Table(title=escape(f"{report['model']}: {data['images']} {kind}{views} ({data['name']})"))
    shown.add_column("file")
    shown.add_column("runtime")
    for name in ("host ms", "SQNR dB", "5th pct.", "agreement", "largest |Δp|"):
        shown.add_column(name, justify="right")
    shown.add_column("verdict")
    for file in report["files"]:
        shown.add_row(*map(escape, cells(file, synthetic=data["synthetic"])))
    return shown


def reasons(report: Mapping[str, Any]) -> list[str]:
    """Why files did not pass, a line for each check; what would settle those that are open, in one line for all; and
    which classes the figures do not speak of."""
    lines = [
        f"{where(file, report['files'])}, {check['name']}: {words.in_words(check)}"
        for file in report["files"]
        for check in file["checks"]
        if check["verdict"] in UNSETTLED
    ]
    settled = words.undecided((check for file in report["files"] for check in file["checks"]), patients_in(report))
    labelled = next((file["statistics"]["labelled"] for file in report["files"] if file["statistics"]), None)
    counts = {label["code"]: label["images"] for label in labelled["classes"]} if labelled else {}
    return [escaped(line) for line in [*lines, *filter(None, [settled]), *class_counts.remarks(counts)]]


def patients_in(report: Mapping[str, Any]) -> int:
    return int(report["data"]["patients"])


def where(file: Mapping[str, Any], files: Sequence[Mapping[str, Any]]) -> str:
    """The file, with the way it was run where it was run in several, and whether its gate counts."""
    name = words.file_of(file)
    several = sum(words.file_of(other) == name for other in files) > 1
    by = f" by {file['runtime']}" if several else ""
    return f"{name}{by}{'' if file['binding'] or file['verdict'] == 'reported' else ' (not binding)'}"


def escaped(line: str) -> str:
    """Names come from outside, and rich reads brackets as its own."""
    from rich.markup import escape

    return escape(line)


def cells(file: Mapping[str, Any], *, synthetic: bool = False) -> list[str]:
    statistics, verdict = file["statistics"], words.verdict_on(file["verdict"], synthetic=synthetic)
    numbers = [NOTHING] * 4
    if statistics:
        numbers = [
            decibel(statistics["sqnr_db"]["value"]),
            decibel(statistics["sqnr_db_p5"]),
            f"{statistics['agreement']['value']:.1%}",
            f"{statistics['largest_delta_p']:.2g}",
        ]
    milliseconds = NOTHING if file["host_ms"] is None else f"{file['host_ms']:.1f}"
    loose = "" if file["binding"] or verdict == "reported" else " (not binding)"
    return [words.file_of(file), file["runtime"], milliseconds, *numbers, verdict + loose]


def decibel(value: float | None) -> str:
    """Null stands for an infinite ratio."""
    return "equal" if value is None else f"{value:.1f}"
