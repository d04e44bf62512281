"""The short Python snippets of the documentation run as they stand; those of docs/api.md have a test of their own."""

from __future__ import annotations

import re
import runpy
from pathlib import Path
from typing import Any

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[1]


def run(page: str, given: dict[str, Any], folder: Path, **replaced: str) -> dict[str, Any]:
    """The names that the first snippet of a page leaves; `replaced`: what a file is called here, by its name there."""
    (snippet, *_) = re.findall(
        r"^```python\n(.*?)^```$", (ROOT / "docs" / page).read_text(encoding="utf-8"), re.M | re.S
    )
    for there, here in replaced.items():
        assert there in snippet
        snippet = snippet.replace(there, here)
    program = folder / "snippet.py"
    program.write_text(snippet)
    return runpy.run_path(str(program), init_globals=given)


@pytest.fixture
def photo(folder_of_photographs) -> Path:
    return folder_of_photographs / "ben" / "0.png"


def test_of_decision(photo, tmp_path, capsys):
    """With the shipped checkpoint, as no file has been converted here."""
    names = {"build/hierattn_xs/hierattn_xs-int8.tflite": "hierattn_xs", "photo.jpg": str(photo)}
    left = run("decision.md", {}, tmp_path, **names)
    assert left["outcome"].outcome in {"class", "uncertain", "retake"}
    assert capsys.readouterr().out.startswith(left["outcome"].outcome)


def test_of_preprocess(photo, tmp_path):
    width, height, side = 64, 48, 32
    luma, chroma = np.full(width * height, 128, np.uint8), np.full(width * height // 4, 128, np.uint8)
    given = {
        "path": str(photo), "side": side, "width": width, "height": height, "row_stride": width // 2, "pixel_stride": 1,
        "y": luma.tobytes(), "y_row_stride": width, "u": chroma.tobytes(), "v": chroma.tobytes(),
    }  # fmt: skip
    left = run("preprocess.md", given, tmp_path)
    assert left["square"].shape == (side, side, 3) and set(left["square"].ravel()) == {128}
