"""What the tests of shards share."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest


@pytest.fixture
def copy(packed: Path, tmp_path: Path) -> Path:
    """Shards of the test's own, to be damaged; `packed` is each file's."""
    return Path(shutil.copytree(packed, tmp_path / packed.name))
