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
         "rows": [row]}
    )  # fmt: skip
    wanted = "| wider MLP | wider 6 | 1,234,567 | 346 | 2,000,000 | 12.3; 1.50 | 9.9; 1.25 | 0.457 [0.300, 0.600] |"
    assert page.splitlines()[-1] == wanted


@pytest.mark.slow
def test_a_row_from_training_to_page(folder_of_photographs, tmp_path, capsys, monkeypatch):
    """A candidate that was trained is not trained again; another schedule is refused."""
    monkeypatch.setattr(hifuse_design, "PLAIN", (*hifuse_design.PLAIN, "--folds", "3", "--held-back", "0.3"))
    arguments = ["--data", str(folder_of_photographs), "--only", "narrow and deep", "--side", "32", "--rounds", "2"]
    arguments += ["--out", str(tmp_path)]
    assert hifuse_design.main([*arguments, "--stages", "32x1"]) == 0
    assert "training: narrow and deep, fold 0" in capsys.readouterr().out
    (row,) = read_json(tmp_path / "hifuse_design.json", what="the report")["rows"]
    assert row["xnnpack_partitions"] == 1 and row["time"]["int8-dynamic"]["ratio_to_peer"] > 0
    assert hifuse_design.main([*arguments, "--stages", "32x1"]) == 0
    assert "training: narrow and deep" not in capsys.readouterr().out
    assert hifuse_design.main([*arguments, "--stages", "32x2"]) == 2
