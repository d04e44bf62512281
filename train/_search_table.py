"""The trials of a search as a table and as JSON, the best first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from edge.data.rows import write_rows
from edge.files import write_json
from edge.metrics.statistics import Estimate
from edge.report.header import header
from edge.report.strict import plain

from ._search import FINISHED, Search, TrialResult
from ._summary import interval

TABLE, REPORT = "search.csv", "search.json"
SCHEMA = "dermedge/search/1"
METHOD = (
    "In each draw of patients the best trial is chosen anew, and judged on the patients that the draw lacks "
    "(Tsamardinos and others 2018, Machine Learning 107, 1895-1922)."
)


def write_table(result: Search) -> Path:
    """Write search.csv, a row a trial, and search.json into the search's folder; returns the table."""
    report = report_of(result)
    varied = list(result.trials[0].varied)
    rows = [row(own, varied) for own in report["trials"]]
    write_rows(result.folder / TABLE, [name for name, _ in rows[0]], [[value for _, value in own] for own in rows])
    write_json(result.folder / REPORT, report)
    return result.folder / TABLE


def report_of(result: Search) -> dict[str, Any]:
    """The search as JSON: trials, the best first, and what the best one's figure is worth."""
    done = [trial.number for trial in result.trials if trial.status == FINISHED]
    below = dict(zip(done, result.selection.below_best, strict=True)) if result.selection else {}
    chosen = dict(zip(done, result.selection.chosen, strict=True)) if result.selection else {}
    report = {
        **header(SCHEMA),
        "data": result.data,
        "trials": [
            of_trial(rank, trial, below.get(trial.number), chosen.get(trial.number))
            for rank, trial in enumerate(result.ranked, 1)
        ],
        "best": done[result.selection.best] if result.selection else None,
        "corrected": interval(result.selection.corrected) if result.selection else None,
        "flattery": result.selection.flattery if result.selection else None,
        "method": METHOD,
    }
    return plain(report)


def of_trial(rank: int, trial: TrialResult, below: Estimate | None, chosen: float | None) -> dict[str, Any]:
    return {
        "rank": rank if trial.status == FINISHED else None,
        "trial": trial.number,
        "status": trial.status,
        "varied": trial.varied,
        "figures": trial.figures,
        "below_best": interval(below) if below else None,
        "chosen": chosen,
        "precision": list(trial.precision),
        "reason": trial.reason,
    }


def row(trial: Mapping[str, Any], varied: Sequence[str]) -> list[tuple[str, object]]:
    """(column, cell) of a trial; "" where there is none."""
    figures = trial["figures"] or {}
    estimates = {
        "balanced_accuracy": figures.get("balanced_accuracy"),
        "below_best": trial["below_best"],
        "malignant_auc": figures.get("malignant", {}).get("auc"),
    }
    return [
        ("rank", shown(trial["rank"])),
        ("trial", trial["trial"]),
        ("status", trial["status"]),
        *((name, trial["varied"][name]) for name in varied),
        *(
            (name + end, shown((estimate or {}).get(part)))
            for name, estimate in estimates.items()
            for part, end in (("value", ""), ("low", "_low"), ("high", "_high"))
        ),
        ("calibration_error", shown(figures.get("calibration_error"))),
        ("images", shown(figures.get("images"))),
        ("patients", shown(figures.get("patients"))),
        ("precision", " ".join(trial["precision"])),
        ("reason", trial["reason"]),
    ]


def shown(value: float | None) -> str:
    """A figure in four digits, which is more than any interval allows."""
    return "" if value is None else str(value) if isinstance(value, int) else f"{value:.4f}"
