"""What a cross-validation takes on paper: the sums can be done by hand."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.fold_costs import Work, main, soonest, times_as_fast

# 1000 x 4/5 x 0.9 = 720 images, 10 epochs at the rate's own side: 7200 at 100 a second are 72 s, and 8 s beside it
WORK = Work(1000, 5, 0.1, ((224, 10),), rate=200, share=0.5, cores=1000, fixed_s=8)


def test_one_gpu_trains_fold_after_fold() -> None:
    plan = soonest(WORK, 1, price=3.0)
    assert WORK.fold_s(1) == pytest.approx(80)
    assert (plan.at_a_time, plan.each) == (1, 1) and plan.hours == pytest.approx(400 / 3600)
    assert plan.price == pytest.approx(400 / 3600 * 3)


def test_eight_train_the_folds_at_once_and_all_eight_are_paid() -> None:
    plan = soonest(WORK, 8, price=3.0)
    assert (plan.at_a_time, plan.each) == (5, 1) and plan.price == pytest.approx(8 * 80 / 3600 * 3)


def test_a_fold_gets_no_more_gpus_than_a_machine_has() -> None:
    assert times_as_fast(1) == 1 and times_as_fast(8) == pytest.approx(6.69, abs=0.01)  # as NVIDIA measured
    plan = soonest(WORK, 64, price=3.0)
    assert (plan.at_a_time, plan.each) == (5, 8) and plan.hours == pytest.approx((72 / times_as_fast(8) + 8) / 3600)


def test_few_cores_hold_gpus_back_and_larger_images_count_by_pixels() -> None:
    slow = Work(1000, 5, 0.1, ((192, 10),), rate=1e9, cores=2, fixed_s=0)
    assert slow.fold_s(1) == pytest.approx(7200 * 2.5e-3 / 2)
    large = Work(1000, 5, 0.1, ((448, 10),), rate=200, share=0.5, cores=1000, fixed_s=0)
    assert large.fold_s(1) == pytest.approx(4 * 72)


def test_the_command_writes_what_it_assumed(tmp_path: Path) -> None:
    assert main(["--out", str(tmp_path), "--gpus", "1", "16"]) == 0
    told = json.loads((tmp_path / "fold_costs.json").read_text())
    assert told["work"]["images"] == 25_331 and [plan["gpus"] for plan in told["plans"]] == [1, 16]
    assert main(["--out", str(tmp_path), "--gpus", "12"]) == 2  # half a machine
    assert main(["--out", str(tmp_path), "--price", "nan"]) == 2
