"""The figure: time and size of each file, one line a file.

Names stand on the axis, so that files that are close together do not cover each other's labels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from edge.files import moved_into_place
from edge.report.plots import BLUE, GREEN, GREY, INK, ORANGE, STYLE, VERMILLION, name_rows

from ._page import threads_in_words

LOOKS = ((BLUE, "o"), (VERMILLION, "^"), (GREEN, "s"), (ORANGE, "D"))  # by place in the numbers of threads
DOTS_PER_INCH = 200


def write(rows: Sequence[Mapping[str, Any]], targets: Sequence[Path]) -> None:
    """`rows`: those of tflite.json. One file a target, in the format of its suffix (.png, .svg)."""
    import matplotlib as mpl

    with mpl.rc_context(STYLE):
        drawn = figure(rows)
        for target in targets:
            # without a date, so that the same numbers give the same file
            without = {"Date": None} if target.suffix == ".svg" else {}
            with moved_into_place(target) as path:
                drawn.savefig(path, dpi=DOTS_PER_INCH, metadata=without)


def figure(rows: Sequence[Mapping[str, Any]]):
    """Left: the median of an image's milliseconds (mark) with its quartiles (line). Right: the size of the file."""
    from matplotlib.figure import Figure

    names = [{"name": r["file"]} for r in rows]
    drawn = Figure(figsize=(7.2, 1.1 + 0.27 * len(rows)), layout="constrained")
    time, size = drawn.subplots(1, 2, width_ratios=(3, 2))
    for (count, (colour, marker)), shift in zip(looks(rows), shifts(rows), strict=True):
        places = [y + shift for y in range(len(rows))]
        took = [r["threads"][count] for r in rows]
        time.hlines(places, *zip(*(t["ms_quartiles"] for t in took), strict=True), color=colour, linewidth=2.2)
        time.plot(
            [t["ms"] for t in took], places, linestyle="", marker=marker, color=colour, markeredgecolor=INK,
            markersize=5.5, label=threads_in_words(count),
        )  # fmt: skip
    megabytes = [r["bytes"] / 1e6 for r in rows]
    size.barh(range(len(rows)), megabytes, height=0.55, color=GREY, edgecolor=INK, linewidth=0.4)
    for y, value in enumerate(megabytes):
        size.annotate(f"{value:.1f}", (value, y), (3, 0), textcoords="offset points", va="center", fontsize=8)
    name_rows(time, names)
    name_rows(size, names)
    size.set_yticks(range(len(rows)), [""] * len(rows))
    time.set(xlim=(0, None), xlabel="milliseconds per image, this machine")
    size.set(xlim=(0, 1.18 * max(megabytes)), xlabel="file, MB (10⁶ bytes)")
    drawn.legend(loc="outside upper left", ncols=len(LOOKS), fontsize=8)
    return drawn


def looks(rows: Sequence[Mapping[str, Any]]) -> list[tuple[str, tuple[str, str]]]:
    """(number of threads, (colour, marker))."""
    return [(count, LOOKS[i % len(LOOKS)]) for i, count in enumerate(rows[0]["threads"])]


def shifts(rows: Sequence[Mapping[str, Any]]) -> list[float]:
    """How far from the middle of its line each number of threads is drawn, in lines, so that none hides another."""
    count = len(rows[0]["threads"])
    return [0.36 * ((i + 0.5) / count - 0.5) for i in range(count)]
