"""What was found, for a terminal and as a section of the one report. No arithmetic but units."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from edge.questions.parity.page import jpeg
from edge.report import plots, words
from edge.report.page import template

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from rich.table import Table

PANEL = (2.9, 2.1)  # inches
ASIDE = 0.12  # of a severity: marks of equal height stand side by side
# Okabe and Ito's, with marker and line that say the same in grey; the float model first, then the files in order.
LOOKS = (
    (plots.BLUE, "o", "-"), (plots.VERMILLION, "^", "--"), (plots.GREEN, "s", "-."), (plots.ORANGE, "D", ":"),
    (plots.GREY, "v", (0, (5, 1))),
)  # fmt: skip
CURVES = (
    ("same_as_float", "Same class as the float model on the same picture",
     "Does quantisation cost more on bad photographs? Curves that fall say yes.", False),
    ("balanced_accuracy", "Balanced accuracy",
     "What bad photographs cost, whoever answers. Shaded: 95 % interval of the float model, by resampling patients.",
     True),
    ("same_as_clean", "Same class as its own clean answer", "How steady each is.", True),
    ("calibration_error", "Expected calibration error",
     "How far confidence is from correctness, lower is better. In 15 bins: few photographs alone give some points.",
     True),
)  # fmt: skip
HEADINGS = (
    "answers", "balanced accuracy, good", "balanced accuracy, bad", "as its clean answer", "as float, good",
    "as float, bad", "calibration error, good", "calibration error, bad",
)  # fmt: skip


def percent(holder: Mapping[str, Any], key: str) -> str:
    return words.number(holder, key, "share")


def rows(report: Mapping[str, Any]) -> list[tuple[str, ...]]:
    return [
        (
            one["name"],
            words.with_interval(one["balanced_accuracy_clean"], "share"),
            words.with_interval(one["balanced_accuracy_bad"], "share"),
            percent(one, "same_as_clean_bad"),
            percent(one["conditions"][0], "same_as_float") if number else words.NOTHING,
            percent(one, "same_as_float_bad") if number else words.NOTHING,
            percent(one, "calibration_error_clean"),
            percent(one, "calibration_error_bad"),
        )
        for number, one in enumerate(report["files"])
    ]


def table(report: Mapping[str, Any]) -> Table:
    from rich.markup import escape
    from rich.table import Table

    data = report["data"]
    kind = "synthetic images" if data["synthetic"] else "photographs of unseen patients"
    bad = sum(len(one["severities"]) for one in report["corruptions"])
    made = Table(
        title=escape(f"{report['model']}: {data['images']} {kind} ({data['name']}), each also bad in {bad} ways")
    )
    for number, heading in enumerate(HEADINGS):
        made.add_column(heading, justify="right" if number else "left")
    for row in rows(report):
        made.add_row(*map(escape, row))
    return made


def html(report: Mapping[str, Any], shown: np.ndarray) -> str:
    """The section's HTML. Everything that came from outside (names, ids) is escaped by the template."""
    return template("edge.questions.robustness", "robustness.html.j2").render(
        report=report,
        headings=HEADINGS,
        rows=rows(report),
        sentences=[(one["sentence"], one["detail"]) for one in report["files"][1:]],
        curves=[
            {
                "title": title,
                "note": note,
                "panels": [(one["title"], panel(report, one, key)) for one in report["corruptions"]],
            }
            for key, title, note, with_float in CURVES
            if with_float or len(report["files"]) > 1
        ],
        looks=[
            (one["name"], look[0], SIGNS[look[1]]) for one, look in zip(report["files"], looks(report), strict=True)
        ],
        thumbnails=thumbnails(report, shown),
        details=[details(report, one) for one in report["corruptions"]],
    )


SIGNS = {"o": "●", "^": "▲", "s": "■", "D": "◆", "v": "▼"}


def looks(report: Mapping[str, Any]) -> list[tuple[str, str, Any]]:
    return [LOOKS[number % len(LOOKS)] for number in range(len(report["files"]))]


def series(one: Mapping[str, Any], corruption: str, key: str) -> tuple[list[int], list[float]]:
    """Severities, 0 for the clean picture, and values in per cent; NaN where there is none."""
    some = [one["conditions"][0], *(c for c in one["conditions"] if c["corruption"] == corruption)]
    return [c["severity"] for c in some], [np.nan if c[key] is None else 100 * c[key] for c in some]


def panel(report: Mapping[str, Any], corruption: Mapping[str, Any], key: str) -> str:
    every = [
        100 * c[edge]
        for number, one in enumerate(report["files"])
        for c in one["conditions"]
        for edge in ([key, f"{key}_low", f"{key}_high"] if key == "balanced_accuracy" and number == 0 else [key])
        if c[edge] is not None
    ]
    low, high = (min(every), max(every)) if every else (0.0, 100.0)
    room = max(1.0, 0.06 * (high - low))

    def draw(axes: Axes) -> None:
        for number, (one, (colour, marker, line)) in enumerate(zip(report["files"], looks(report), strict=True)):
            if key == "same_as_float" and number == 0:
                continue
            x, y = series(one, corruption["name"], key)
            if key == "balanced_accuracy" and number == 0:
                below, above = (series(one, corruption["name"], f"{key}_{end}")[1] for end in ("low", "high"))
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


def thumbnails(report: Mapping[str, Any], shown: np.ndarray) -> list[dict[str, Any]]:
    """One row per corruption: the clean picture, then each severity with its value."""
    where = {(c["corruption"], c["severity"]): number for number, c in enumerate(report["files"][0]["conditions"])}
    clean = jpeg("clean", shown[0])
    return [
        {
            "title": one["title"],
            "unit": one["unit"],
            "pictures": [("clean", clean)]
            + [
                (f"{severity}: {value:g}", jpeg(one["name"], shown[where[one["name"], severity]]))
                for severity, value in zip(one["severities"], one["values"], strict=True)
            ],
        }
        for one in report["corruptions"]
    ]


def details(report: Mapping[str, Any], corruption: Mapping[str, Any]) -> dict[str, Any]:
    """All figures of a corruption, a line for each severity and file."""
    lines: list[Sequence[str]] = []
    for severity, value in zip([0, *corruption["severities"]], ["clean", *corruption["values"]], strict=True):
        for number, one in enumerate(report["files"]):
            c = next(
                c
                for c in one["conditions"]
                if c["severity"] == severity and (severity == 0 or c["corruption"] == corruption["name"])
            )
            name = "" if number else f"{severity}: {value:g}" if severity else "clean"
            lines.append(
                (name, one["name"], interval(c), percent(c, "same_as_clean"),
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
