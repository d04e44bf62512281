"""The zoo as a Markdown page, made of its JSON alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from edge.questions.zoo.plan import FORMATS
from edge.questions.zoo.tables import (
    FILE_COLUMNS,
    MODEL_COLUMNS,
    RANDOM,
    file_rows,
    how_to_read,
    judged_on,
    made_by,
    model_cells,
    rejected,
    warnings,
)
from edge.report.markdown import table


def markdown(report: Mapping[str, Any], plot: str | None) -> str:
    """The page. `plot`: file name of the figure beside it."""
    models = report["models"]
    lines = [f"- {line}" for line in warnings(models)]
    parts = [
        "# The zoo",
        f"Every model by every recipe, {made_by(report)}",
        f"{how_to_read(report)} {judged_on(report)} **Random** {RANDOM}",
        "## Models",
        table(MODEL_COLUMNS, [model_cells(model) for model in models]),
        f"![size, time and, where there is a checkpoint, accuracy]({plot})" if plot else "",
        "## Files",
        *(files_section(form, models) for form in FORMATS),
        "## Warnings of the graph audit\n\n" + ("\n".join(lines) or "None."),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def files_section(form: str, models: Sequence[Mapping[str, Any]]) -> str:
    rows, gone = file_rows(form, models), rejected(form, models)
    note = f"\n\nRejected by their gate, so that no file is kept: {', '.join(gone)}." if gone else ""
    return f"### {form}\n\n{table(FILE_COLUMNS, rows)}{note}" if rows or gone else ""
