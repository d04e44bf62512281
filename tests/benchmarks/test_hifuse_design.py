"""The table behind the HiFuse for phones: what it compares, what it says, and that it goes on where it stopped."""

from __future__ import annotations

import pytest

from benchmarks import hifuse_design
from benchmarks.hifuse_design import CANDIDATES, MODEL, REFERENCE, config, markdown, offered
from edge.files import read_json
from edge.models import create_model
from edge.models.cost import cost
from edge.models.hifuse_compact import VARIANTS


def test_the_model_that_is_offered_is_a_candidate():
    assert VARIANTS[MODEL] in [config(name) for name in CANDIDATES]


@pytest.mark.parametrize("name", CANDIDATES)
def test_every_candidate_keeps_the_budget_and_is_offered_only_for_a_while(name):
    before = VARIANTS[MODEL]
    with offered(name):
        parameters, products = cost(create_model(MODEL, 8), 224)
    assert parameters <= 3_000_000 and products <= 600_000_000
    assert VARIANTS[MODEL] is before


def test_an_unknown_candidate_is_refused(tmp_path, capsys):
    assert hifuse_design.main(["--data", str(tmp_path), "--only", "huge", "--out", str(tmp_path / "out")]) == 2
    assert "unknown candidate 'huge'" in capsys.readouterr().err


def test_page_says_each_number_in_its_place():
    accuracy = {"images": 153, "balanced_accuracy": {"value": 0.4567, "low": 0.3, "high": 0.6}}
    row = {
        "name": "wider MLP", "differs": {"wider": 6}, "parameters": 1_234_567, "macs": 345_600_000,
        "bytes": {"fp32": 5_000_000, "int8-dynamic": 2_000_000}, "folds": [accuracy],
        "time": {"fp32": {"ms": 12.34, "ratio_to_peer": 1.5}, "int8-dynamic": {"ms": 9.87, "ratio_to_peer": 1.25}},
    }  # fmt: skip
    page = markdown(
        {"machine": "x86-64", "side": 224, "rounds": 30, "threads": 1, "stages": "64x16,96x5", "reference": REFERENCE,
         "rows": [row], "against_the_first": {}}
    )  # fmt: skip
    wanted = "| wider MLP | wider 6 | 1,234,567 | 346 | 2,000,000 | 12.3; 1.50 | 9.9; 1.25 | 0.457 [0.300, 0.600] |"
    assert page.splitlines()[-1] == wanted


def test_page_compares_every_other_candidate_with_the_first_over_all_folds():
    estimate = {"value": 0.4, "low": 0.35, "high": 0.45}
    found = {
        "balanced_accuracy": [estimate, estimate], "difference": {"value": -0.02, "low": -0.05, "high": 0.01},
        "images": 766, "patients": 594, "folds": [0, 1],
    }  # fmt: skip
    row = {
        "name": "reference", "differs": {}, "parameters": 1, "macs": 1, "bytes": {"int8-dynamic": 1}, "folds": [],
        "time": {recipe: {"ms": 1.0, "ratio_to_peer": 1.0} for recipe in ("fp32", "int8-dynamic")},
    }  # fmt: skip
    page = markdown(
        {"machine": "x86-64", "side": 224, "rounds": 30, "threads": 1, "stages": "64x16", "reference": REFERENCE,
         "rows": [row], "against_the_first": {"narrow and deep": found}}
    )  # fmt: skip
    assert page.splitlines()[-1] == (
        "All folds together: reference 0.400 [0.350, 0.450], narrow and deep 0.400 [0.350, 0.450], difference "
        "-0.020 [-0.050, +0.010]; 766 photographs of 594 patients, folds 0, 1, one run each; 95 % intervals over "
        "patients."
    )


@pytest.mark.slow(reason="trains and converts")
def test_a_row_from_training_to_page(folder_of_photographs, tmp_path, capsys, monkeypatch):
    """A candidate that was trained is not trained again; another schedule is refused."""
    monkeypatch.setattr(hifuse_design, "PLAIN", (*hifuse_design.PLAIN, "--folds", "3", "--held-back", "0.3"))
    arguments = ["--data", str(folder_of_photographs), "--only", "narrow and deep", "--side", "32", "--rounds", "2"]
    arguments += ["--out", str(tmp_path)]
    assert hifuse_design.main([*arguments, "--stages", "32x1"]) == 0
    assert "training: narrow and deep, fold 0" in capsys.readouterr().out
    (row,) = read_json(tmp_path / "hifuse_design.json", expected="the report")["rows"]
    assert row["xnnpack_partitions"] == 1 and row["time"]["int8-dynamic"]["ratio_to_peer"] > 0
    assert hifuse_design.main([*arguments, "--stages", "32x1"]) == 0
    assert "training: narrow and deep" not in capsys.readouterr().out
    assert hifuse_design.main([*arguments, "--stages", "32x2"]) == 2
