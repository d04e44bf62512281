"""A run that is killed, at any moment, goes on to the weights of one that never was, bit for bit."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from dermedge.commands.train import main
from train._folder import STATE

from ._processes import ROOT, command, fit, started

KILLS = 10
FLAGS = [
    "--stages",
    "32x8",
    "--batch",
    "4",
    "--folds",
    "3",
    "--held-back",
    "0.25",
    "--precision",
    "32-true",
    "--threads",
    "1",
]


def same_weights(folder: Path, other: Path) -> bool:
    own, others = load_file(folder), load_file(other)
    return own.keys() == others.keys() and all(torch.equal(own[name], value) for name, value in others.items())


@pytest.mark.slow(reason="trains twice in processes of its own")
def test_a_killed_run_goes_on_to_the_same_weights(tmp_path: Path) -> None:
    with started(1, command(tmp_path / "killed", 8)) as (process,):
        fit(tmp_path / "whole", 8)
        deadline = time.monotonic() + 120
        while not (tmp_path / "killed" / STATE).exists() and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.01)
        process.kill()
        said, _ = process.communicate()
    assert process.returncode == -signal.SIGKILL, said
    fit(tmp_path / "killed", 8, resume=True)
    assert same_weights(tmp_path / "killed" / "weights", tmp_path / "whole" / "weights")


@pytest.mark.slow(reason="trains twice in processes of its own")
def test_a_run_killed_while_its_page_is_written_writes_it_when_resumed(
    folder_of_photographs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        """Nobody catches it."""

    def kill(*_args: object, **_facts: object) -> None:
        raise Killed

    again = ["--data", str(folder_of_photographs), "--out", str(tmp_path), *FLAGS, "--stages", "32x1"]
    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr("train._page.training_report", kill)
        main(again)
    finished = (tmp_path / "checkpoint.safetensors").read_bytes()
    assert main(again) == 2  # as of every run that can be gone on with
    assert main([*again, "--resume"]) == 0
    assert (tmp_path / "report.html").is_file() and not (tmp_path / STATE).exists()
    assert (tmp_path / "checkpoint.safetensors").read_bytes() == finished
    assert main([*again, "--resume"]) == 2  # there is nothing left to do


def command_of(processes: int, data: Path, out: Path, *more: str) -> list[str]:
    """A run from the clone, of one process or as torchrun starts several."""
    start = [sys.executable]
    if processes > 1:
        start += ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes), *more]
    return [*start, str(ROOT / "train" / "train.py"), "--data", str(data), "--out", str(out), *FLAGS]


def begun(command: list[str], folder: Path) -> subprocess.Popen:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "DERMEDGE_CACHE": str(folder / "cache")}
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=folder, env=environment
    )


def ended(command: list[str], folder: Path) -> float:
    """Run to the end; seconds."""
    begin = time.monotonic()
    with begun(command, folder) as process:
        try:
            said, _ = process.communicate(timeout=600)
        except subprocess.TimeoutExpired:
            killed(process)
            raise
    assert process.returncode == 0, said
    return time.monotonic() - begin


def with_children(pid: int) -> list[int]:
    """A process and all that it and they have started, from the kernel's table."""
    parents = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parents[int(stat.parent.name)] = int(stat.read_text().rpartition(")")[2].split()[1])
        except OSError:  # it has just ended
            continue
    family = [pid]
    for member in family:
        family += [child for child, parent in parents.items() if parent == member]
    return family


def killed(process: subprocess.Popen) -> None:
    """With all that it has started, as when a machine is lost."""
    for member in with_children(process.pid) if process.poll() is None else ():
        with suppress(ProcessLookupError):
            os.kill(member, signal.SIGKILL)


@pytest.mark.slow(reason="twelve runs of processes of their own")
@pytest.mark.timeout(1500)  # seconds
@pytest.mark.skipif(not Path("/proc").is_dir(), reason="finds processes in /proc, as Linux has it")
@pytest.mark.parametrize("processes", [1, 2])
def test_killed_ten_times_at_any_moment(processes: int, folder_of_photographs: Path, tmp_path: Path) -> None:
    """While photographs are read, in a step, while the state is written or the figures are made: as it comes.

    A run that ends before it is killed is compared, and the next begins anew.
    """
    lasts = ended(command_of(processes, folder_of_photographs, tmp_path / "whole"), tmp_path)
    again = [*command_of(processes, folder_of_photographs, tmp_path / "killed"), "--resume"]

    def is_whole() -> bool:
        return (tmp_path / "killed" / "checkpoint.json").exists() and not (tmp_path / "killed" / STATE).exists()

    def compared() -> bool:
        return same_weights(*(tmp_path / name / "checkpoint.safetensors" for name in ("killed", "whole")))

    kills, moments = 0, iter(np.random.default_rng(processes).uniform(0.1, 0.9, 4 * KILLS))
    while kills < KILLS:
        moment = next(moments)  # StopIteration: most runs ended before they were killed
        begin, anew = time.monotonic(), not (tmp_path / "killed").exists()
        with begun(again, tmp_path) as process:
            try:
                process.wait(timeout=moment * lasts)
                if anew:  # the machine had more to do before
                    lasts = min(lasts, time.monotonic() - begin)
            except subprocess.TimeoutExpired:
                kills += 1
            killed(process)
        if is_whole():
            assert compared()
            shutil.rmtree(tmp_path / "killed")
    if not is_whole():
        ended(again, tmp_path)
    assert compared()
    assert not list((tmp_path / "killed").glob(".unfinished*"))


@pytest.mark.slow(reason="two runs of two processes each")
@pytest.mark.timeout(1200)  # seconds
@pytest.mark.skipif(not Path("/proc").is_dir(), reason="finds processes in /proc, as Linux has it")
def test_torchrun_replaces_a_lost_process_and_the_run_goes_on(folder_of_photographs: Path, tmp_path: Path) -> None:
    ended(command_of(2, folder_of_photographs, tmp_path / "whole"), tmp_path)
    elastic = command_of(2, folder_of_photographs, tmp_path / "lost", "--max-restarts", "2")
    with begun(elastic, tmp_path) as process:
        while not (tmp_path / "lost" / STATE).exists() and process.poll() is None:
            time.sleep(0.02)
        os.kill(with_children(process.pid)[-1], signal.SIGKILL)  # a worker: torchrun has no other children
        said, _ = process.communicate(timeout=600)
    assert process.returncode == 0, said
    assert said.count("epoch 1 ") == 1 and said.count("checkpoint: ") == 1, said  # the first epoch was not done again
    assert same_weights(*(tmp_path / name / "checkpoint.safetensors" for name in ("lost", "whole")))
