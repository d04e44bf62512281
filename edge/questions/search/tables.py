"""The trials of a search as rows: of a CSV, of a terminal, of the page. No arithmetic."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from edge.report import words

if TYPE_CHECKING:
    from rich.table import Table

SHOWN = 10  # trials on a screen


def varied(report: Mapping[str, Any]) -> list[str]:
    """The fields of a recipe that the search varied."""
    return list(report["trials"][0]["varied"]) if report["trials"] else []


def csv_rows(report: Mapping[str, Any]) -> list[list[object]]:
    """The header and a row a trial, the best first; figures in four digits, which is more than any interval allows."""
    rows = [list(csv_row(trial, varied(report))) for trial in report["trials"]]
    return [[name for name, _ in rows[0]], *([cell for _, cell in row] for row in rows)] if rows else []


def csv_row(trial: Mapping[str, Any], fields: list[str]) -> Iterator[tuple[str, object]]:
    """(column, cell) of a trial; "" where there is none."""
    figures = trial["figures"] or {}
    yield from (("rank", cell(trial["rank"])), ("trial", trial["trial"]), ("status", trial["status"]))
    yield from ((name, trial["varied"][name]) for name in fields)
    for name, estimate in (
        ("balanced_accuracy", figures.get("balanced_accuracy")),
        ("below_best", trial["below_best"]),
        ("malignant_auc", figures.get("malignant", {}).get("auc")),
    ):
        for part, end in (("value", ""), ("low", "_low"), ("high", "_high")):
            yield name + end, cell((estimate or {}).get(part))
    yield from ((name, cell(figures.get(name))) for name in ("calibration_error", "images", "patients"))
    yield from (("precision", " ".join(trial["precision"])), ("reason", trial["reason"]))


def cell(value: float | None) -> str:
    return "" if value is None else str(value) if isinstance(value, int) else f"{value:.4f}"


def page_rows(report: Mapping[str, Any], most: int) -> list[list[str]]:
    """The best trials that are finished: number, what is varied, balanced accuracy, below the best, malignant AUC."""
    done = [trial for trial in report["trials"] if trial["figures"]][:most]
    return [
        [
            str(trial["trial"]),
            *(str(trial["varied"][name]) for name in varied(report)),
            words.with_interval(trial["figures"]["balanced_accuracy"], "share"),
            "the best" if trial["trial"] == report["best"] else below(trial["below_best"]),
            share(trial["figures"].get("malignant", {}).get("auc")),
        ]
        for trial in done
    ]


def page_columns(report: Mapping[str, Any]) -> list[str]:
    fields = [name.replace("_", " ") for name in varied(report)]
    return ["trial", *fields, "balanced accuracy", "below the best", "malignant AUC"]


def below(estimate: Mapping[str, Any]) -> str:
    return words.with_interval(estimate, "points")


def share(estimate: Mapping[str, Any] | None) -> str:
    known = estimate is not None and estimate.get("value") is not None
    return words.with_interval(estimate, "share") if estimate is not None and known else words.NOTHING


def screen_table(report: Mapping[str, Any]) -> Table:
    """The best trials, for rich's console."""
    from rich.table import Table

    done = sum(trial["figures"] is not None for trial in report["trials"])
    table = Table(title=f"{done} of {len(report['trials'])} trials are finished, the best first")
    for column in page_columns(report):
        table.add_column(column, justify="right")
    for row in page_rows(report, SHOWN):
        table.add_row(*row)
    return table


def worth(report: Mapping[str, Any]) -> str:
    """What the best one's figure is worth; "" where it was not chosen among several."""
    done = sum(trial["figures"] is not None for trial in report["trials"])
    if done < 2:
        return ""
    return (
        f"The best of {done} is flattered by {words.measure(report['flattery'], 'points')}: chosen by some patients "
        f"and judged on others it has {words.with_interval(report['corrected'], 'share')}. Use that figure for it."
    )


def failures(report: Mapping[str, Any]) -> list[str]:
    return [f"trial {trial['trial']} failed: {trial['reason']}" for trial in report["trials"] if trial["reason"]]


def mixture(report: Mapping[str, Any]) -> str:
    """That trials were computed in several precisions; "" where they were not."""
    precisions = sorted({own for trial in report["trials"] for own in trial["precision"]})
    if len(precisions) < 2:
        return ""
    return f"Folds were computed in {' and in '.join(precisions)}; `precision` makes all machines do the same."


def remarks(report: Mapping[str, Any]) -> list[str]:
    """What a terminal and the page say below the table."""
    unfinished = sum(trial["status"] == "open" for trial in report["trials"])
    still = f"{unfinished} trial(s) are not finished." if unfinished else ""
    return [line for line in (worth(report), still, mixture(report), *failures(report)) if line]
