"""Every question has the same shape, so that who knows one knows all."""

from __future__ import annotations

import inspect
from dataclasses import fields, is_dataclass
from importlib import import_module
from pathlib import Path
from typing import get_args, get_type_hints

import pytest

import edge.questions
from edge.report.page import QUESTIONS
from edge.report.question import QuestionReport
from tests.edge.report._reports import example

HOME = Path(edge.questions.__file__).parent


def test_every_package_is_a_question_of_the_page():
    assert {path.name for path in HOME.iterdir() if (path / "__init__.py").is_file()} == set(QUESTIONS)


@pytest.mark.parametrize("name", QUESTIONS)
def test_a_question_measures_and_shows(name):
    section = import_module(QUESTIONS[name])
    assert QUESTIONS[name] == f"edge.questions.{name}.section"
    assert section.SCHEMA.startswith("dermedge/") and section.SCHEMA.rsplit("/", 1)[1].isdigit()
    assert section.TITLE.endswith("?")
    assert list(inspect.signature(section.section).parameters) == ["report", "pictures"]
    module = import_module(f"edge.questions.{name}.measure")
    if name in {"training", "search"}:  # the runs that they tell of have judged their photographs already
        result = inspect.signature(getattr(module, f"{name}_report"), eval_str=True).return_annotation
    elif name == "devices":  # they have measured; what came with this call is returned beside the report
        result, _ = get_args(get_type_hints(module.judge, vars(module))["return"])
    else:
        measure = inspect.signature(module.measure, eval_str=True)
        positional = [p.name for p in measure.parameters.values() if p.kind is p.POSITIONAL_OR_KEYWORD]
        # whoever converts for the zoo knows what to judge on; the matrix looks at any folder's pictures
        assert positional[1:] == {"zoo": [], "matrix": ["images"]}.get(name, ["photos"])
        assert measure.parameters["on_progress"].default is None
        result = measure.return_annotation
    assert issubclass(result, QuestionReport) and result.name == name
    assert is_dataclass(result) and [field.name for field in fields(result)] == ["report", "pictures"]
    assert result.__dataclass_params__.frozen


@pytest.mark.parametrize("name", QUESTIONS)
def test_its_report_begins_with_the_header_and_is_shown_by_json_alone(name):
    report = example(name)
    section = import_module(QUESTIONS[name])
    first = list(report.report)
    assert first[:3] == ["schema", "notice", "dermedge"] and report.report["schema"] == section.SCHEMA
    if name not in {"zoo", "matrix", "devices", "search"}:  # several models, anybody's files, an app's images
        assert first[3:6] == ["model", "checkpoint_sha256", "data"]
        assert {"name", "images", "patients", "synthetic", "note"} <= report.report["data"].keys()
    html = section.section(report.report, {})
    assert "<h2" not in html and '<section class="part"' not in html  # the page's own
    assert all(table is not None for table in report.tables())
    assert isinstance(report.failed, list) and isinstance(report.failing(strict=True), list)
