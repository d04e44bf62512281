"""The benchmarks of the way to the model's bytes: every way gives a picture, and the files say what was measured."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks import capture, decoders
from benchmarks._profiles import DISPLAY_P3, profile


def test_every_way_makes_the_same_picture() -> None:
    """Within what rounding and another filter explain: nobody is timed doing something else."""
    for shape, _, ways in capture.TASKS.values():
        flat = np.random.default_rng(0).integers(60, 200, shape, dtype=np.uint8)
        made = {name: way(flat) for name, way in ways.items()}
        assert {picture.shape for picture in made.values()} == {(capture.SIDE, capture.SIDE, 3)}
        for name, picture in made.items():
            if name != "Pillow BILINEAR":  # a triangle twice as wide as the area
                assert abs(picture.astype(int) - made["dermedge"]).max() <= 2, name


def test_the_file_holds_ratios_and_memory(tmp_path: Path, monkeypatch, capsys) -> None:
    monkeypatch.setattr(capture, "extra_memory", lambda task, way: 1_000_000)
    assert capture.main(["--rounds", "1", "--out", str(tmp_path)]) == 0
    stored = json.loads((tmp_path / "capture.json").read_text())
    assert [row["way"] for row in stored["rows"]].count("dermedge") == 2
    peers = [row for row in stored["rows"] if row["way"].startswith("OpenCV")]
    assert (
        all(row["ratio"] == pytest.approx(1) for row in peers) and "1.0 MB beside its input" in capsys.readouterr().out
    )


def test_memory_of_a_way_is_measured_in_a_process_of_its_own() -> None:
    found = capture.extra_memory("1080p NV21 to 256 x 256", "OpenCV cvtColor + INTER_AREA")
    assert 4e6 < found < 40e6  # the converted frame alone is 6.2 MB


def test_no_rounds_are_refused(capsys) -> None:
    assert capture.main(["--rounds", "0"]) == 2
    assert "--rounds is at least 1" in capsys.readouterr().err


@pytest.mark.slow(reason="every decoder on every form of a photograph")
def test_decoders(tmp_path: Path, monkeypatch, capsys) -> None:
    """One that is not installed is named, the others are compared; ignoring a profile is seen."""

    def not_there(content: bytes) -> np.ndarray:
        raise ModuleNotFoundError("No module named 'av'")

    for _, readers in decoders.CASES.values():
        if "FFmpeg" in readers:
            monkeypatch.setitem(readers, "FFmpeg", not_there)
    monkeypatch.setenv("DERMEDGE_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("DERMEDGE_PHOTOS", raising=False)
    assert decoders.main(["--images", "2", "--out", str(tmp_path)]) == 0
    rows = {(one["case"], one["other"]): one for one in json.loads((tmp_path / "decoders.json").read_text())["rows"]}
    assert "No module named 'av'" in rows["HEIC", "FFmpeg"]["not_run"] and "not run" in capsys.readouterr().out
    assert rows["JPEG, 4:2:0", "OpenCV"]["full_largest"] <= 2
    exact, ignored = (rows["JPEG in Display P3", name] for name in ("colorimetry in floating point", "profile ignored"))
    assert exact["full_largest"] <= 2 and ignored["full_mean"] > 10 * exact["full_mean"]


def test_the_profile_is_one_that_littlecms_reads() -> None:
    import io

    from PIL import ImageCms

    opened = ImageCms.ImageCmsProfile(io.BytesIO(profile(DISPLAY_P3)))
    assert ImageCms.getProfileDescription(opened).strip() == "P3"
