"""The figure: who is both small and fast, and who is both fast and right. Colours as in the page."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge.files import moved_into_place
from edge.questions.zoo.tables import file_of
from edge.report import plots
from edge.report.names import put_names
from edge.report.plots import BLUE, INK, VERMILLION

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LOOKS = {"fp32": (BLUE, "o"), "int8": (VERMILLION, "^")}
DOTS_PER_INCH = 200
NAME_SIZE = 6  # points


def write(models: Sequence[Mapping[str, Any]], target: Path) -> bool:
    """One SVG or PNG; False if nothing was timed."""
    if not timed(models):
        return False
    with plots.drawing():
        drawn = figure(models)
        without = {"Date": None} if target.suffix == ".svg" else {}  # so that the same numbers give the same file
        with moved_into_place(target) as path:
            drawn.savefig(path, dpi=DOTS_PER_INCH, metadata=without, format=target.suffix[1:])
    return True


def svg(models: Sequence[Mapping[str, Any]]) -> str:
    """The figure for a page; nothing if nothing was timed."""
    return plots.as_svg(lambda: figure(models), "Size and accuracy against time, by model") if timed(models) else ""


def timed(models: Sequence[Mapping[str, Any]]) -> bool:
    return bool(points(models, "fp32", size) or points(models, "int8", size))


def figure(models: Sequence[Mapping[str, Any]]) -> Figure:
    from matplotlib.figure import Figure

    judged = [model for model in models if model["balanced_accuracy"]]
    panels: list[tuple[str, Sequence[Mapping[str, Any]], Callable, str]] = [
        ("file, MB (10⁶ bytes)", models, size, "lower")
    ]
    if len(judged) > 1:  # one point compares nothing
        panels.append(("balanced accuracy on unseen patients", judged, right, "upper"))
    drawn = Figure(figsize=(5.0 * len(panels) if len(panels) > 1 else 7.5, 5.2), layout="constrained")
    named: dict[Axes, list[tuple[str, float, float]]] = {}
    fronts: dict[Axes, list[list[tuple[float, float]]]] = {}
    for axes, (label, shown, value, best) in zip(drawn.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
        named[axes], fronts[axes] = [], []
        for recipe, (colour, marker) in LOOKS.items():
            # accuracy is the float model's: what 8 bits make of it is not measured on enough photographs to be drawn
            marks = points(shown, recipe, value) if value is size or recipe == "fp32" else []
            if not marks:
                continue
            front = pareto(marks, best)
            fronts[axes].append([(x, y) for _, x, y in front])
            axes.plot(
                [x for _, x, _ in front], [y for _, _, y in front], color=colour, linewidth=0.9, drawstyle="steps-post"
            )
            axes.plot(
                [x for _, x, _ in marks], [y for _, _, y in marks], linestyle="", marker=marker, color=colour,
                markeredgecolor=INK, markersize=5.5, label=recipe,
            )  # fmt: skip
            named[axes] += sorted(marks, key=lambda mark: (mark[1], mark[2]))
        axes.set(xlabel="time, mobilenetv2 in fp32 = 1 (this host)", ylabel=label, xscale="log")
        plain_ticks(axes.xaxis)
        if best == "lower":
            axes.set_yscale("log")
            plain_ticks(axes.yaxis)
        axes.margins(0.16)
    drawn.legend(*drawn.axes[0].get_legend_handles_labels(), loc="outside upper left", ncols=2, fontsize=8)
    drawn.draw_without_rendering()  # so that the axes are where they will be
    for axes, marks in named.items():
        put_names(axes, marks, NAME_SIZE, fronts[axes])
    return drawn


def plain_ticks(axis) -> None:
    """1, 2, 5, 10 … on a logarithmic axis, written as numbers."""
    from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

    axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axis.set_minor_formatter(NullFormatter())


def points(models: Sequence[Mapping[str, Any]], recipe: str, value) -> list[tuple[str, float, float]]:
    """(name, time, value) of every model whose file of this recipe was timed."""
    files = [(model, file_of(model, recipe)) for model in models]
    return [(m["model"], file["ratio"], value(m, file)) for m, file in files if file and file["ratio"] is not None]


def size(_model: Mapping[str, Any], file: Mapping[str, Any]) -> float:
    return file["bytes"] / 1e6


def right(model: Mapping[str, Any], _file: Mapping[str, Any]) -> float:
    return model["balanced_accuracy"]["value"]


def pareto(points: Sequence[tuple[str, float, float]], best: str) -> list[tuple[str, float, float]]:
    """Those that no other beats in both, by time. `best`: whether a "lower" or an "upper" value is better."""
    sign = 1 if best == "lower" else -1
    front: list[tuple[str, float, float]] = []
    for point in sorted(points, key=lambda p: (p[1], sign * p[2])):
        if not front or sign * point[2] < sign * front[-1][2]:
            front.append(point)
    return front
