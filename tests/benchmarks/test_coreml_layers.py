"""The benchmark of layers: it runs, and what it compares computes the same."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from benchmarks import coreml_layers


def test_a_run(tmp_path: Path, capsys) -> None:
    assert coreml_layers.main(["--rounds", "1", "--out", str(tmp_path)]) == 0
    rows = json.loads((tmp_path / "coreml_layers.json").read_text())["rows"]
    names = [row["name"] for row in rows]
    assert len(names) == len(set(names)) == 9 * len(coreml_layers.SIZES) + 2
    assert all(row["ms"] > 0 and row["ratio"] > 0 for row in rows)
    assert "while_loop" in capsys.readouterr().out


@torch.inference_mode()
def test_both_sides_do_the_same_work() -> None:
    ours, theirs = coreml_layers.loops()
    torch.testing.assert_close(ours()[1], theirs())
    ours, theirs = coreml_layers.recurrent(3, 2, 4)["lstm (3 x 2 x 4)"]
    for mine, right in zip(ours(), (theirs()[0], theirs()[1][0][0], theirs()[1][1][0]), strict=True):
        torch.testing.assert_close(mine, right)


def test_no_rounds_is_an_error(tmp_path: Path, capsys) -> None:
    assert coreml_layers.main(["--rounds", "0", "--out", str(tmp_path)]) == 2
    assert "--rounds" in capsys.readouterr().err


@pytest.mark.parametrize("length", [coreml_layers.SHORT, coreml_layers.LONG])
def test_lists_are_written_in_place(length: int) -> None:
    """The first list is as it was, whatever was written into it since."""
    from edge.runtimes.coreml.ops.lists import list_write, make_list

    empty = make_list(init_length=length, dynamic_length=False, elem_shape=[8])
    list_write(empty, 0, torch.ones(8))
    assert not empty.read(0).any()
