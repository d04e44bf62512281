"""The plots of the report, as SVG text that can stand in a page.

Colours are Okabe and Ito's, which colour-blind eyes tell apart; marker, line and hatch say the same in grey. The ink
is the page's own text colour, the background the page's own.
"""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from html import escape
from itertools import pairwise
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BLUE, VERMILLION, GREEN, ORANGE, GREY = "#0072b2", "#d55e00", "#009e73", "#e69f00", "#808080"
INK = "#1b1c20"  # replaced by the page's colour
WIDTH = 4.4  # inches; at 72 dots per inch a little less than a phone is wide
VERDICT_MARKS = {
    "pass": (GREEN, "o"),
    "fail": (VERMILLION, "X"),
    "inconclusive": (ORANGE, "D"),
    "reported": (GREY, "s"),
}
STYLE: Any = {  # matplotlib's own names; Any, because its type lists them all
    "svg.fonttype": "none", "svg.hashsalt": "dermedge", "font.family": "sans-serif", "font.size": 9,
    "text.color": INK, "axes.labelcolor": INK, "axes.edgecolor": INK, "xtick.color": INK, "ytick.color": INK,
    "axes.spines.top": False, "axes.spines.right": False, "axes.linewidth": 0.7, "legend.frameon": False,
    "hatch.linewidth": 0.8, "text.parse_math": False,
}  # fmt: skip

Draw = Callable[["Axes"], None]


def reliability(before: Mapping[str, Any], after: Mapping[str, Any]) -> str:
    """Confidence against correctness of the float model and of the file; larger marks stand for more images."""

    def draw(axes: Axes) -> None:
        axes.plot([0, 1], [0, 1], color=GREY, linewidth=0.8, linestyle=":", label="perfectly calibrated")
        for name, curve, colour, marker, line in (
            ("float model", before, BLUE, "o", "-"),
            ("this file", after, VERMILLION, "^", "--"),
        ):
            bins = zip(curve["confidence"], curve["correct"], curve["counts"], strict=True)
            filled = [(x, y, count) for x, y, count in bins if count]
            x, y, counts = zip(*filled, strict=True)
            axes.plot(x, y, color=colour, linewidth=1.2, linestyle=line, marker=marker, markersize=3.5, label=name)
            axes.scatter(
                x, y, s=[12 + 150 * c / sum(counts) for c in counts], marker=marker,
                facecolors="none" if marker == "^" else colour, edgecolors=colour, alpha=0.8,
            )  # fmt: skip
        axes.set(
            xlim=(0, 1), ylim=(0, 1.02), xlabel="confidence: the highest probability", ylabel="share that is right"
        )
        axes.legend(loc="upper left", fontsize=8)

    return svg(draw, 3.1, "Reliability curve of the float model and of this file")


def delta_p(histogram: Mapping[str, Any]) -> str:
    """How far probabilities move: images by their largest |Δp|, both axes logarithmic."""

    def draw(axes: Axes) -> None:
        edges, same, other = histogram["edges"], histogram["same_class"], histogram["other_class"]
        widths = [right - left for left, right in pairwise(edges)]
        look: dict[str, Any] = {"align": "edge", "edgecolor": INK, "linewidth": 0.4}
        axes.bar(edges[:-1], same, widths, color=BLUE, label="same class", **look)
        axes.bar(edges[:-1], other, widths, bottom=same, color=ORANGE, hatch="////", label="another class", **look)
        axes.set_xscale("log")
        axes.set_yscale("log", nonpositive="clip")
        most = max(a + b for a, b in zip(same, other, strict=True))
        axes.set(xlim=(edges[0], 1), ylim=(0.6, most * 3))
        axes.set_xticks([1e-8, 1e-6, 1e-4, 1e-2, 1], ["≤10⁻⁸", "10⁻⁶", "10⁻⁴", "0.01", "1"])
        ticks = [t for t in (1, 10, 100, 1000, 10000, 100000) if t <= most * 3]
        axes.set_yticks(ticks, [str(t) for t in ticks])
        axes.minorticks_off()
        axes.set(xlabel="largest |Δ probability| of an image", ylabel="images (log scale)")
        axes.legend(loc="upper left" if same[0] + other[0] == 0 else "upper right", fontsize=8)

    return svg(draw, 3.1, "Histogram of the largest change of a probability per image")


def sqnr_overview(rows: Sequence[Mapping[str, Any]]) -> str:
    """Median SQNR of each file (mark), down to its 5th percentile (line), and its gate (bar)."""
    most = max([60.0, *(row["median"] for row in rows if row["median"] is not None)]) * 1.08

    def draw(axes: Axes) -> None:
        for y, row in enumerate(rows):
            colour, marker = VERDICT_MARKS[row["verdict"]]
            if row["identical"]:
                axes.text(most, y, "identical ▸", ha="right", va="center", fontsize=8)
            elif row["median"] is not None:
                if row["p5"] is not None:
                    axes.plot([row["p5"], row["median"]], [y, y], color=colour, linewidth=2.2, solid_capstyle="butt")
                axes.plot(
                    [row["median"]], [y], marker=marker, color=colour, markeredgecolor=INK, markersize=7, clip_on=False
                )
            if row["limit"] is not None:
                axes.plot([row["limit"]] * 2, [y - 0.36, y + 0.36], color=INK, linewidth=1.6)
        name_rows(axes, rows)
        axes.set(
            xlim=(min([0.0, *(r["p5"] for r in rows if r["p5"] is not None)]), most), xlabel="SQNR of the logits, dB"
        )

    return svg(draw, 0.75 + 0.3 * len(rows), "Signal to quantisation noise of each file, with its gate")


