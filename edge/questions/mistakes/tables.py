"""What each mistake costs, in words: for a terminal, and the cells of the page."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from edge.report import words

if TYPE_CHECKING:
    from rich.table import Table


def cells(cost: Mapping[str, Any]) -> dict[str, str]:
    """The cost of one mistake for one model, as a person reads it."""
    accuracy = cost["balanced_accuracy"]
    return {
        "agreement": words.number(cost["agreement"], "value", "share"),
        "agreement_interval": words.interval(cost["agreement"], "share"),
        "largest": words.number(cost, "largest_delta_p", "p"),
        "median": words.number(cost, "median_delta_p", "p"),
        "before": words.number(accuracy, "before", "share") if accuracy else words.NOTHING,
        "after": words.number(accuracy, "after", "share") if accuracy else words.NOTHING,
        "change": points(accuracy["change"]["value"]) if accuracy else words.NOTHING,
        "change_interval": interval(accuracy["change"]) if accuracy else "",
    }


def points(share: float) -> str:
    text = f"{100 * share:+.1f}"
    return "0.0" if text in {"+0.0", "-0.0"} else text.replace("-", "−")


def interval(change: Mapping[str, Any]) -> str:
    return f"[{points(change['low'])}, {points(change['high'])}]"


def table(report: Mapping[str, Any]) -> Table:
    from rich.markup import escape
    from rich.table import Table

    data = report["data"]
    kind = words.kind_in(data)
    costs = Table(title=escape(f"{report['model']}: mistakes on {data['images']} {kind} ({data['name']})"))
    costs.add_column("mistake", no_wrap=True)
    for form in forms_of(report):
        for name in ("same class", "max |Δp|", "median", "bal. acc."):
            costs.add_column(f"{form}\n{name}", justify="right")
    for row in report["mistakes"]:
        by_form = [cells(cost) for cost in row["forms"].values()]
        numbers = [c[key] for c in by_form for key in ("agreement", "largest", "median", "change")]
        costs.add_row(escape(named(row, report)), *numbers)
    return costs


def named(row: Mapping[str, Any], report: Mapping[str, Any]) -> str:
    """Its name, and of how many photographs, where it does not concern all."""
    some = row["images"] < report["data"]["images"]
    return f"{row['name']}, {row['images']} photographs" if some else row["name"]


def forms_of(report: Mapping[str, Any]) -> list[str]:
    return [file["form"] for file in report["files"]]
