"""A search over training recipes as a section of the one report."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from edge.report import plots
from edge.report.template import template

from .tables import page_columns, page_rows, remarks

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SCHEMA = "dermedge/search/1"
TITLE = "Which training recipe is the best, and what is its figure worth?"
MOST = 40  # trials that are shown
ROW = 0.16  # inches of the plot


def section(report: Mapping[str, Any], pictures: Mapping[str, str]) -> str:
    """The section's HTML; it has no pictures. Names from outside are escaped by the template."""
    done = [trial for trial in report["trials"] if trial["figures"]]
    return template("edge.questions.search", "search.html.j2").render(
        report=report,
        columns=page_columns(report),
        rows=page_rows(report, MOST),
        hidden=max(0, len(done) - MOST),
        remarks=remarks(report),
        plot=plot(report, done[:MOST]) if done else "",
    )


def plot(report: Mapping[str, Any], done: list[Mapping[str, Any]]) -> str:
    """Balanced accuracy of each trial with its interval, the best on top; and what the best is worth."""

    def draw(axes: Axes) -> None:
        for place, trial in enumerate(done):
            own = trial["figures"]["balanced_accuracy"]
            axes.plot([100 * own["low"], 100 * own["high"]], [place, place], color=plots.BLUE, linewidth=1.2)
            axes.plot([100 * own["value"]], [place], color=plots.BLUE, marker="o", markersize=3.5)
        if len(done) > 1:
            worth = report["corrected"]
            axes.axvspan(100 * worth["low"], 100 * worth["high"], color=plots.GREY, alpha=0.15, linewidth=0)
            axes.axvline(100 * worth["value"], color=plots.VERMILLION, linewidth=1, linestyle="--")
            axes.annotate(
                "what the best is worth", (100 * worth["value"], 1), (3, 2), fontsize=7,
                xycoords=axes.get_xaxis_transform(), textcoords="offset points",
            )  # fmt: skip
        axes.set(xlabel="balanced accuracy out of fold, %", ylabel="trial", ylim=(len(done) - 0.5, -0.5))
        axes.set_yticks(range(len(done)), [str(trial["trial"]) for trial in done], fontsize=7)

    return plots.svg(draw, 1.2 + ROW * len(done), "Balanced accuracy of each trial with its 95 % interval")
