"""What the tests of conversion start from: random weights, drawn photographs, and the fp32 file made of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from convert import to_tflite
from edge.data.synthetic import write_sample
from tests.convert._random_weights import save_random


@pytest.fixture(scope="session")
def sample(tmp_path_factory) -> Path:
    return write_sample(tmp_path_factory.mktemp("drawn") / "sample", seed=5, patients=8)


@pytest.fixture(scope="session")
def weights(tmp_path_factory) -> Path:
    return save_random(tmp_path_factory.mktemp("random") / "checkpoint")


@pytest.fixture(scope="session")
def given(weights: Path, sample: Path) -> list[str]:
    """The flags that name both, as converters and `dermedge parity` take them."""
    return ["--checkpoint", str(weights), "--data", str(sample)]


@pytest.fixture(scope="session")
def fp32_build(tmp_path_factory, given: list[str]) -> Path:
    """A build folder with the fp32 .tflite alone; whoever changes it, changes a copy."""
    home = tmp_path_factory.mktemp("fp32")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DERMEDGE_CACHE", str(home / "cache"))
        assert to_tflite.main([*given, "--recipe", "fp32", "--out", str(home / "build")]) == 0
    return home / "build"


@pytest.fixture
def no_photographs(monkeypatch) -> None:
    """Nothing but the synthetic sample, where --data is not given."""
    monkeypatch.delenv("DERMEDGE_PHOTOS", raising=False)
