"""What each mistake costs: a table for the terminal, one for Markdown, and a section of the one report."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from edge.report import plots, words
from edge.report.page import template

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from rich.table import Table

LOOKS = {"float": (plots.BLUE, "o", -0.14), "int8": (plots.VERMILLION, "^", 0.14)}  # colour, marker, height in the row


def html(report: Mapping[str, Any], pictures: Mapping[str, np.ndarray]) -> str:
    """The section's HTML. Everything that came from outside (names, ids) is escaped by the template."""
    return template("edge.questions.mistakes", "mistakes.html.j2").render(
        report=report,
        rows=[
            {**one, "title": named(one, report), "cells": {form: cells(found) for form, found in one["forms"].items()}}
            for one in report["mistakes"]
        ],
        pictures={code: png(picture) for code, picture in pictures.items()},
        plots=[svg for svg in (agreement(report), accuracy(report)) if svg],
    )


def cells(found: Mapping[str, Any]) -> dict[str, str]:
    """The numbers of one mistake and form as a person reads them."""
    accuracy = found["balanced_accuracy"]
    return {
        "agreement": words.number(found["agreement"], "value", "share"),
        "agreement_interval": words.interval(found["agreement"], "share"),
        "largest": words.number(found, "largest_delta_p", "p"),
        "median": words.number(found, "median_delta_p", "p"),
        "before": words.number(accuracy, "before", "share") if accuracy else words.NOTHING,
        "after": words.number(accuracy, "after", "share") if accuracy else words.NOTHING,
        "change": points(accuracy["change"]["value"]) if accuracy else words.NOTHING,
        "change_interval": interval(accuracy["change"]) if accuracy else "",
    }


def points(share: float) -> str:
    text = f"{100 * share:+.1f}"
    return "0.0" if text in {"+0.0", "-0.0"} else text.replace("-", "−")


def interval(change: Mapping[str, Any]) -> str:
    return f"[{points(change['low'])}, {points(change['high'])}]"


def table(report: Mapping[str, Any]) -> Table:
    from rich.markup import escape
    from rich.table import Table

    data = report["data"]
    kind = "synthetic images" if data["synthetic"] else "photographs of unseen patients"
    made = Table(title=escape(f"{report['model']}: mistakes on {data['images']} {kind} ({data['name']})"))
    made.add_column("mistake", no_wrap=True)
    for form in forms_of(report):
        for name in ("same class", "max |Δp|", "median", "bal. acc."):
            made.add_column(f"{form}\n{name}", justify="right")
    for one in report["mistakes"]:
        shown = [cells(found) for found in one["forms"].values()]
        numbers = [c[key] for c in shown for key in ("agreement", "largest", "median", "change")]
        made.add_row(escape(named(one, report)), *numbers)
    return made


def markdown(report: Mapping[str, Any]) -> str:
    """The table for docs/mistakes.md."""
    forms = forms_of(report)
    heads = [
        head
        for form in forms
        for head in (f"{form}: same class [95 %]", "largest \\|Δp\\| (median)", "balanced accuracy")
    ]
    lines = [" | ".join(["| mistake", *heads]) + " |", "|---" * (1 + len(heads)) + "|"]
    for one in report["mistakes"]:
        row = [f"| {named(one, report)} (`{one['code']}`)"]
        for found in one["forms"].values():
            c = cells(found)
            row += [f"{c['agreement']} {c['agreement_interval']}", f"{c['largest']} ({c['median']})", c["change"]]
        lines.append(" | ".join(row) + " |")
    return "\n".join(lines) + "\n"


def named(one: Mapping[str, Any], report: Mapping[str, Any]) -> str:
    """Its name, and of how many photographs, where it does not concern all."""
    some = one["images"] < report["data"]["images"]
    return f"{one['name']}, {one['images']} photographs" if some else one["name"]


def forms_of(report: Mapping[str, Any]) -> list[str]:
    return [file["form"] for file in report["files"]]


def agreement(report: Mapping[str, Any]) -> str:
    """Share of photographs whose class stays, with its 95 % interval."""

    def draw(axes: Axes) -> None:
        for form, y, found in places(report):
            share = found["agreement"]
            mark(axes, form, y, *(100 * share[key] for key in ("low", "value", "high")))
        finish(axes, report, "photographs with the same class, %")
        axes.set_xlim(0, 101)

    return plots.svg(draw, height(report), "Share of photographs whose class stays under each mistake")


def accuracy(report: Mapping[str, Any]) -> str:
    """Change of balanced accuracy, with its 95 % bounds; nothing where no diagnosis is known."""
    known = [(form, y, found) for form, y, found in places(report) if found["balanced_accuracy"]]
    if not known:
        return ""

    def draw(axes: Axes) -> None:
        axes.axvline(0, color=plots.INK, linewidth=0.8)
        for form, y, found in known:
            change = found["balanced_accuracy"]["change"]
            mark(axes, form, y, *(100 * change[key] for key in ("low", "value", "high")))
        finish(axes, report, "change of balanced accuracy, percentage points")

    return plots.svg(draw, height(report), "Change of balanced accuracy by each mistake")


def places(report: Mapping[str, Any]) -> list[tuple[str, float, Mapping[str, Any]]]:
    """Form, height in the plot, and what was found."""
    return [
        (form, y + LOOKS[form][2], found)
        for y, one in enumerate(report["mistakes"])
        for form, found in one["forms"].items()
    ]


def mark(axes: Axes, form: str, y: float, low: float, value: float, high: float) -> None:
    colour, marker, _ = LOOKS[form]
    axes.plot([low, high], [y, y], color=colour, linewidth=1.6, solid_capstyle="butt")
    axes.plot([value], [y], marker=marker, color=colour, markersize=4.5, clip_on=False)


def finish(axes: Axes, report: Mapping[str, Any], label: str) -> None:
    """Names, grid, and the legend above the plot."""
    plots.name_rows(axes, [{"name": one["code"]} for one in report["mistakes"]])
    for form in forms_of(report):
        colour, marker, _ = LOOKS[form]
        axes.plot([], [], color=colour, marker=marker, linewidth=1.6, markersize=4.5, label=form)
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2, fontsize=8, borderaxespad=0.2)
    axes.set_xlabel(label)


def height(report: Mapping[str, Any]) -> float:
    return 1.0 + 0.21 * len(report["mistakes"])


def sheet(pictures: Sequence[tuple[str, np.ndarray]], columns: int = 7) -> Figure:
    """Pictures in rows, each under its code; in the order given."""
    from matplotlib.figure import Figure

    rows = -(-len(pictures) // columns)
    drawn = Figure(figsize=(1.3 * columns, 1.5 * rows), layout="constrained")
    for axes in drawn.subplots(rows, columns, squeeze=False).flat:
        axes.axis("off")
    for axes, (code, picture) in zip(drawn.axes, pictures, strict=False):
        axes.imshow(picture, interpolation="nearest")
        axes.set_title(code, fontsize=8, parse_math=False)
    return drawn


def png(picture: np.ndarray) -> str:
    """A data address: as it is, for a JPEG would hide what a resize does."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")
