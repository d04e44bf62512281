"""The Android app with a small network, built once for all tests that look at it."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edge import artifact
from edge.bundles.bundle import PLACES, bundle
from edge.files import sha256, size
from edge.labels import Label
from edge.manifest import SelfTest
from edge.runtimes.litert import LiteRT
from tests._sources import ROOT
from tests.edge._manifests import entry, manifest

APP = ROOT / "apps" / "android_demo"
SIDE = 16
LABELS = tuple(Label(code, name, malignant=False) for code, name in (("A", "first"), ("B", "second"), ("C", "third")))
PROGRAMS = {
    "mvn": "maven", "javac": "openjdk-17-jdk-headless", "aapt": "aapt", "aapt2": "aapt", "zipalign": "zipalign",
    "apksigner": "apksigner", "dexdump": "dexdump",
}  # fmt: skip
MISSING = sorted({package for program, package in PROGRAMS.items() if not shutil.which(program)})
REPOSITORY = Path(os.environ.get("M2", Path.home() / ".m2" / "repository"))
needs_tools = pytest.mark.skipif(
    bool(MISSING) or not (REPOSITORY / "com/android/tools/r8").is_dir(),
    reason=f"apt-get install {' '.join(MISSING)}" if MISSING else "Maven has no r8 here: `make apk`",
)
SLOW = pytest.mark.slow(reason="builds the app: a minute of one processor")


@pytest.fixture(scope="session")
def bundled(tmp_path_factory: pytest.TempPathFactory, fp32_file: Path) -> Path:
    """The assets of an app with a small network."""
    folder = tmp_path_factory.mktemp("build")
    path = folder / "net-fp32.tflite"
    shutil.copy(fp32_file, path)
    tests = []
    for number in range(2):
        pixels = np.random.default_rng(number).integers(0, 256, (SIDE, SIDE, 3), np.uint8)
        picture = folder / f"self_test_{number}.png"
        Image.fromarray(pixels).save(picture)
        expected = tuple(map(float, LiteRT(path).run(pixels[None]).probabilities[0]))
        digest = hashlib.sha256(pixels.tobytes()).hexdigest()
        tests.append(SelfTest(picture.name, sha256(picture), digest, expected, {path.name: expected}))
    files = (entry(path.name, sha256=sha256(path), bytes=size(path)),)
    artifact.write(folder, manifest(side=SIDE, labels=LABELS, files=files, self_test=tuple(tests)))
    target = tmp_path_factory.mktemp("app")
    bundle(folder, "android", target, recipe="fp32")
    return (target / PLACES["android"]).parent


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory, bundled: Path) -> Path:
    """What build_apk.py left for it."""
    out = tmp_path_factory.mktemp("apk")
    command = [sys.executable, str(APP / "build_apk.py"), str(out), str(bundled)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return out
