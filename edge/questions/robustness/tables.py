"""Robustness for a terminal, and the rows of its first table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from edge.report import words

if TYPE_CHECKING:
    from rich.table import Table

HEADINGS = (
    "answers", "balanced accuracy, good", "balanced accuracy, bad", "as its clean answer", "as float, good",
    "as float, bad", "calibration error, good", "calibration error, bad",
)  # fmt: skip


def percent(holder: Mapping[str, Any], key: str) -> str:
    return words.number(holder, key, "share")


def rows(report: Mapping[str, Any]) -> list[tuple[str, ...]]:
    return [
        (
            file["name"],
            words.with_interval(file["balanced_accuracy_clean"], "share"),
            words.with_interval(file["balanced_accuracy_bad"], "share"),
            percent(file, "same_as_clean_bad"),
            percent(file["conditions"][0], "same_as_float") if number else words.NOTHING,
            percent(file, "same_as_float_bad") if number else words.NOTHING,
            percent(file, "calibration_error_clean"),
            percent(file, "calibration_error_bad"),
        )
        for number, file in enumerate(report["files"])
    ]


def table(report: Mapping[str, Any]) -> Table:
    from rich.markup import escape
    from rich.table import Table

    data = report["data"]
    kind = words.kind_in(data)
    bad = sum(len(corruption["severities"]) for corruption in report["corruptions"])
    shown = Table(
        title=escape(f"{report['model']}: {data['images']} {kind} ({data['name']}), each also bad in {bad} ways")
    )
    for number, heading in enumerate(HEADINGS):
        shown.add_column(heading, justify="right" if number else "left")
    for row in rows(report):
        shown.add_row(*map(escape, row))
    return shown