def agreement_overview(rows: Sequence[Mapping[str, Any]]) -> str:
    """Share of images with the same class (mark), its 95 % interval (line), and the gate (bar)."""

    def draw(axes: Axes) -> None:
        for y, row in enumerate(rows):
            if row["agreement"] is None:
                continue
            colour, marker = VERDICT_MARKS[row["verdict"]]
            axes.plot([row["low"], row["high"]], [y, y], color=colour, linewidth=2.2, solid_capstyle="butt")
            axes.plot(
                [row["agreement"]], [y], marker=marker, color=colour, markeredgecolor=INK, markersize=7, clip_on=False
            )
            if row["agreement_limit"] is not None:
                axes.plot([row["agreement_limit"]] * 2, [y - 0.36, y + 0.36], color=INK, linewidth=1.6)
        name_rows(axes, rows)
        lowest = min([95.0, *(row["low"] for row in rows if row["low"] is not None)])
        axes.set(xlim=(max(0.0, lowest - 1), 100), xlabel="images with the same class, %")

    return svg(draw, 0.75 + 0.3 * len(rows), "Top-1 agreement of each file with the float model")


def scheme_curve(curve: Sequence[Mapping[str, float]], chosen: int, budget: float) -> str:
    """What each choice of 8-bit layers costs and gives in faithfulness; the chosen point is filled.

    The cost is time where it was measured, else the share of multiply-accumulates that is in 8 bits.
    """
    timed = all("host_ms" in one for one in curve)

    def draw(axes: Axes) -> None:
        axes.axhline(budget, color=GREY, linestyle=":", linewidth=1)
        axes.annotate("budget", (1, budget), xycoords=("axes fraction", "data"), ha="right", va="bottom", fontsize=8)
        x = [one["host_ms"] if timed else 100 * one["macs_8bit"] for one in curve]
        y = [one["sqnr_db"] for one in curve]
        axes.plot(x, y, color=BLUE, linewidth=0.8, marker="o", markersize=4, markerfacecolor="none")
        axes.plot(x[chosen], y[chosen], color=VERMILLION, marker="D", markersize=7, linestyle="none", label="chosen")
        cost = "ms of one image on the converting host, one thread" if timed else "MACs on 8-bit activations, %"
        axes.set(xlabel=cost, ylabel="median SQNR of the logits, dB")
        axes.legend(fontsize=8)

    what = "Time" if timed else "Share of MACs in 8 bits"
    return svg(draw, 3.1, f"{what} against SQNR for every choice of 8-bit layers that was tried")


def risk_coverage(curve: Mapping[str, Any]) -> str:
    """Share of wrong answers against the share of photographs that get one, and what chance would give."""

    def draw(axes: Axes) -> None:
        points, chosen, always = curve["points"], curve["chosen"], 100 * curve["always"]["value"]
        x = [100 * point["coverage"] for point in points]
        low, high = ([100 * point["risk"][end] for point in points] for end in ("low", "high"))
        axes.fill_between(x, low, high, color=BLUE, alpha=0.18, linewidth=0, label="95 %, patients resampled")
        y = [100 * point["risk"]["value"] for point in points]
        axes.plot(x, y, color=BLUE, linewidth=1.4, label="least sure left out first")
        axes.plot([0, 100], [always, always], color=GREY, linestyle=":", linewidth=1.2, label="left out at random")
        if chosen["risk"]["value"] is not None:
            axes.plot(
                100 * chosen["coverage"], 100 * chosen["risk"]["value"], color=VERMILLION, marker="D", markersize=7,
                linestyle="none", clip_on=False, label="chosen",
            )  # fmt: skip
        axes.set(xlim=(0, 100), ylim=(0, min(100, max([*high, always]) * 1.3)))
        axes.set(xlabel="photographs that get an answer, %", ylabel="wrong among the answers, %")
        axes.legend(loc="upper left", fontsize=8, ncols=2)

    return svg(draw, 3.1, "Share of wrong answers against the share of photographs that are answered")


def name_rows(axes: Axes, rows: Sequence[Mapping[str, Any]]) -> None:
    """One line of the axis for each row, from the top, under its `name`."""
    axes.set_yticks(range(len(rows)), [row["name"] for row in rows])
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="x", color=GREY, alpha=0.3, linewidth=0.6)
    axes.set_axisbelow(True)


def figure(draw: Draw, height: float, width: float = WIDTH) -> Figure:
    """A figure without pyplot, so that no global state and no window system is touched. Sizes in inches."""
    from matplotlib.figure import Figure

    drawn = Figure(figsize=(width, height), layout="constrained")
    draw(drawn.add_subplot())
    return drawn


@contextmanager
def drawing() -> Iterator[None]:
    """The report's style. Text stays text, so a glyph that is missing here is a matter of the reader's fonts."""
    import matplotlib as mpl

    with mpl.rc_context(STYLE), warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of such glyphs, and of names too long for the plot
        yield


def svg(draw: Draw, height: float, described: str, width: float = WIDTH) -> str:
    """SVG of one plot, ready to stand in HTML. `described` is for those who cannot see it."""
    return as_svg(lambda: figure(draw, height, width), described)


def as_svg(make: Callable[[], Figure], described: str) -> str:
    """The same of a figure; `make` draws it in the report's style."""
    buffer = io.StringIO()
    with drawing():
        drawn = make()
        drawn.patch.set_visible(False)
        for axes in drawn.axes:
            axes.patch.set_visible(False)
        drawn.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    text = buffer.getvalue()
    text = text[text.index("<svg") :].replace(INK, "currentColor")
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r'(<svg [^>]*?) (?:width|height)="[^"]*"', r"\1", text)
    text = re.sub(r'(<svg [^>]*?) (?:width|height)="[^"]*"', r"\1", text)
    return text.replace("<svg ", f'<svg role="img" aria-label="{escape(described)}" ', 1)
