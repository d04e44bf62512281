"""The golden vectors that apps are tested on: our bytes are theirs, and they are what the written rule makes."""

from __future__ import annotations

import base64
import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge.camera import BgraFrame, Plane, YuvFrame, frame_to_input, i420, nv12, nv21, read_frame
from edge.capture import read_photo
from edge.preprocess import PREPROCESS_VERSION, to_input
from tests.golden.preprocess import make

STORED = json.loads(Path(make.FILE).read_text("utf-8"))
LAYOUTS = {"nv21": nv21, "nv12": nv12, "i420": i420}


def noise(seed: int, count: int) -> bytes:
    """The generator of the file, one multiplication at a time in NumPy's wrapping 32 bits."""
    x, made = np.uint32(seed), np.empty(count, np.uint8)
    with np.errstate(over="ignore"):
        for n in range(count):
            x = x * np.uint32(1664525) + np.uint32(1013904223)
            made[n] = x >> np.uint32(24)
    return made.tobytes()


def frame_of(case: dict[str, Any]) -> YuvFrame | BgraFrame:
    width, height = case["width"], case["height"]
    if case["kind"] == "bgra":
        return BgraFrame(width, height, noise(case["noise"], case["bytes"]), case["row_stride"])
    colour = {"matrix": case["matrix"], "full_range": case["full_range"]}
    if case["layout"] == "planes":
        planes = [Plane(noise(p["noise"], p["bytes"]), p["row_stride"], p["pixel_stride"]) for p in case["planes"]]
        return YuvFrame(width, height, *planes, **colour)
    data = base64.b64decode(case["data"]) if "data" in case else noise(case["noise"], case["bytes"])
    return LAYOUTS[case["layout"]](data, width, height, **colour)


def check(found: np.ndarray, wanted: dict[str, Any]) -> None:
    assert found.shape == (wanted["height"], wanted["width"], 3)
    if "rgb" in wanted:
        stored = np.frombuffer(base64.b64decode(wanted["rgb"]), np.uint8).reshape(found.shape)
        np.testing.assert_array_equal(found, stored)
    assert hashlib.sha256(found.tobytes()).hexdigest() == wanted["sha256"]


@pytest.mark.parametrize("case", STORED["cases"], ids=lambda case: case["name"])
def test_our_bytes_are_the_golden_ones(case: dict[str, Any]) -> None:
    if case["kind"] == "rgb":
        size = (case["height"], case["width"], 3)
        if "fill" in case:
            rgb = np.full(size, case["fill"], np.uint8)
        else:
            rgb = np.frombuffer(noise(case["noise"], int(np.prod(size))), np.uint8).reshape(size)
        check(rgb, case["upright"])
    else:
        frame = frame_of(case)
        turn = {"rotation": case.get("rotation", 0), "mirrored": case.get("mirrored", False), "crop": case.get("crop")}
        rgb = read_frame(frame, **turn)
        check(rgb, case["upright"])
        for wanted in case["inputs"]:
            check(frame_to_input(frame, wanted["width"], **turn), wanted)
    for wanted in case["inputs"]:
        check(to_input(rgb, wanted["width"]), wanted)


@pytest.mark.slow(reason="makes all golden pictures anew")
def test_the_file_is_what_the_reference_makes() -> None:
    assert STORED["version"] == PREPROCESS_VERSION
    assert STORED["cases"] == json.loads(json.dumps(list(make.cases())))


def test_every_corner_is_there() -> None:
    cases = STORED["cases"]
    assert {(c["matrix"], c["full_range"]) for c in cases if c["kind"] == "yuv"} == {
        (matrix, full) for matrix in ("bt601", "bt709") for full in (False, True)
    }
    turns = {(kind, rotation, mirrored) for kind in ("yuv", "bgra") for rotation in (0, 90, 180, 270)
             for mirrored in (False, True)}  # fmt: skip
    assert turns <= {(c["kind"], c.get("rotation", 0), c.get("mirrored", False)) for c in cases}
    assert {"nv21", "nv12", "i420", "planes"} == {c["layout"] for c in cases if c["kind"] == "yuv"}
    assert any(c["width"] % 2 and c["height"] % 2 and c["kind"] == "yuv" for c in cases)
    shapes = [(c["upright"]["width"], c["upright"]["height"], one["width"]) for c in cases for one in c["inputs"]]
    assert any(min(w, h) < side for w, h, side in shapes) and any(min(w, h) == 1 for w, h, _ in shapes)


FILES = json.loads(Path(make.FILE).with_name("files.json").read_text("utf-8"))["files"]


@pytest.mark.parametrize("entry", FILES, ids=lambda entry: entry["file"])
def test_files_of_every_format(entry: dict[str, Any]) -> None:
    """Those that keep their pixels to the byte, the others within what their format loses."""
    if entry["file"].endswith(".heic"):
        pytest.importorskip("pillow_heif", reason="HEIC needs pillow-heif")
    found = read_photo(Path(make.FILE).with_name("files") / entry["file"])
    expected = np.frombuffer(base64.b64decode(entry["rgb"]), np.uint8).reshape(entry["height"], entry["width"], 3)
    assert found.shape == expected.shape
    assert abs(found.astype(int) - expected).max() <= entry["tolerance"]
    if not entry["tolerance"]:
        check(to_input(found, entry["input"]["width"]), entry["input"])
