"""How the figures of training look on the screen."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dermedge.console import screen
from edge.report import class_counts

from .._rooms import room

if TYPE_CHECKING:
    from rich.table import Table

WORDS = {"auc": "area under the ROC curve"}


def figures_table(summary: dict, title: str) -> Table:
    """A summary of `train/_summary.py`."""
    from rich.table import Table

    table = Table(title=f"{title}: {summary['images']} photographs, {summary['patients']} patients")
    table.add_column("figure")
    table.add_column("value", justify="right")
    table.add_column("95 % interval", justify="right")
    table.add_row(class_counts.balanced_accuracy_of(counts_of(summary)), *cells(summary["balanced_accuracy"]))
    table.add_row("accuracy", f"{summary['accuracy']:.3f}", "")
    table.add_row("expected calibration error", f"{summary['calibration_error']:.3f}", "")
    for name, value in summary.get("malignant", {}).items():
        table.add_row(f"malignant against benign: {WORDS.get(name, name)}", *cells(value))
    if unknown := summary.get("malignancy_unknown"):
        table.add_row("malignancy unknown of", ", ".join(unknown), "")
    for code, value in summary["sensitivity"].items():
        table.add_row(f"sensitivity {code} ({value['images']})", *cells(value))
    return table


def counts_of(summary: dict) -> dict[str, int]:
    """Class code -> photographs."""
    return {code: value["images"] for code, value in summary["sensitivity"].items()}


def show_figures(summary: dict, title: str) -> None:
    """The table, and below it what the figures do not say by themselves."""
    screen().print(figures_table(summary, title))
    for remark in class_counts.remarks(counts_of(summary)):
        screen().print(f"[yellow]note[/] {remark}", soft_wrap=True)


def cells(value: dict) -> tuple[str, str]:
    if value["value"] is None:
        return "-", ""
    return f"{value['value']:.3f}", f"{value['low']:.3f} to {value['high']:.3f}"


def answers_table(kinds: dict[str, dict], title: str) -> Table:
    """Picture, answers, blanks and both, as `train/_answer_figures.py` compares them."""
    from rich.table import Table

    table = Table(title=title)
    for name in ("of", "balanced accuracy", "95 % interval", "malignant AUC", "95 % interval"):
        table.add_column(name, justify="left" if name == "of" else "right")
    for kind, words in room("train._answer_figures").KINDS.items():
        table.add_row(words, *cells(kinds[kind]["balanced_accuracy"]), *cells(kinds[kind]["malignant_auc"]))
    return table


def show_masks(by_set: dict[str, dict[str, float]]) -> None:
    """A line for each set whose masks were judged."""
    for name, figures in by_set.items():
        screen().print(f"{name}, {mask_line(figures)}", soft_wrap=True)


def mask_line(figures: dict[str, float]) -> str:
    """The figures of `train/_masks.py` in a sentence."""
    return (
        f"masks of {figures['images']} unseen photographs: Dice {figures['dice_mean']:.3f} on average "
        f"(95 % {figures['dice_mean_low']:.3f} to {figures['dice_mean_high']:.3f}), "
        f"{figures['dice_median']:.3f} median; IoU {figures['iou_mean']:.3f}; "
        f"boundary {figures['boundary_px_median']:.1f} pixels away (95 % Hausdorff, median)"
    )
