"""What each mistake costs, as a section of the one report."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from edge.questions.mistakes.tables import cells, forms_of, named
from edge.report import plots
from edge.report.template import template

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SCHEMA = "dermedge/mistakes/1"
TITLE = "The phone gives other answers: which mistake is it?"
RIGHT = "right"  # what the picture of the right path is called among the section's pictures
LOOKS = {"float": (plots.BLUE, "o", -0.14), "int8": (plots.VERMILLION, "^", 0.14)}  # colour, marker, height in the row


def section(report: Mapping[str, Any], pictures: Mapping[str, str]) -> str:
    """The section's HTML. `pictures`: RIGHT and the code of each mistake -> data address; any may be missing.

    Everything that came from outside (names, ids) is escaped by the template.
    """
    return template("edge.questions.mistakes", "mistakes.html.j2").render(
        report=report,
        rows=[
            {**row, "title": named(row, report), "cells": {form: cells(cost) for form, cost in row["forms"].items()}}
            for row in report["mistakes"]
        ],
        pictures=pictures,
        right=RIGHT,
        plots=[svg for svg in (agreement(report), accuracy(report)) if svg],
    )


def agreement(report: Mapping[str, Any]) -> str:
    """Share of photographs whose class stays, with its 95 % interval."""

    def draw(axes: Axes) -> None:
        for form, y, cost in places(report):
            share = cost["agreement"]
            mark(axes, form, y, *(100 * share[key] for key in ("low", "value", "high")))
        finish(axes, report, "photographs with the same class, %")
        axes.set_xlim(0, 101)

    return plots.svg(draw, height(report), "Share of photographs whose class stays under each mistake")


def accuracy(report: Mapping[str, Any]) -> str:
    """Change of balanced accuracy, with its 95 % bounds; nothing where no diagnosis is known."""
    known = [(form, y, cost) for form, y, cost in places(report) if cost["balanced_accuracy"]]
    if not known:
        return ""

    def draw(axes: Axes) -> None:
        axes.axvline(0, color=plots.INK, linewidth=0.8)
        for form, y, cost in known:
            change = cost["balanced_accuracy"]["change"]
            mark(axes, form, y, *(100 * change[key] for key in ("low", "value", "high")))
        finish(axes, report, "change of balanced accuracy, percentage points")

    return plots.svg(draw, height(report), "Change of balanced accuracy by each mistake")


def places(report: Mapping[str, Any]) -> list[tuple[str, float, Mapping[str, Any]]]:
    """Form, height in the plot, and cost."""
    return [
        (form, y + LOOKS[form][2], cost)
        for y, row in enumerate(report["mistakes"])
        for form, cost in row["forms"].items()
    ]


def mark(axes: Axes, form: str, y: float, low: float, value: float, high: float) -> None:
    colour, marker, _ = LOOKS[form]
    axes.plot([low, high], [y, y], color=colour, linewidth=1.6, solid_capstyle="butt")
    axes.plot([value], [y], marker=marker, color=colour, markersize=4.5, clip_on=False)


def finish(axes: Axes, report: Mapping[str, Any], label: str) -> None:
    """Names, grid, and the legend above the plot."""
    plots.name_rows(axes, [{"name": row["code"]} for row in report["mistakes"]])
    for form in forms_of(report):
        colour, marker, _ = LOOKS[form]
        axes.plot([], [], color=colour, marker=marker, linewidth=1.6, markersize=4.5, label=form)
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2, fontsize=8, borderaxespad=0.2)
    axes.set_xlabel(label)


def height(report: Mapping[str, Any]) -> float:
    return 1.0 + 0.21 * len(report["mistakes"])
