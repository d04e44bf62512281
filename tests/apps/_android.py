"""The Android app with a small network, built once for all tests that look at it."""

from __future__ import annotations

import hashlib
import importlib.util
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edge import artifact
from edge.answers import encode
from edge.bundles.bundle import PLACES, bundle
from edge.files import sha256, size
from edge.manifest import SelfTest
from edge.runtimes.litert import LiteRT
from tests._answering import small
from tests._sources import ROOT
from tests.edge._manifests import entry, manifest

APP = ROOT / "apps" / "android_demo"
NAME = "net-answers-fp32.tflite"
ANSWERS = {"age": 54.0, "region": "nose", "itches": True, "grew": False}  # what the screens are given
spec = importlib.util.spec_from_file_location("build_apk", APP / "build_apk.py")
assert spec and spec.loader
build_apk = importlib.util.module_from_spec(spec)
spec.loader.exec_module(build_apk)
PROGRAMS = {**build_apk.PROGRAMS, "aapt": "aapt"}  # to build the app, and to look into it
MISSING = sorted({package for program, package in PROGRAMS.items() if not shutil.which(program)})
REPOSITORY = build_apk.repository()
LONGEST_S = build_apk.LONGEST_S
needs_tools = pytest.mark.skipif(
    bool(MISSING) or not (REPOSITORY / "com/android/tools/r8").is_dir(),
    reason=f"apt-get install {' '.join(MISSING)}" if MISSING else "Maven has no r8 here: `make apk`",
)
SLOW = pytest.mark.slow(reason="builds the app: a minute of one processor")


@pytest.fixture(scope="session")
def bundled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The assets of an app with a small network that takes answers."""
    from convert._tflite.file import float_model
    from convert._tflite.second_input import with_second_input

    checkpoint = small()
    log_odds = np.array(checkpoint.log_odds, np.float32)
    folder = tmp_path_factory.mktemp("build")
    path = folder / NAME
    path.write_bytes(with_second_input(float_model(checkpoint).content, log_odds))
    side = checkpoint.preprocess.side
    pixels = np.random.default_rng(0).integers(0, 256, (side, side, 3), np.uint8)
    picture = folder / "self_test_0.png"
    Image.fromarray(pixels).save(picture)
    digests = sha256(picture), hashlib.sha256(pixels.tobytes()).hexdigest()
    vector = encode(ANSWERS, checkpoint.questions)
    runtime, tests = LiteRT(path), []
    for answers in (None, vector):
        answer = runtime.run(pixels[None], None if answers is None else answers[None]).probabilities[0]
        expected = tuple(map(float, answer))
        told = None if answers is None else tuple(map(float, answers))
        tests.append(SelfTest(picture.name, *digests, expected, {path.name: expected}, answers=told))
    files = (entry(path.name, recipe="fp32", answers=True, sha256=sha256(path), bytes=size(path)),)
    facts = manifest(
        side=side, labels=checkpoint.labels, files=files, self_test=tuple(tests), questions=checkpoint.questions,
        log_odds=tuple(tuple(map(float, row)) for row in log_odds),
    )  # fmt: skip
    artifact.write(folder, facts)
    target = tmp_path_factory.mktemp("app")
    bundle(folder, "android", target, recipe="fp32", answers=True)
    return (target / PLACES["android"]).parent


def apks(out: Path, assets: Path, *options: str) -> Path:
    """What build_apk.py leaves."""
    command = [sys.executable, str(APP / "build_apk.py"), *options, str(out), str(assets)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=LONGEST_S)
    assert done.returncode == 0, done.stdout + done.stderr
    return out


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory, bundled: Path) -> Path:
    return apks(tmp_path_factory.mktemp("apk"), bundled)


@pytest.fixture(scope="session")
def built_with_gpu(tmp_path_factory: pytest.TempPathFactory, bundled: Path) -> Path:
    return apks(tmp_path_factory.mktemp("gpu"), bundled, "--gpu")
