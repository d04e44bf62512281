"""The two benchmarks of stated colour: what their rows say, with and without other decoders."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks import _android, _chromium, colour_decoders, stated_colour
from benchmarks._colour_cases import cases
from benchmarks._colour_files import card
from edge.errors import InputError

SHOWN = ("PNG: cICP 12, 13", "PNG: sRGB", "PNG: cICP 9, 16", "HEIF: nclx 12, 13")


def test_rows_say_what_each_decoder_makes_of_a_file(tmp_path: Path, monkeypatch, capsys) -> None:
    """One that ignores every statement, and one that is not installed."""
    pytest.importorskip("pillow_heif")
    monkeypatch.setattr(colour_decoders, "cases", lambda: {name: cases()[name] for name in SHOWN})
    monkeypatch.setattr(_android, "decode_all", lambda files: {("Android 1", "Any"): dict.fromkeys(files, card())})

    def missing(files: dict) -> None:
        raise InputError("no Chromium")

    monkeypatch.setattr(_chromium, "decode_all", missing)
    assert colour_decoders.main(["--out", str(tmp_path)]) == 0
    stored = json.loads((tmp_path / "colour_decoders.json").read_text())
    assert stored["not_run"] == {"Chromium": "no Chromium"} and "no Chromium" in capsys.readouterr().out
    seen = {row["file"]: (row["dermedge"].split(",")[0], row["Android 1, Any"]) for row in stored["rows"]}
    assert seen[SHOWN[0]][0] == "converted" and seen[SHOWN[0]][1] == "plain"
    assert seen[SHOWN[1]] == ("plain", "same") and seen[SHOWN[2]] == ("refused", "plain")
    assert seen[SHOWN[3]] == ("converted", "not here")


@pytest.mark.slow(reason="starts a browser")
def test_chromium_shows_a_wide_gamut() -> None:
    if not any(map(_chromium.shutil.which, _chromium.PROGRAMS)):
        pytest.skip("no Chromium")
    case = cases()["PNG: cICP 12, 13"]
    version, decoded = _chromium.decode_all({"a": ("image/png", case.make()), "b": ("image/png", b"no picture")})
    assert version.startswith("Chromium") or version.startswith("Google")
    ours = colour_decoders.ours(case.make())
    assert isinstance(ours, np.ndarray) and isinstance(decoded["a"], np.ndarray)
    assert abs(decoded["a"].astype(int) - ours).max() <= 1 and decoded["b"] == "not decoded"


@pytest.mark.slow(reason="draws and answers photographs")
def test_photographs_in_another_space_give_the_same_input(tmp_path: Path, monkeypatch) -> None:
    ways = {name: way for name, way in stated_colour.WAYS.items() if way.form in ("PNG", "JPEG")}
    monkeypatch.setattr(stated_colour, "WAYS", ways)
    monkeypatch.setenv("DERMEDGE_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("DERMEDGE_PHOTOS", raising=False)
    assert stated_colour.main(["--images", "2", "--out", str(tmp_path)]) == 0
    rows = json.loads((tmp_path / "stated_colour.json").read_text())["rows"]
    assert [row["way"] for row in rows] == list(ways)
    assert all(row["input_largest"] <= (1 if row["way"].startswith("PNG") else 12) for row in rows)
