"""The Android app's screens on Android's own framework (Robolectric), with inference by the APK's native library."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edge import artifact
from edge.answers import encode
from edge.bundles.device_report import certified, read_device_report
from edge.capture import read_photo
from edge.phones.android import TFLITE, folder_of, is_set_up
from edge.preprocess import to_input
from edge.runtimes.litert import LiteRT
from tests._answering import SIDE
from tests.apps._android import ANSWERS, APP, LONGEST_S, NAME, REPOSITORY, SLOW, needs_tools
from tests.apps._android_inputs import frames, large, models, photographs
from tests.apps._drawn import FILE

needs_framework = pytest.mark.skipif(
    not ((REPOSITORY / "org/robolectric/robolectric").is_dir() and is_set_up()),
    reason="no Robolectric or Android library here: `make test-apps APPS=android`",
)


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("photos")
    photographs(folder)
    large(folder / "large")
    frames(folder / "frames", SIDE)
    models(folder)
    return folder


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory, built: Path, photos: Path) -> Path:
    """What the screens showed on API 35; that JUnit found every check good."""
    folder = tmp_path_factory.mktemp("results")
    shim = folder_of(TFLITE) / "x86_64"
    command = [sys.executable, "run_screens.py", str(built), "35", str(shim), str(photos), str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=APP, timeout=LONGEST_S)
    assert done.returncode == 0, done.stdout + done.stderr
    said = done.stdout.splitlines()
    assert len(said) == 2 and all(line.startswith("OK (") and not line.startswith("OK (0 ") for line in said)
    return folder


@SLOW
@needs_tools
@needs_framework
def test_the_app_says_what_python_says(bundled: Path, photos: Path, results: Path) -> None:
    facts = artifact.read(bundled / "model")
    runtime = LiteRT(bundled / "model" / NAME, mode=f"android-java:{TFLITE}")
    square = to_input(read_photo(photos / "photo.jpg"), facts.side)[None]
    vector = encode(ANSWERS, facts.questions)[None]
    try:
        alone, answered = runtime.run(square).probabilities[0], runtime.run(square, vector).probabilities[0]
    finally:
        runtime.close()
    assert np.abs(alone - answered).max() > 0.05
    shown = json.loads((results / "answer.json").read_text())["probabilities"]
    for expected, came in ((alone, shown), (answered, json.loads((results / "answered.json").read_text()))):
        assert [came[code] for code in facts.codes] == list(map(float, expected))
        assert list(came) == [facts.codes[i] for i in np.argsort(-expected)]


@SLOW
@needs_tools
@needs_framework
def test_its_report_is_certified(bundled: Path, results: Path) -> None:
    report = read_device_report(results / "device-report.json")
    result = certified(report, artifact.read(bundled / "model"), where="the app's")
    assert result.verdict == "pass" and result.images == 2 and result.largest_delta_p < 1e-5
    assert (result.run.runtime, result.run.version) == ("device-tflite", TFLITE)
    assert result.memory_bytes is None  # no phone: nobody measured it


@SLOW
@needs_tools
@needs_framework
def test_photographs_give_pythons_bytes_or_are_refused(photos: Path, results: Path) -> None:
    decoded = json.loads((results / "decoded.json").read_text())
    assert decoded.keys() == {path.name for path in photos.iterdir() if path.is_file()}
    near, refused = [], []
    for name, outcome in decoded.items():
        if "refused" in outcome:
            refused.append(name)
            continue
        wanted = read_photo(photos / name)
        shape = outcome["height"], outcome["width"], 3
        came = np.frombuffer((results / f"{name}.rgb").read_bytes(), np.uint8).reshape(shape)
        assert wanted.shape == shape, name
        largest = int(np.abs(came.astype(int) - wanted).max())
        assert largest <= 1, name
        if largest:
            near.append(name)
    # a profile, or what it is stated by, is converted in other arithmetic
    assert set(near) <= {"display_p3.jpg", "gama_linear.png", "gama_chrm_adobe_rgb.png"}
    listed = {"cicp_p3.png", "exif_r03.jpg", "exif_r03.png", "gama_of_srgb_alone.png", "grey16.png"}
    listed |= {path.name for path in photos.iterdir() if path.suffix in {".heic", ".avif"}}
    assert set(refused) == listed


@SLOW
@needs_tools
@needs_framework
def test_a_mask_is_drawn_where_python_finds_it(photos: Path, results: Path) -> None:
    folder = photos / "masked"
    pixels = np.asarray(Image.open(folder / "self_test_0.png"))
    runtime = LiteRT(folder / FILE, mode=f"android-java:{TFLITE}")
    try:
        told = runtime.run(pixels[None])
    finally:
        runtime.close()
    assert told.masks is not None
    facts = artifact.read(folder)
    assert facts.mask is not None
    inside = told.masks.reshape(facts.side, facts.side) >= facts.mask.threshold
    assert 0.05 < inside.mean() < 0.5
    shown = json.loads((results / "masked.json").read_text())
    wanted = pixels.copy()
    wanted[inside, 2] = 255
    assert np.array_equal(np.array(shown["rgb"]).reshape(pixels.shape), wanted)
    assert [shown["probabilities"][code] for code in facts.codes] == list(map(float, told.probabilities[0]))
    report = read_device_report(results / "masked-report.json")
    assert certified(report, facts, where="the app's").verdict == "pass"


@SLOW
@needs_tools
@needs_framework
def test_large_photographs_in_a_small_heap_give_pythons_squares(photos: Path, results: Path) -> None:
    squares = json.loads((results / "large.json").read_text())
    assert sorted(squares) == ["108.jpg", "50.png"]
    for name, digest in squares.items():
        square = to_input(read_photo(photos / "large" / name), 224)
        assert hashlib.sha256(square.tobytes()).hexdigest() == digest, name
