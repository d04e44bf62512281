"""Learning curves and confusion matrices as PNG, readable in print and without colour vision."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from textwrap import wrap
from typing import TYPE_CHECKING

import numpy as np

from edge.files import moved_into_place
from edge.metrics.statistics import confusion

if TYPE_CHECKING:
    from matplotlib.figure import Figure

CELL, MANY = 0.6, 12  # inches of a cell of a confusion matrix; classes from which it is smaller
MOST_READABLE = 60  # classes; with more, counts are left out and not every class is named
FONT, LETTER = 9, 0.62  # points; width of a letter, in its height
TITLE_WIDTH = 40  # letters
BLUE, ORANGE = "#0072B2", "#D55E00"  # Okabe & Ito's palette


def figure(width: float, height: float):
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    return plt.subplots(figsize=(width, height), dpi=120, layout="constrained")


def write(fig, path: Path) -> None:
    import matplotlib.pyplot as plt

    with moved_into_place(path) as unfinished:
        fig.savefig(unfinished, format="png")
    plt.close(fig)


def curves_plot(history: list[dict], path: Path) -> None:
    """Training loss, and balanced accuracy on the held-back patients, by epoch."""
    fig, left = figure(7, 4)
    left.plot([r["epoch"] for r in history], [r["loss"] for r in history], color=BLUE, label="training loss")
    looks = [r for r in history if "held_back_loss" in r]
    left.set(xlabel="epoch", ylabel="training loss (weighted sum of all its terms)")
    right = left.twinx()
    right.plot(
        [r["epoch"] for r in looks], [r["held_back_balanced_accuracy"] for r in looks],
        color=ORANGE, linestyle="--", marker="o", markersize=3, label="balanced accuracy, held-back patients",
    )  # fmt: skip
    right.set(ylabel="balanced accuracy (share)", ylim=(0, 1))
    for row, after in pairwise(history):
        if row["side"] != after["side"]:
            left.axvline(row["epoch"] + 0.5, color="0.6", linewidth=0.8)
            last = late(row, history)  # then the words stand before the line, where there is room for them
            left.annotate(
                f"then {after['side']} px" if last else f"{after['side']} px", (row["epoch"] + 0.5, 1),
                (-3 if last else 3, -3), xycoords=left.get_xaxis_transform(), textcoords="offset points",
                ha="right" if last else "left", va="top", color="0.4", fontsize=8,
            )  # fmt: skip
    fig.legend(loc="outside upper center", ncols=2, frameon=False)
    write(fig, path)


def late(row: dict, history: list[dict]) -> bool:
    """Whether an epoch stands in the last quarter of the plot."""
    return row["epoch"] > 0.75 * history[-1]["epoch"]


def confusion_plot(targets: np.ndarray, answers: np.ndarray, codes: tuple[str, ...], path: Path, *, title: str) -> None:
    """Counts, shaded by the share of the true class."""
    write(confusion_figure(targets, answers, codes, title=title), path)


def confusion_figure(targets: np.ndarray, answers: np.ndarray, codes: tuple[str, ...], *, title: str) -> Figure:
    count = confusion(targets, answers, len(codes))
    share = count / np.maximum(1, count.sum(1, keepdims=True))
    readable = len(codes) <= MOST_READABLE
    cell = CELL if len(codes) <= MANY else CELL * 0.6 if readable else 20 / len(codes)  # inches
    size = FONT if len(codes) <= MANY else FONT * 0.7  # points
    longest = max(len(code) for code in codes)
    lying = longest * size * LETTER < cell * 72  # whether the longest code fits beneath its column
    margin = longest * size * LETTER / 72  # inches, of the labels on the left, and below where they are turned
    width = max(2.0 + margin + cell * len(codes), len(min_title(title)) * FONT * LETTER / 72)
    fig, axes = figure(width, 1.4 + (0.2 if lying else margin * 0.75) + cell * len(codes))
    axes.imshow(share, cmap="Blues", vmin=0, vmax=1)
    for row in range(len(codes) if readable else 0):
        for column in range(len(codes)):
            axes.text(
                column, row, str(count[row, column]), ha="center", va="center", fontsize=size,
                color="white" if share[row, column] > 0.6 else "black",
            )  # fmt: skip
    turned = {} if lying else {"rotation": 45, "ha": "right", "rotation_mode": "anchor"}
    named = range(0, len(codes), 1 if readable else -(-len(codes) // MOST_READABLE))
    axes.set_xticks(named, [codes[place] for place in named], fontsize=size, **turned)
    axes.set_yticks(named, [f"{codes[place]} ({count[place].sum()})" for place in named], fontsize=size)
    axes.set(xlabel="answer", ylabel="label (photographs)")
    fig.suptitle("\n".join(wrap(title, max(TITLE_WIDTH, int(width * 72 / (FONT * LETTER))))), fontsize=FONT)
    return fig


def min_title(title: str) -> str:
    """The longest line of the title where it is broken as often as may be."""
    return max(wrap(title, TITLE_WIDTH), key=len)
