"""The table of other people's packages: what is equal, what is refused, and that a wrong answer is called wrong."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from coremltools.converters.mil import Builder as mb

from benchmarks import others_packages
from benchmarks._others import CASES, Example
from edge.errors import BAD_INPUT, GOOD
from tests.edge.runtimes.coreml._programs import saved


def test_a_row_is_equal_wrong_or_refused(tmp_path: Path) -> None:
    x = np.array([1.0, -2.0], np.float32)
    path = saved(lambda x: mb.mul(x=x, y=np.float32(2)), {"x": x}, tmp_path)
    example = Example(path, [({"x": x}, [2 * x])])
    assert others_packages.row_of("m", "s", example).verdict == others_packages.EQUAL
    off = replace(example, rounds=[({"x": x}, [np.array([2.0, -4.01], np.float32)])])
    assert others_packages.row_of("m", "s", off).verdict == others_packages.WRONG
    assert others_packages.row_of("m", "s", replace(off, half=True)).verdict == others_packages.EQUAL
    (tmp_path / "program.mlpackage" / "Manifest.json").unlink()
    assert others_packages.row_of("m", "s", example, "does not exist").verdict == others_packages.REFUSED
    assert others_packages.row_of("m", "s", example, "something else").verdict == others_packages.WRONG


def test_rows_that_do_not_exist_are_named(tmp_path: Path, capsys) -> None:
    assert others_packages.main(["--out", str(tmp_path), "--only", "teleport"]) == BAD_INPUT
    assert "teleport" in capsys.readouterr().err
    assert len(CASES) >= 20


@pytest.mark.slow(reason="two conversions")
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")
def test_a_loop_and_a_neural_network(tmp_path: Path) -> None:
    names = ["a loop", "neural network"]
    assert others_packages.main(["--out", str(tmp_path), "--only", *names]) == GOOD
    table = (tmp_path / "others_packages.md").read_text()
    assert "| a loop | torch, scripted | equal |" in table and "| refused by name | holds a neural network" in table
