"""Layer by layer, as a section of the one report. No arithmetic."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from edge.questions.layers.wording import HEADINGS, cells, headline, shown, value
from edge.report import plots
from edge.report.template import template

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SCHEMA = "dermedge/layers/1"
TITLE = "Where does a file leave the model?"
TOP = 150.0  # dB, the plot's upper end: float32 has 144


def section(report: Mapping[str, Any], pictures: Mapping[str, str]) -> str:
    """The section's HTML; it has no pictures. Names from outside are escaped by the template."""
    return template("edge.questions.layers", "layers.html.j2").render(
        report=report, headings=HEADINGS, files=[view(file) for file in report["files"]]
    )


def view(file: Mapping[str, Any]) -> dict[str, Any]:
    """What the template shows of one file, as text."""
    rows = [] if file["note"] else file["rows"]
    return {
        "name": file["file"],
        "off": file["first"] is not None,
        "headline": headline(file).removeprefix(f"{file['file']}: "),
        "plot": plot(file) if rows else "",
        "shown": [line(rows[number]) for number in shown(file)] if rows else [],
        "all": [line(row) for row in rows],
    }


def line(row: Mapping[str, Any]) -> dict[str, Any]:
    return {"off": row["status"] == "off", "cells": (*cells(row), row["status"])}


def plot(file: Mapping[str, Any]) -> str:
    """Own SQNR by place in the file against what precision explains."""
    rows = [row for row in file["rows"] if row["torch"]]

    def draw(axes: Axes) -> None:
        places = [row["op"] for row in rows]
        axes.step(places, [min(value(r, "least_db"), TOP) for r in rows], where="mid", color=plots.GREY, linewidth=1,
                  label="its precision explains at least")  # fmt: skip
        for status, colour, marker, label in (
            ("ok", plots.BLUE, "o", "the operation itself"), ("off", plots.VERMILLION, "X", "off"),
        ):  # fmt: skip
            some = [row for row in rows if row["status"] == status]
            axes.plot([r["op"] for r in some], [max(min(value(r, "own_db"), TOP), -5) for r in some], color=colour,
                      marker=marker, markersize=3 if status == "ok" else 7, linestyle="none", label=label)  # fmt: skip
        axes.plot(places, [max(min(value(r, "model_db"), TOP), -5) for r in rows], color=plots.ORANGE, linewidth=1,
                  linestyle="--", label="all that was lost up to here")  # fmt: skip
        axes.set(xlabel="operation, in the file's order", ylabel="SQNR, dB", ylim=(-8, TOP + 4))
        axes.legend(fontsize=7)

    return plots.svg(draw, 3.4, "SQNR of every operation by its place in the file")
