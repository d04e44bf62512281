"""What all tests share. Nothing here loads torch: the tests that need none stay quick."""

from __future__ import annotations

import gc
import json
import logging
import os
import sys
import tempfile
import zlib
from collections.abc import Iterator
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # read when torch loads, also in the processes that tests start
os.environ["DERMEDGE_PHONE_SECONDS"] = "0"  # phones' libraries, where set up, are asked by their own tests

import numpy as np
import pytest


def remove_quietly(name: str, warn_message: str, ignore_errors: bool = False, delete: bool = True) -> None:
    """coremltools keeps a copy of every package in a temporary folder and leaves that to the garbage collector.

    Python's warning of that is an error in whichever test the collector runs; a filter is no help where threads of
    scikit-learn set the filters of the whole process meanwhile.
    """
    if delete:
        tempfile.TemporaryDirectory._rmtree(name, ignore_errors=ignore_errors)  # type: ignore[attr-defined]


tempfile.TemporaryDirectory._cleanup = staticmethod(remove_quietly)  # type: ignore[assignment,method-assign]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A test that `make test` leaves out says why."""
    silent = [item.nodeid for item in items for mark in item.iter_markers("slow") if not mark.kwargs.get("reason")]
    if silent:
        raise pytest.UsageError(f"slow without a reason: {', '.join(silent[:5])}")


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> None:
    """What a file of slow tests leaves unclosed is its own fault, not that of whichever test the garbage is found in.

    Finding it takes some tenths of a second, too long after each quick file.
    """
    if item.get_closest_marker("slow") and (nextitem is None or nextitem.path != item.path):
        gc.collect()


def draw_from(name: str) -> None:
    """Random numbers of torch start from a name, so that none depends on the tests that ran before in the process."""
    if "torch" in sys.modules:
        sys.modules["torch"].manual_seed(zlib.crc32(name.encode()))


@pytest.hookimpl(tryfirst=True)
def pytest_fixture_setup(fixturedef, request) -> None:
    draw_from(f"{fixturedef.baseid}::{fixturedef.argname}{getattr(request, 'param_index', 0)}")


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_call(item: pytest.Item) -> None:
    draw_from(item.nodeid)


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """An empty cache folder of the test's own, so that no test reads or fills the user's."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("DERMEDGE_CACHE", str(folder))
    return folder


@pytest.fixture
def messages() -> Iterator[list[str]]:
    """What the library says beside its results while a test runs: the lines that a command would show."""
    lines: list[str] = []

    class Kept(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(record.getMessage())

    logger, handler = logging.getLogger("dermedge"), Kept(logging.INFO)
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    yield lines
    logger.removeHandler(handler)
    logger.setLevel(level)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


@pytest.fixture(scope="session")
def folder_of_photographs(tmp_path_factory) -> Path:
    """24 photographs of 12 people in class folders, two classes that differ in colour."""
    from PIL import Image

    rng = np.random.default_rng(1)
    folder = tmp_path_factory.mktemp("photographs") / "set"
    lines = ["file,patient"]
    for i in range(24):
        name = ("ben", "mal")[i % 2]
        (folder / name).mkdir(parents=True, exist_ok=True)
        picture = rng.integers(0, 100, (48, 40, 3), np.uint8)
        picture[..., 2 * (i % 2)] += 120
        Image.fromarray(picture).save(folder / name / f"{i}.png")
        lines.append(f"{name}/{i}.png,person{i // 2}")
    (folder / "patients.csv").write_text("\n".join(lines) + "\n")
    classes = [{"code": "ben", "malignant": False}, {"code": "mal", "malignant": True}]
    (folder / "labels.json").write_text(json.dumps({"classes": classes}))
    return folder


@pytest.fixture
def no_photographs(monkeypatch) -> None:
    """Nothing but the synthetic sample, where --data is not given."""
    monkeypatch.delenv("DERMEDGE_PHOTOS", raising=False)
