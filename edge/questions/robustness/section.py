"""Robustness as a section of the one report. No arithmetic but units."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from edge.questions.robustness.tables import HEADINGS, percent, rows
from edge.report import plots, words
from edge.report.template import template

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SCHEMA = "dermedge/robustness/1"
TITLE = "What do bad photographs cost?"
CLEAN = "clean"
PANEL = (2.9, 2.1)  # inches
ASIDE = 0.12  # of a severity: marks of equal height stand side by side
# Okabe and Ito's, with marker and line that say the same in grey; the float model first, then the files in order.
LOOKS = (
    (plots.BLUE, "o", "-"), (plots.VERMILLION, "^", "--"), (plots.GREEN, "s", "-."), (plots.ORANGE, "D", ":"),
    (plots.GREY, "v", (0, (5, 1))),
)  # fmt: skip
CURVES = (
    ("same_as_float", "Same class as the float model on the same picture",
     "A falling curve: quantisation costs more on bad photographs.", False),
    ("balanced_accuracy", "Balanced accuracy",
     "What bad photographs cost each model. Shaded: 95 % interval of the float model, by resampling patients.",
     True),
    ("same_as_clean", "Same class as on the clean photograph", "How steady each model is.", True),
    ("calibration_error", "Expected calibration error",
     "How far confidence is from correctness; lower is better. With 15 bins, few photographs alone give a few points.",
     True),
)  # fmt: skip


def section(report: Mapping[str, Any], pictures: Mapping[str, str]) -> str:
    """The section's HTML. `pictures`: `picture_name` of each condition -> data address, of one photograph.

    Everything that came from outside (names, ids) is escaped by the template.
    """
    return template("edge.questions.robustness", "robustness.html.j2").render(
        report=report,
        headings=HEADINGS,
        rows=rows(report),
        sentences=[(file["sentence"], file["detail"]) for file in report["files"][1:]],
        curves=[
            {
                "title": title,
                "note": note,
                "panels": [(kind["title"], panel(report, kind, key)) for kind in report["corruptions"]],
            }
            for key, title, note, with_float in CURVES
            if with_float or len(report["files"]) > 1
        ],
        looks=[
            (file["name"], look[0], SIGNS[look[1]]) for file, look in zip(report["files"], looks(report), strict=True)
        ],
        thumbnails=thumbnails(report, pictures),
        details=[details(report, kind) for kind in report["corruptions"]],
    )


SIGNS = {"o": "●", "^": "▲", "s": "■", "D": "◆", "v": "▼"}


def looks(report: Mapping[str, Any]) -> list[tuple[str, str, Any]]:
    return [LOOKS[number % len(LOOKS)] for number in range(len(report["files"]))]


def series(file: Mapping[str, Any], corruption: str, key: str) -> tuple[list[int], list[float]]:
    """Severities, 0 for the clean picture, and values in per cent; NaN where there is none."""
    some = [file["conditions"][0], *(c for c in file["conditions"] if c["corruption"] == corruption)]
    return [c["severity"] for c in some], [np.nan if c[key] is None else 100 * c[key] for c in some]


def panel(report: Mapping[str, Any], corruption: Mapping[str, Any], key: str) -> str:
    every = [
        100 * c[edge]
        for number, file in enumerate(report["files"])
        for c in file["conditions"]
        for edge in ([key, f"{key}_low", f"{key}_high"] if key == "balanced_accuracy" and number == 0 else [key])
        if c[edge] is not None
    ]
    low, high = (min(every), max(every)) if every else (0.0, 100.0)
    room = max(1.0, 0.06 * (high - low))

    def draw(axes: Axes) -> None:
        for number, (file, (colour, marker, line)) in enumerate(zip(report["files"], looks(report), strict=True)):
            if key == "same_as_float" and number == 0:
                continue
            x, y = series(file, corruption["name"], key)
            if key == "balanced_accuracy" and number == 0:
                below, above = (series(file, corruption["name"], f"{key}_{end}")[1] for end in ("low", "high"))
                axes.fill_between(x, below, above, color=colour, alpha=0.15, linewidth=0)
            beside = [severity + ASIDE * (number - (len(report["files"]) - 1) / 2) for severity in x]
            axes.plot(
                beside, y, color=colour, marker=marker, linestyle=line, linewidth=1.2, markersize=4, clip_on=False
            )
        ticks = [0, *corruption["severities"]]
        values = ["clean", *(f"{value:g}" for value in corruption["values"])]
        axes.set_xticks(ticks, [f"{s}\n{v}" if s else v for s, v in zip(ticks, values, strict=True)], fontsize=7)
        axes.set(xlim=(-0.3, 5.3), ylim=(max(0.0, low - room), min(100.0, high + room)), ylabel="%")
        axes.set_xlabel(f"severity; {corruption['unit']}", fontsize=8)
        axes.grid(axis="y", color=plots.GREY, alpha=0.3, linewidth=0.6)

    title = next(title for name, title, *_ in CURVES if name == key)
    return plots.svg(draw, PANEL[1], f"{title} by severity of {corruption['title'].lower()}", PANEL[0])


def picture_name(corruption: str, severity: int) -> str:
    """What the picture of a condition is called among the section's pictures; severity 0 is the photograph itself."""
    return f"{corruption}-{severity}" if severity else CLEAN


def thumbnails(report: Mapping[str, Any], pictures: Mapping[str, str]) -> list[dict[str, Any]]:
    """One row per corruption: the clean picture, then each severity with its value; none without pictures."""
    if CLEAN not in pictures:
        return []
    return [
        {
            "title": kind["title"],
            "unit": kind["unit"],
            "pictures": [
                (CLEAN, pictures[CLEAN]),
                *(
                    (f"{severity}: {value:g}", pictures[picture_name(kind["name"], severity)])
                    for severity, value in zip(kind["severities"], kind["values"], strict=True)
                    if picture_name(kind["name"], severity) in pictures
                ),
            ],
        }
        for kind in report["corruptions"]
    ]


def details(report: Mapping[str, Any], corruption: Mapping[str, Any]) -> dict[str, Any]:
    """All figures of a corruption, a line for each severity and file."""
    lines: list[Sequence[str]] = []
    for severity, value in zip([0, *corruption["severities"]], ["clean", *corruption["values"]], strict=True):
        for number, file in enumerate(report["files"]):
            c = next(
                c
                for c in file["conditions"]
                if c["severity"] == severity and (severity == 0 or c["corruption"] == corruption["name"])
            )
            name = "" if number else f"{severity}: {value:g}" if severity else "clean"
            lines.append(
                (name, file["name"], interval(c), percent(c, "same_as_clean"),
                 percent(c, "same_as_float") if number else words.NOTHING,
                 words.number(c, "mean_largest_delta_p", "p") if number else words.NOTHING,
                 percent(c, "calibration_error"))
            )  # fmt: skip
    return {"title": corruption["title"], "unit": corruption["unit"], "lines": lines}


def interval(c: Mapping[str, Any]) -> str:
    return words.with_interval(
        {"value": c["balanced_accuracy"], "low": c["balanced_accuracy_low"], "high": c["balanced_accuracy_high"]},
        "share",
    )
