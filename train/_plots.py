"""Learning curves and confusion matrices as PNG, readable in print and without colour vision."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np

from edge.files import moved_into_place

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
    left.set(xlabel="epoch", ylabel="training loss (nats, smoothed labels)")
    right = left.twinx()
    right.plot(
        [r["epoch"] for r in looks], [r["held_back_balanced_accuracy"] for r in looks],
        color=ORANGE, linestyle="--", marker="o", markersize=3, label="balanced accuracy, held-back patients",
    )  # fmt: skip
    right.set(ylabel="balanced accuracy (share)", ylim=(0, 1))
    for row, after in pairwise(history):
        if row["side"] != after["side"]:
            left.axvline(row["epoch"] + 0.5, color="0.6", linewidth=0.8)
            left.annotate(
                f"{after['side']} px", (row["epoch"] + 0.7, left.get_ylim()[1]), va="top", color="0.4", fontsize=8
            )
    fig.legend(loc="outside upper center", ncols=2, frameon=False)
    write(fig, path)


def confusion_plot(targets: np.ndarray, answers: np.ndarray, codes: tuple[str, ...], path: Path, *, title: str) -> None:
    """Counts, shaded by the share of the true class."""
    count = np.zeros((len(codes), len(codes)), int)
    np.add.at(count, (targets, answers), 1)
    share = count / np.maximum(1, count.sum(1, keepdims=True))
    fig, axes = figure(1.6 + 0.7 * len(codes), 1.4 + 0.6 * len(codes))
    axes.imshow(share, cmap="Blues", vmin=0, vmax=1)
    for row in range(len(codes)):
        for column in range(len(codes)):
            axes.text(
                column, row, str(count[row, column]), ha="center", va="center",
                color="white" if share[row, column] > 0.6 else "black",
            )  # fmt: skip
    axes.set_xticks(range(len(codes)), codes)
    axes.set_yticks(range(len(codes)), [f"{code} ({total})" for code, total in zip(codes, count.sum(1), strict=True)])
    axes.set(xlabel="answer", ylabel="label (photographs)")
    axes.set_title(title, fontsize=9)
    write(fig, path)
