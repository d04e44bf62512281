"""A search whose processes are killed, at any moment and with all that they started, ends with the table of one."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from edge.questions.search.measure import TABLE

from ._processes import ROOT
from .test_killed import begun, ended, killed

SPACE = """trials = 2
[recipe]
learning_rate = {low = 1e-3, high = 1e-2, scale = "log"}
batch = [4, 6]
"""
FLAGS = [
    "--model", "shufflenetv2", "--stages", "32x2", "--folds", "2", "--held-back", "0.25", "--precision", "32-true",
]  # fmt: skip
KILLS = 4


def command_of(data: Path, out: Path, *more: str) -> list[str]:
    (out.parent / "space.toml").write_text(SPACE)
    space = ["--space", str(out.parent / "space.toml")]
    own = f"import sys; sys.path[:0] = [{str(ROOT)!r}]; from dermedge.cli import main; sys.exit(main())"
    return [sys.executable, "-c", own, "search", *space, "--data", str(data), "--out", str(out), *FLAGS, *more]


@pytest.mark.slow(reason="two searches of four folds each, of processes of their own")
@pytest.mark.timeout(2400)  # seconds
@pytest.mark.skipif(not Path("/proc").is_dir(), reason="finds processes in /proc, as Linux has it")
def test_killed_searches_end_with_the_table_of_one(folder_of_photographs: Path, tmp_path: Path) -> None:
    lasts = ended(command_of(folder_of_photographs, tmp_path / "whole", "--jobs", "1"), tmp_path)
    again = command_of(folder_of_photographs, tmp_path / "killed", "--jobs", "2")
    kills = 0
    for moment in np.random.default_rng(0).uniform(0.1, 0.6, KILLS):
        with begun(again, tmp_path) as process:
            try:
                process.wait(timeout=moment * lasts)
            except subprocess.TimeoutExpired:
                kills += 1
            killed(process)
    assert kills  # the others came after the end
    ended(again, tmp_path)
    whole, other = (tmp_path / name for name in ("whole", "killed"))
    assert (other / TABLE).read_bytes() == (whole / TABLE).read_bytes()
    assert not list(other.rglob(".unfinished*")) and not list(other.rglob("*.failed.json"))


@pytest.mark.slow(reason="two folds of two processes each")
@pytest.mark.timeout(1200)  # seconds
def test_a_fold_of_several_processes(folder_of_photographs: Path, tmp_path: Path) -> None:
    command = command_of(folder_of_photographs, tmp_path / "two", "--jobs", "1", "--processes", "2")
    place = command.index("search")
    ended([*command[:place], "cross-validate", *command[place + 3 :]], tmp_path)  # without the space
    pooled = json.loads((tmp_path / "two" / "cross_validation.json").read_text())
    assert pooled["out_of_fold"]["images"] == 24
