"""Small shards, so that a few photographs fill several."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge.data.shards import writing
from edge.data.shards.writing import write_shards
from edge.data.table import PhotoSet

SIDE = 48


def in_tens(photos: PhotoSet, out: Path) -> Path:
    """The folder of shards of ten photographs, of SIDE pixels."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(writing, "PER_SHARD", 10)
        return write_shards(photos, out=out, side=SIDE).folder
