"""A training run as a section of the one report. No arithmetic but units."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from edge.report import class_counts, plots, words
from edge.report.template import template

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SCHEMA = "dermedge/training/1"
TITLE = "How good is it on patients it never saw?"
MOST_READABLE = 30  # classes; of more the confusion matrix has no numbers
CELL = 0.42  # inches
DARK = 0.5  # share of a class from which a cell's number is white
OF_MALIGNANT = {"sensitivity": "malignant lesions called malignant", "specificity": "benign ones called benign",
                "auc": "area under the ROC curve"}  # fmt: skip
RECIPE = (
    "stages",
    "batch",
    "learning_rate",
    "precision",
    "folds",
    "fold",
    "held_back",
    "split_seed",
    "seed",
    "seconds",
)


def section(report: Mapping[str, Any], pictures: Mapping[str, str]) -> str:
    """The section's HTML. `pictures`: number of a wrong answer -> data address of the model's input.

    Everything that came from outside (names, ids) is escaped by the template.
    """
    figures = report["figures"]
    counts = {code: own["images"] for code, own in figures["sensitivity"].items()}
    return template("edge.questions.training", "training.html.j2").render(
        report=report,
        balanced=words.with_interval(figures["balanced_accuracy"], "share"),
        name=class_counts.balanced_accuracy_of(counts),
        remarks=class_counts.remarks(counts),
        accuracy=words.measure(figures["accuracy"], "share"),
        calibration=words.measure(figures["calibration_error"], "share"),
        malignant=[
            (OF_MALIGNANT.get(name, name), share(own)) for name, own in figures.get("malignant", {}).items()
        ],
        classes=[
            (
                words.class_title(label["code"], label["name"]),
                {True: "yes", False: "no", None: "unknown"}[label["malignant"]],
                figures["sensitivity"][label["code"]]["images"],
                share(figures["sensitivity"][label["code"]]),
            )
            for label in report["classes"]
        ],
        curves=curves(report["history"]) if report["history"] else "",
        matrix=matrix(report),
        reliability=reliability(report["reliability"]),
        groups=[(part["by"], [of_group(group) for group in part["groups"]]) for part in report["groups"]],
        wrong=[
            (
                row, words.measure(row["confidence"], "share"), words.measure(row["of_label"], "share"),
                pictures.get(str(n)),
            )
            for n, row in enumerate(report["wrong"])
        ],
        recipe=[
            (name.replace("_", " "), of_recipe(report["recipe"][name])) for name in RECIPE if name in report["recipe"]
        ],
        leaks=leaks(report["leaks"]),
        masks=[of_masks(name, own) for name, own in report.get("masks", {}).get("by_set", {}).items()],
    )  # fmt: skip


def share(estimate: Mapping[str, Any]) -> str:
    """With its interval, or that there is none."""
    return words.with_interval(estimate, "share") if estimate.get("value") is not None else words.NOTHING


def of_group(group: Mapping[str, Any]) -> Sequence[Any]:
    return (
        group["name"], group["photographs"], group["patients"], group["few"], share(group["balanced_accuracy"]),
        share(group["sensitivity"]), share(group["specificity"]),
    )  # fmt: skip


def of_masks(name: str, own: Mapping[str, Any]) -> Sequence[Any]:
    """Photographs, patients, mean Dice with its interval, median Dice, mean IoU, median distance in pixels of a set."""
    mean = f"{own['dice_mean']:.3f} [{own['dice_mean_low']:.3f}, {own['dice_mean_high']:.3f}]"
    return (
        name, own["images"], own["patients"], mean, f"{own['dice_median']:.3f}", f"{own['iou_mean']:.3f}",
        f"{own['boundary_px_median']:.1f}",
    )  # fmt: skip


def of_recipe(value: Any) -> str:
    """A number or text as it is; stages as sides by epochs."""
    if isinstance(value, list):
        return ", ".join(f"{stage[0]} px x {stage[1]}" if isinstance(stage, list) else str(stage) for stage in value)
    return f"{value:g}" if isinstance(value, float) else str(value)


def leaks(report: Mapping[str, Any]) -> str:
    """What the look at the split gave, in a sentence."""
    if not report["compared"]:
        return (
            "No image and no patient is in two parts. Near-copies were not looked for: there are more photographs than "
            "are compared."
        )
    if not report["near_copies"]:
        return "No image, patient or near-copy is in two parts."
    return (
        f"No image and no patient is in two parts, and {report['near_copies']} near-copies are: of "
        f"{report['learned']} unseen photographs the same picture is learned, and the figures flatter by that."
    )


def curves(history: Sequence[Mapping[str, Any]]) -> str:
    """Training loss, and balanced accuracy on the held-back patients, by epoch."""

    def draw(axes: Axes) -> None:
        epochs = [row["epoch"] for row in history]
        axes.plot(epochs, [row["loss"] for row in history], color=plots.BLUE, linewidth=1.3)
        axes.set(xlabel="epoch", ylabel="training loss")
        axes.yaxis.label.set_color(plots.BLUE)
        for row, after in pairwise(history):
            if row["side"] != after["side"]:
                axes.axvline(row["epoch"] + 0.5, color=plots.GREY, linewidth=0.8, linestyle=":")
                axes.annotate(
                    f"{after['side']} px", (row["epoch"] + 0.5, 1), (-3, -3), fontsize=7, ha="right", va="top",
                    xycoords=axes.get_xaxis_transform(), textcoords="offset points",
                )  # fmt: skip
        looks = [row for row in history if row.get("held_back_balanced_accuracy") is not None]
        other = axes.twinx()
        other.patch.set_visible(False)
        other.spines["right"].set_visible(True)
        other.plot(
            [row["epoch"] for row in looks], [100 * row["held_back_balanced_accuracy"] for row in looks],
            color=plots.VERMILLION, linestyle="--", marker="o", markersize=3, linewidth=1.2,
        )  # fmt: skip
        other.set(ylabel="balanced accuracy, held-back patients, %", ylim=(0, 100))
        other.yaxis.label.set_color(plots.VERMILLION)

    return plots.svg(draw, 3.1, "Training loss and balanced accuracy of the held-back patients by epoch")


def matrix(report: Mapping[str, Any]) -> str:
    """Counts by class and answer; the darker, the larger the share of the class."""
    counts, codes = report["confusion"], [label["code"] for label in report["classes"]]
    totals = [max(1, sum(row)) for row in counts]
    readable = len(codes) <= MOST_READABLE

    def draw(axes: Axes) -> None:
        shares = [[count / total for count in row] for row, total in zip(counts, totals, strict=True)]
        for y, row in enumerate(shares):
            for x, part in enumerate(row):
                axes.add_patch(cell(x, y, part))
                if readable:
                    axes.text(x, y, str(counts[y][x]), ha="center", va="center", fontsize=8,
                              color="white" if part > DARK else plots.INK)  # fmt: skip
        axes.set(xlim=(-0.5, len(codes) - 0.5), ylim=(len(codes) - 0.5, -0.5), xlabel="answer", ylabel="class")
        places = list(range(0, len(codes), 1 if readable else -(-len(codes) // MOST_READABLE)))
        named = [codes[place] for place in places]
        axes.set_xticks(places, named, rotation=45 if max(map(len, named)) > 4 else 0, fontsize=8)
        axes.set_yticks(places, [f"{codes[p]} ({sum(counts[p])})" for p in places], fontsize=8)
        axes.tick_params(length=0)

    side = min(6.0, 1.1 + CELL * len(codes))
    return plots.svg(draw, side, "Photographs by class and answer", side + 0.8)


def cell(x: int, y: int, part: float) -> Any:
    from matplotlib.patches import Rectangle

    return Rectangle((x - 0.5, y - 0.5), 1, 1, facecolor=plots.BLUE, alpha=part, edgecolor=plots.GREY, linewidth=0.4)


def reliability(curve: Mapping[str, Any]) -> str:
    """Confidence against correctness; larger marks stand for more photographs."""

    def draw(axes: Axes) -> None:
        bins = zip(curve["confidence"], curve["correct"], curve["counts"], strict=True)
        filled = [(x, y, count) for x, y, count in bins if count]
        axes.plot([0, 1], [0, 1], color=plots.GREY, linewidth=0.8, linestyle=":", label="perfectly calibrated")
        x, y, sizes = zip(*filled, strict=True)
        axes.plot(x, y, color=plots.BLUE, linewidth=1.2, marker="o", markersize=3, label="this network, calibrated")
        axes.scatter(x, y, s=[12 + 150 * size / sum(sizes) for size in sizes], color=plots.BLUE, alpha=0.6)
        axes.set(
            xlim=(0, 1), ylim=(0, 1.02), xlabel="confidence: the highest probability", ylabel="share that is right"
        )
        axes.legend(loc="upper left", fontsize=8)

    return plots.svg(draw, 3.1, "Reliability curve on unseen patients")
