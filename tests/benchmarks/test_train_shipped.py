"""The runs behind the shipped checkpoints: `dermedge` takes each, and what a run needs is made before it."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from benchmarks import train_shipped
from benchmarks._shipped_runs import RUNS, Run, runs_behind
from dermedge.commands import cross_validate, prepare, train
from train._folder import STATE

PARSERS = {"prepare": prepare.parser, "train": train.parser, "cross-validate": cross_validate.parser}
PLACES = {"pad": Path("pad"), "isic": Path("isic"), "runs": Path("runs")}


@pytest.mark.parametrize("run", RUNS, ids=lambda run: run.name)
def test_its_flags_are_those_of_the_command_and_a_recipe_that_is_taken(run: Run) -> None:
    command, *words = run.words(PLACES)
    args = PARSERS[command]().parse_args(words)
    if run.is_training:
        train.recipe_of(args).check()


@pytest.mark.parametrize("run", RUNS, ids=lambda run: run.name)
def test_what_it_starts_from_and_learns_from_is_made_before(run: Run) -> None:
    order = [behind.name for behind in runs_behind(run.name)]
    assert order[-1] == run.name and len(set(order)) == len(order)
    for behind in runs_behind(run.name):
        used = {
            word.split("/")[1] for word in behind.words({**PLACES, "runs": Path("runs")}) if word.startswith("runs/")
        }
        assert used == {behind.name, *behind.after}
        assert all(order.index(needed) < order.index(behind.name) for needed in behind.after)


def test_finished_runs_are_left_and_interrupted_ones_go_on(tmp_path: Path, monkeypatch) -> None:
    ran: list[list[str]] = []

    def instead(words: list[str], **_) -> subprocess.CompletedProcess:
        ran.append(words[4:])
        return subprocess.CompletedProcess(words, 130 if len(ran) == 2 else 0)

    monkeypatch.setattr(train_shipped.subprocess, "run", instead)
    for name, file in (("drawn", "SYNTHETIC.txt"), ("lite0_drawn", STATE)):
        (tmp_path / name).mkdir()
        (tmp_path / name / file).touch()
    flags = ["hierattn_xs_drawn", "--pad", "pad", "--isic", "isic", "--out", str(tmp_path), "--threads", "1"]
    assert train_shipped.main(flags) == 130  # as the second run says
    first, second = ran
    assert "efficientnet_lite0" in first and first[-3:] == ["--threads", "1", "--resume"]
    assert "hierattn_xs" in second and "--resume" not in second


def test_show_trains_nothing(monkeypatch, capsys) -> None:
    monkeypatch.setattr(train_shipped.subprocess, "run", lambda *_, **__: pytest.fail("something was run"))
    assert train_shipped.main(["efficientnet_lite0", "--pad", "pad", "--isic", "isic", "--show", "--jobs", "2"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[:4] for line in lines] == [["dermedge", "cross-validate", "--model", m] for m in (
        "efficientnet_lite2", "efficientnet_lite0", "efficientnet_lite0",
    )]  # fmt: skip
    assert all(line.endswith("--jobs 2") for line in lines)
