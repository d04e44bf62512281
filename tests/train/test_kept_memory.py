"""Memory that training frees stays with the process until the run ends: by the kernel's count of pages it hands out."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from edge.checkpoint import Preprocess
from train._batches import Squares
from train._kept_memory import KeptMemory, glibc
from train._recipe import Recipe
from train._trainer import Trainer
from train._training_data import TrainingData

PAGES = 64 * 2**20 // 4096  # of a block beyond what glibc itself keeps
PROGRAM = f"""
import resource
from train._kept_memory import KeptMemory

def pages():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

def resident():
    return int(open("/proc/self/statm").read().split()[1])

def fill():
    before = pages()
    for _ in range(4):
        b"1" * ({PAGES} * 4096)
    return pages() - before

first = fill()
with KeptMemory():
    with KeptMemory():
        fill()
    kept, held = fill(), resident()
print(first, kept, held - resident(), fill())
"""


def counted(**environment: str) -> list[int]:
    """Pages taken by four blocks as usual, by four that are kept; given back at the end; taken by four after it."""
    run = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True,
        env={"PATH": "", "PYTHONPATH": ":".join(sys.path), **environment},
    )  # fmt: skip
    return [int(number) for number in run.stdout.split()]


@pytest.mark.skipif(not glibc(), reason="only glibc is told to keep memory")
def test_blocks_are_taken_once_and_given_back_at_the_end():
    first, kept, given_back, after = counted()
    assert first >= 3.9 * PAGES, "glibc keeps such blocks by itself here, and there is nothing to show"
    assert kept < 0.1 * PAGES
    assert given_back >= 0.9 * PAGES
    assert after >= 3.9 * PAGES  # as it was before


MANY = """
import ctypes
from train._kept_memory import KeptMemory

libc = ctypes.CDLL(None)
libc.malloc.restype, libc.malloc.argtypes, libc.free.argtypes = ctypes.c_void_p, [ctypes.c_size_t], [ctypes.c_void_p]
libc.sbrk.restype, libc.sbrk.argtypes = ctypes.c_void_p, [ctypes.c_ssize_t]
with KeptMemory():
    before = libc.sbrk(0)
    for block in [libc.malloc(40 * 2**20) for _ in range(100)]:  # 4 GB of addresses; no page of it is touched
        libc.free(block)
    print((libc.sbrk(0) - before) // 2**20)
"""


@pytest.mark.skipif(not glibc(), reason="only glibc is told to keep memory")
def test_more_than_two_gigabytes_are_kept_as_well():
    run = subprocess.run(
        [sys.executable, "-c", MANY], capture_output=True, text=True, check=True,
        env={"PATH": "", "PYTHONPATH": ":".join(sys.path)},
    )  # fmt: skip
    assert int(run.stdout) > 2100  # MiB


@pytest.mark.skipif(not glibc(), reason="only glibc is told to keep memory")
@pytest.mark.parametrize("own", [{"MALLOC_TRIM_THRESHOLD_": "131072"}, {"GLIBC_TUNABLES": "glibc.malloc.mmap_max=9"}])
def test_settings_of_the_environment_are_left_alone(own):
    assert counted(**own)[1] >= 3.9 * PAGES


def test_without_glibc_nothing_happens(monkeypatch):
    monkeypatch.setattr("train._kept_memory.glibc", lambda: None)
    with KeptMemory():
        assert KeptMemory().libc is None


def test_a_run_keeps_memory_until_it_ends(tmp_path: Path):
    depths: list[int] = []
    squares = Squares(np.zeros((2, 40, 40, 3), np.uint8), np.arange(2), np.zeros(2, int))
    data = TrainingData(2, lambda side: squares, lambda side: (squares.images[:, :side, :side], squares.targets))
    recipe = Recipe(model="mnasnet", stages=((32, 1),), batch=2, descriptors=0, guide=0)
    run = Trainer(
        recipe, Preprocess("v", 32, (0, 0, 0), (1, 1, 1)), data, folder=tmp_path,
        on_epoch=lambda row: depths.append(KeptMemory._depth),
    )  # fmt: skip
    run.fit()
    assert (depths, KeptMemory._depth) == ([1], 0)
