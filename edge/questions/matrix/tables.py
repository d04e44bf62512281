"""The matrix in words: for a terminal, and the cells of the page's tables."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.table import Table

NOTHING = "-"
HEADINGS = ("file", "runtime", "version", "same class", "largest |Δp|", "limit", "state")


def all_of(report: Mapping[str, Any]) -> list[Table | str]:
    from rich.markup import escape
    from rich.table import Table

    data = report["data"]
    drawn = "drawn images" if data["synthetic"] else "pictures"
    shown = Table(title=escape(f"{report['model']}: {data['images']} {drawn} ({data['name']})"))
    for number, heading in enumerate(HEADINGS):
        shown.add_column(heading, justify="right" if 3 <= number <= 5 else "left")
    for row in report["rows"]:
        shown.add_row(*map(escape, cells(row)))
    for pair in report["pairs"]:
        shown.add_row(*map(escape, cells(pair)))
    return [shown, *map(escape, sentences(report))]


def cells(row: Mapping[str, Any]) -> tuple[str, ...]:
    return (
        row["file"],
        row["runtime"] if "runtime" in row else f"against {row['other']}",
        row.get("version") or NOTHING,
        NOTHING if row.get("agreement") is None else f"{row['agreement']:.0%}",
        small(row.get("largest")),
        small(row.get("limit")),
        row["state"],
    )


def small(value: float | None) -> str:
    return NOTHING if value is None else f"{value:.2g}"


def sentences(report: Mapping[str, Any]) -> list[str]:
    """What differs and why, what was refused, and what could be set up; one line each."""
    lines = [
        f"{file['file']}: its answers where phones run it are not finite numbers"
        for file in report["files"]
        if file["gives"] == "not finite"
    ]
    for row in report["rows"]:
        if row["state"] == "differs":
            why = f" ({row['why']})" if row["why"] else ""
            said = operator(row.get("operators") or {})
            lines.append(f"{row['file']} on {row['runtime']}: another answer{why}. {said}")
        elif row["state"] in {"refused", "not set up"} or (row["state"] == "reported" and "agreement" in row):
            lines.append(f"{row['file']} on {row['runtime']}: {row['state']}: {row['why']}")
    for pair in report["pairs"]:
        if pair["state"] == "differs":
            why = f": {pair['why']}" if pair["why"] else ""
            lines.append(
                f"{pair['file']} against {pair['other']}: another answer than the same network would give{why}"
            )
        elif pair["why"]:
            lines.append(f"{pair['file']} against {pair['other']}: no limit: {pair['why']}")
    return list(dict.fromkeys(lines))


def operator(operators: Mapping[str, Any]) -> str:
    """The operator that makes the difference, and what would have made the runtime refuse."""
    first = operators.get("first")
    if first is None:
        if operators.get("why"):
            return f"Its operators could not be compared: {operators['why']}."
        return (
            f"Each of its {operators.get('compared', 0)} operators alone gives the same results there, so that it "
            "depends on what stands around them."
        )
    weights = f", weights {first['weights']}" if first["weights"] else ""
    text = f"Operator {first['place']}, {first['kind']} version {first['version']} ({first['output']}"
    text += f"; reads {first['reads']}{weights})"
    if first["said"] == "not a number":
        text += " gives NaN on one side alone."
    elif first["said"]:
        text += f" stops: {first['said']}."
    else:
        text += f" differs by {first['relative']:.2g} of its result, {first['times']:.2g} times what rounding explains."
    if first["version"] < first["version_by_rules"]:
        since = f", which TFLite has since {first['release']}" if first["release"] else ""
        text += (
            f" By TensorFlow's rules these types are version {first['version_by_rules']}{since}: with it an older "
            "library refuses the file instead of being wrong."
        )
    more = operators["count"] - 1
    return text + (f" {more} more of {operators['compared']} operators differ." if more else "")
