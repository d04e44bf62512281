"""The zoo as a section of the one report."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from edge.questions.zoo.plan import FORMATS
from edge.questions.zoo.plot import svg
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
from edge.report.template import template

SCHEMA = "dermedge/zoo/1"
TITLE = "Which model, and which file of it?"


def section(report: Mapping[str, Any], pictures: Mapping[str, str]) -> str:
    """The section's HTML; it has no pictures. Names from outside are escaped by the template."""
    models = report["models"]
    return template("edge.questions.zoo", "zoo.html.j2").render(
        made_by=made_by(report),
        how_to_read=f"{how_to_read(report)} {judged_on(report)}",
        random=RANDOM,
        model_columns=MODEL_COLUMNS,
        models=[model_cells(model) for model in models],
        plot=svg(models),
        file_columns=FILE_COLUMNS,
        files=[(form, file_rows(form, models), rejected(form, models)) for form in FORMATS],
        warnings=warnings(models),
    )
