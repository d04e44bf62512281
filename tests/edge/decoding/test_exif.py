"""EXIF blocks, whole and damaged, say of a photograph what the golden vectors of the apps say."""

from __future__ import annotations

import json
import runpy
import struct
import sys
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from edge.capture import read_photo
from edge.colour.exif import space_in
from edge.colour.spaces import SRGB
from tests._sources import ROOT

MAKE = ROOT / "tests" / "golden" / "exif" / "make.py"
CASES = json.loads(MAKE.with_name("cases.json").read_text("utf-8"))["cases"]
STORED = np.array([[255, 255, 255], [255, 0, 0]], np.uint8)[:, :, None].repeat(3, 2)  # black and white in every space
TURNED = {1: STORED, 6: np.rot90(STORED, -1)}  # 6: the stored left is the top, so it is turned clockwise
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:PIL")  # of damaged blocks


def with_block(png: Path, block: bytes) -> None:
    """The picture as a PNG with the block in it (PNG 3, 11.3.3.5: without `Exif` before it)."""
    Image.fromarray(STORED).save(png)
    content = png.read_bytes()
    chunk = struct.pack(">I", len(block)) + b"eXIf" + block + struct.pack(">I", zlib.crc32(b"eXIf" + block))
    png.write_bytes(content[:33] + chunk + content[33:])


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_a_photograph_is_turned_and_coloured_by_its_block(case: dict[str, Any], tmp_path: Path) -> None:
    block = bytes.fromhex(case["block"])
    with_block(tmp_path / "photo.png", block)
    np.testing.assert_array_equal(read_photo(tmp_path / "photo.png"), TURNED[case["orientation"]])
    assert (space_in(b"Exif\0\0" + block, "photo") not in (None, SRGB)) == case["other_space"]


def test_the_blocks_are_what_the_script_makes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", [str(MAKE), "--check"])
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(MAKE), run_name="__main__")
    assert ended.value.code == 0
