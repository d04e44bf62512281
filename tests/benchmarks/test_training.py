"""The benchmark of training: every loop sees the same photographs, and ratios are of passes side by side."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from benchmarks import training
from benchmarks._authors_loop import Published
from benchmarks._plain_loop import Decoded
from edge.data.table import Photo
from edge.models.hierattn import VARIANTS, HierAttn
from edge.preprocess import to_input


@pytest.mark.slow(reason="trains nine loops")
def test_a_run(tmp_path: Path, capsys, folder_of_photographs: Path) -> None:
    flags = ["--side", "32", "--images", "16", "--rounds", "1", "--data", str(folder_of_photographs)]
    assert training.main([*flags, "--out", str(tmp_path)]) == 0
    assert "dermedge, bfloat16, views kept" in capsys.readouterr().out
    rows = {one["name"]: one for one in json.loads((tmp_path / "training.json").read_text())["rows"]}
    assert set(training.COMPARED) | {training.PLAIN, training.HALF} < set(rows)
    assert rows[training.PLAIN]["times_as_fast"] == 1
    assert all(rows[name]["compared_with"] == peer for name, peer in training.COMPARED.items())


def test_ratios_are_of_passes_side_by_side() -> None:
    peer, name = training.PLAIN, "dermedge, float32"
    seconds = {
        peer: np.array([[2.0, 1.0], [4.0, 1.0], [9.0, 1.0]]),
        name: np.array([[1.0, 0.5], [2.0, 0.5], [1.0, 0.1]]),
    }
    one = training.row(name, seconds, 8)
    assert (one["images_per_second"], one["times_as_fast"], one["times_as_fast_by_processor_time"]) == (8, 2, 2)


def test_the_plain_loop_sees_the_same_square(tmp_path: Path) -> None:
    """Within what two ways of resizing a smooth picture differ."""
    y, x = np.mgrid[0:60, 0:90]
    picture = np.stack([x * 2, y * 3, x + y], axis=-1).astype(np.uint8)
    Image.fromarray(picture).save(tmp_path / "a.png")
    seen = Decoded([Photo(tmp_path / "a.png", "a", "NEV", "p", "d")], 40)[0]
    assert np.abs(seen.astype(int) - to_input(picture, 40)).max() <= 4


@pytest.mark.parametrize("side", [64, 96])  # maps of odd sides are resized
def test_the_authors_network_is_the_one_that_is_compared(side: int) -> None:
    """Ours gives the golden logits of the authors' code; the straight port has to give ours."""
    torch.manual_seed(0)
    ours, port = HierAttn(VARIANTS["hierattn_xs"], 6).double().eval(), Published(VARIANTS["hierattn_xs"], 6).double()
    own, theirs = ours.state_dict(), port.state_dict()
    assert [value.shape for value in own.values()] == [value.shape for value in theirs.values()]
    for value in own.values():
        if value.is_floating_point():
            value.copy_(torch.rand_like(value) * 0.2 + 0.01)
    port.load_state_dict(dict(zip(theirs, own.values(), strict=True)))
    x = torch.rand(2, 3, side, side, dtype=torch.float64)
    torch.testing.assert_close(port.eval()(x), ours(x), rtol=1e-9, atol=1e-9)


@pytest.mark.slow(reason="trains seven loops")
def test_a_run_against_the_authors(tmp_path: Path, capsys, folder_of_photographs: Path) -> None:
    flags = ["--side", "32", "--images", "16", "--rounds", "1", "--data", str(folder_of_photographs), "--authors"]
    assert training.main([*flags, "--out", str(tmp_path)]) == 0
    rows = {one["name"]: one for one in json.loads((tmp_path / "training.json").read_text())["rows"]}
    assert rows[training.AUTHORS]["times_as_fast"] == 1 and len(rows) == 7
    assert {one["compared_with"] for one in rows.values()} == {training.AUTHORS}
    assert training.main([*flags, "--model", "mnasnet"]) == 2
    assert "--authors trains hierattn_xs" in capsys.readouterr().err


@pytest.mark.parametrize("flags", [["--model", "resformer_lite"], ["--images", "24"]], ids=str)
def test_what_cannot_be_compared_is_refused(flags: list[str], capsys) -> None:
    assert training.main(flags) == 2
    assert flags[1] in capsys.readouterr().err
