"""Decisions as a section of the one report, and as tables for the terminal. No arithmetic but per cents."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from edge.decision import CHECKS, RETAKE, UNCERTAIN
from edge.files import write_json
from edge.report import page as one_page

if TYPE_CHECKING:
    from rich.table import Table

MOST_ALARMS = 48  # thumbnails on the page
NOTHING = "–"
MEANINGS = {
    "light": "luma that a tenth of the pixels exceeds, 0 to 255",
    "clipped": "pixels of luma 250 and more, thousandths",
    "contrast": "luma from the 5th to the 95th percentile, 0 to 255",
    "fine": "differences over 1 pixel against 2, the blurrier direction, thousandths",
    "coarse": "differences over 1 pixel against 4, the blurrier direction, thousandths",
    "busy": "differences over 1 pixel against 2, thousandths",
    "warm": "pixels of reddish colour, thousandths",
    "green": "pixels of green colour, thousandths",
    "spot": "the most that a mean in the middle differs from the border, luma, 0 to 255",
}


def write(report: Mapping[str, Any], folder: Path, thumbnails: Mapping[str, np.ndarray]) -> Path:
    """decision.json and the section of report.html, both made before the first is written; returns the page."""
    body = page(report, thumbnails)
    write_json(folder / "decision.json", report)
    return one_page.place(folder, "decision", body, one_page.belongs(report))


def page(report: Mapping[str, Any], thumbnails: Mapping[str, np.ndarray]) -> str:
    """Everything that came from outside (names of sets and photographs) is escaped by the template."""
    from edge.questions.parity.page import jpeg
    from edge.report import plots

    alarms = report["alarms"][:MOST_ALARMS]
    made = one_page.template("edge.questions.decision", "decision.html.j2", share=share, interval=interval)
    return made.render(
        report=report,
        rule=report["decision"],
        checks={name: (kind, words, MEANINGS[name]) for name, (kind, words) in CHECKS.items()},
        curves=[(part, plots.risk_coverage(part["curve"])) for part in report["sets"] if part["curve"]],
        alarms=alarms,
        more=len(report["alarms"]) - len(alarms),
        pictures={
            one["image"]: jpeg(one["image"], thumbnails[one["image"]]) for one in alarms if one["image"] in thumbnails
        },
        retake=RETAKE,
        uncertain=UNCERTAIN,
    )


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

    kind = "synthetic images" if report["synthetic"] else "photographs of unseen patients"
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
    found = Table(title="what becomes of pictures that should be sent back")
    for name in ("what", "of", "images", "retake [95 %]", "uncertain", "a class"):
        found.add_column(name, justify="left" if name in ("what", "of") else "right")
    for row in (*report["worse"], *report["not_skin"]):
        outcome, images = row["outcomes"], row["images"]
        found.add_row(
            row["what"], escape(row.get("photographs", NOTHING)), str(images), escape(interval(row["sent_back"])),
            share(outcome[UNCERTAIN] / images), share(outcome["class"] / images),
        )  # fmt: skip
    return [sets, found]
