"""The page of a search says what the best figure is worth, and hides no trial that failed."""

from __future__ import annotations

import csv
import re
from pathlib import Path

from edge.questions.search.section import MOST, section
from edge.report.page import render
from tests.edge.report._reports import HOSTILE, example, put


def text_of(html: str) -> str:
    return " ".join(re.sub(r"<[^>]+>", " ", html).split())


def test_the_page_tells_the_worth_of_the_best_and_what_failed(tmp_path: Path) -> None:
    said = text_of(section(example("search").report, {}))
    assert "The best of 2 is flattered by" in said and "Use that figure for it." in said
    assert "trial 2 failed: fold 0, exit code 1: too large" in said and "1 trial(s) are not finished." in said
    assert "computed in 32-true and in bf16-mixed" in said
    put(tmp_path, "search")
    page = render(tmp_path).read_text()
    assert "Which training recipe is the best" in page and "<h1>A search over training recipes</h1>" in page


def test_figures_of_the_table_are_those_of_the_trials() -> None:
    rows = list(csv.DictReader(example("search").other_files()["search.csv"].splitlines()))
    best, failed, unfinished = rows[0], rows[2], rows[3]
    assert (best["rank"], best["trial"], best["batch"]) == ("1", "0", "4")
    assert (best["balanced_accuracy"], best["balanced_accuracy_low"], best["malignant_auc_high"]) == (
        "0.6000", "0.5000", "0.7000",
    )  # fmt: skip
    assert best["below_best"] == "0.0000" and best["images"] == "8"
    assert failed["reason"] == "fold 0, exit code 1: too large" and not failed["rank"] + failed["balanced_accuracy"]
    assert unfinished["status"] == "open"


def test_what_came_from_outside_is_escaped_and_many_trials_are_cut_short() -> None:
    first = example("search").report["trials"][0]
    many = [{**first, "trial": number, "varied": {HOSTILE: number}} for number in range(MOST + 3)]
    html = section(example("search", trials=[*many, {**first, "figures": None, "reason": HOSTILE}]).report, {})
    assert "<script>" not in html and "3 more are in search.csv" in text_of(html)
