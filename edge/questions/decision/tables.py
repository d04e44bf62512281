"""Decisions for a terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from edge.decision import UNCERTAIN
from edge.report import words

if TYPE_CHECKING:
    from rich.table import Table

NOTHING = "–"


def share(value: float | None) -> str:
    return NOTHING if value is None else f"{value:.1%}"


def interval(estimate: Mapping[str, Any]) -> str:
    """`2.0 % [0.7, 5.6]`"""
    if estimate["value"] is None:
        return NOTHING
    low, high = (f"{100 * estimate[end]:.1f}" for end in ("low", "high"))
    return f"{estimate['value']:.1%} [{low}, {high}]"


def tables(report: Mapping[str, Any]) -> list[Table]:
    """What a terminal shows."""
    from rich.markup import escape
    from rich.table import Table

    kind = words.kind_in(report["data"])
    sets = Table(title=f"{report['model']}: what becomes of {kind}")
    for name in ("set", "images", "sent back [95 %]", "limit", "verdict", "answered", "wrong among them", "if always"):
        sets.add_column(name, justify="left" if name in ("set", "verdict") else "right")
    for part in report["sets"]:
        curve = part["curve"]
        sets.add_row(
            escape(part["name"]),
            str(part["images"]),
            escape(interval(part["sent_back"])),
            share(report["alarm_limit"]),
            part["verdict"],
            share(curve["chosen"]["coverage"]) if curve else NOTHING,
            escape(interval(curve["chosen"]["risk"])) if curve else NOTHING,
            share(curve["always"]["value"]) if curve else NOTHING,
        )
    tried = Table(title="what becomes of pictures that should be sent back")
    for name in ("what", "of", "images", "retake [95 %]", "uncertain", "a class"):
        tried.add_column(name, justify="left" if name in ("what", "of") else "right")
    for row in (*report["worse"], *report["not_skin"]):
        outcome, images = row["outcomes"], row["images"]
        tried.add_row(
            row["what"], escape(row.get("photographs", NOTHING)), str(images), escape(interval(row["sent_back"])),
            share(outcome[UNCERTAIN] / images), share(outcome["class"] / images),
        )  # fmt: skip
    return [sets, tried, *by_answers(report)]


def by_answers(report: Mapping[str, Any]) -> list[Table]:
    """With no, some and all questions answered; nothing of a network without answers."""
    from rich.markup import escape
    from rich.table import Table

    if not report.get("by_answers"):
        return []
    table = Table(title="with answers beside the picture")
    for name in ("answers", "thresholds", "images", "answered [95 %]", "wrong among them", "malignant found",
                 "benign let pass"):  # fmt: skip
        table.add_column(name, justify="left" if name in ("answers", "thresholds") else "right")
    for row in report["by_answers"]:
        for whose, title in (("of_nothing_answered", "of nothing answered"), ("own", "its own")):
            own = row[whose]
            figures = [escape(interval(own[name])) if own[name] else NOTHING for name in (
                "coverage", "risk", "sensitivity", "specificity")]  # fmt: skip
            table.add_row(row["answered"], title, str(row["images"]), *figures)
    return [table]
