"""The trials of a search as a report: the best first, and what it does to its figure that it was chosen."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from edge.data.table import PhotoSet
from edge.metrics.selection import Selection
from edge.metrics.statistics import Estimate
from edge.report.header import data_block, header
from edge.report.question import QuestionReport
from edge.report.strict import plain

from .section import SCHEMA
from .tables import csv_rows, remarks, screen_table

if TYPE_CHECKING:
    from rich.table import Table

TABLE = "search.csv"
FINISHED, FAILED, OPEN = STATUSES = ("finished", "failed", "open")  # in the order of the table
METHOD = (
    "In each draw of patients the best trial is chosen anew, and judged on the patients that the draw lacks "
    "(Tsamardinos and others 2018, Machine Learning 107, 1895-1922)."
)


@dataclass(frozen=True)
class Trial:
    """What came of one recipe."""

    number: int
    varied: dict[str, int | float | str]  # field of the recipe -> value
    status: str  # one of STATUSES
    reason: str = ""  # of a failed one
    figures: dict[str, Any] | None = None  # of a finished one, over all folds (`train/_summary.py`)
    precision: tuple[str, ...] = ()  # in which its folds were computed


class SearchReport(QuestionReport):
    """The section of a search."""

    name: ClassVar[str] = "search"

    @property
    def finished(self) -> list[dict[str, Any]]:
        """The trials that are, the best first."""
        return [trial for trial in self.report["trials"] if trial["status"] == FINISHED]

    def tables(self) -> list[Table | str]:
        return [*([screen_table(self.report)] if self.finished else []), *remarks(self.report)]

    def other_files(self) -> dict[str, str]:
        text = io.StringIO(newline="")
        csv.writer(text).writerows(csv_rows(self.report))
        return {TABLE: text.getvalue()}


def search_report(
    trials: Sequence[Trial], selection: Selection | None, photos: PhotoSet, *, sha256: str
) -> SearchReport:
    """The report of a search over `photos`, whose digest is `sha256`.

    `selection`: that of the finished trials, in the order of `trials`; None where none is finished.
    """
    done = [trial.number for trial in trials if trial.status == FINISHED]
    below = dict(zip(done, selection.below_best, strict=True)) if selection else {}
    chosen = dict(zip(done, selection.chosen, strict=True)) if selection else {}
    ranked = sorted(trials, key=lambda trial: (STATUSES.index(trial.status), -balanced_accuracy(trial)))
    report = {
        **header(SCHEMA, data=data_block(photos, sha256=sha256)),
        "best": done[selection.best] if selection else None,
        "corrected": selection.corrected if selection else None,
        "flattery": selection.flattery if selection else None,
        "method": METHOD,
        "trials": [
            of_trial(rank, trial, below.get(trial.number), chosen.get(trial.number))
            for rank, trial in enumerate(ranked, 1)
        ],
    }
    return SearchReport(plain(report))


def balanced_accuracy(trial: Trial) -> float:
    return trial.figures["balanced_accuracy"]["value"] if trial.figures else 0.0


def of_trial(rank: int, trial: Trial, below: Estimate | None, chosen: float | None) -> dict[str, Any]:
    return {
        "rank": rank if trial.status == FINISHED else None,
        "trial": trial.number,
        "status": trial.status,
        "varied": trial.varied,
        "figures": trial.figures,
        "below_best": below,
        "chosen": chosen,
        "precision": trial.precision,
        "reason": trial.reason,
    }
