"""Several processes train as one with the joined batch: what they learn, draw and measure is the same."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import nn

from dermedge.commands.train import main
from edge.errors import InputError
from edge.models.layers import StochasticDepth
from train._batch_norm import synchronised
from train._own_noise import OwnNoise, keys_of
from train._recipe import Recipe

from ._processes import RECIPE, command, fit, started


def history(folder: Path) -> list[dict[str, float]]:
    with (folder / "history.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    return [{k: float(v) for k, v in row.items() if k not in {"seconds", "images_per_second"}} for row in rows]


@pytest.mark.slow(reason="trains in two processes")
def test_two_processes_are_one_with_the_joined_batch(tmp_path: Path) -> None:
    """In float64, 45 steps, normalisation frozen: weights, average and figures of sharded evaluation to 1e-10."""
    with started(2, command(tmp_path / "two", 4)) as processes:
        fit(tmp_path / "one", 8)
        said = [process.communicate(timeout=300)[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], said
    one, two = (load_file(tmp_path / name / "weights") for name in ("one", "two"))
    assert one.keys() == two.keys()
    for name, value in one.items():
        torch.testing.assert_close(two[name], value, rtol=1e-10, atol=1e-10)
    figures = [history(tmp_path / name) for name in ("one", "two")]
    assert len(figures[0]) == RECIPE.epochs and "held_back_dice" in figures[0][0]
    for row, other in zip(*figures, strict=True):
        assert other == pytest.approx(row, rel=1e-10)


# Random numbers of a sample


def noisy(x: torch.Tensor, keys: torch.Tensor) -> torch.Tensor:
    with OwnNoise(keys):
        x = F.dropout(StochasticDepth(0.5)(F.dropout2d(x, 0.3)), 0.25)
        rows = F.dropout(x.reshape(2 * len(x), -1), 0.5)  # as attention has them: two sequences of a sample
    return rows.reshape(len(keys), -1)


def test_what_a_sample_draws_does_not_depend_on_its_neighbours() -> None:
    x, keys = torch.ones(24, 8, 4, 4), keys_of(0, 3, range(24))
    whole = noisy(x, keys)
    order = torch.tensor([4, 1, 5])
    torch.manual_seed(99)  # of no matter
    assert torch.equal(noisy(x[order], keys[order]), whole[order])
    assert 6 < len({tuple(row.tolist()) for row in whole}) < 22  # of some the whole residual is dropped
    for other in (keys_of(0, 4, range(24)), keys_of(1, 3, range(24))):
        assert not torch.equal(noisy(x, other), whole)


def test_draws_have_their_probability_and_are_no_copies() -> None:
    """Against what independent draws would do: shares within five standard deviations, correlations likewise."""
    count, probability = 100_000, 0.3
    with OwnNoise(keys_of(7, 0, range(8))):
        first, second = (F.dropout(torch.ones(8, count), probability) for _ in range(2))
    rows = torch.cat([first, second]).double()
    assert rows.unique().tolist() == pytest.approx([0.0, 1 / (1 - probability)])
    dropped = (rows == 0).double()
    deviation = (probability * (1 - probability) / count) ** 0.5
    assert (dropped.mean(dim=1) - probability).abs().max() < 5 * deviation
    correlations = np.corrcoef(dropped.numpy())
    assert np.abs(correlations - np.eye(16)).max() < 5 / count**0.5
    ahead = [np.corrcoef(row[:-lag], row[lag:])[0, 1] for row in dropped.numpy() for lag in (1, 2, 64)]
    assert np.abs(ahead).max() < 5 / count**0.5


def test_maps_are_dropped_whole_and_in_place_is_in_place() -> None:
    x = torch.ones(4, 64, 3, 3)
    with OwnNoise(keys_of(0, 0, range(4))):
        maps = F.dropout2d(x, 0.5, inplace=True)
    assert maps is x and set(x.sum(dim=(2, 3)).unique().tolist()) == {0.0, 18.0}
    with OwnNoise(keys_of(0, 0, range(4))):
        assert torch.equal(F.dropout(torch.ones(5), 0.0), torch.ones(5))
        assert torch.equal(F.dropout(torch.ones(4, 2), 0.5, training=False), torch.ones(4, 2))


def test_synchronised_normalisation_is_refused_on_a_cpu_by_name() -> None:
    with pytest.raises(InputError, match=r"`batch_norm` synchronised is torch's SyncBatchNorm, which needs GPUs"):
        synchronised(nn.BatchNorm2d(3), torch.device("cpu"))
    assert isinstance(synchronised(nn.BatchNorm2d(3), torch.device("cuda")), nn.SyncBatchNorm)
    with pytest.raises(InputError, match=r"`batch_norm` is one of own, synchronised, frozen, got 'other'"):
        Recipe(batch_norm="other").check()


def test_frozen_statistics_need_a_start(folder_of_photographs: Path, tmp_path: Path, capsys) -> None:
    flags = ["--data", str(folder_of_photographs), "--out", str(tmp_path / "run"), "--batch-norm", "frozen"]
    assert main(flags) == 2
    assert "--batch-norm frozen keeps the statistics of --init" in capsys.readouterr().err.replace("\n", " ")
