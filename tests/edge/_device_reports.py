"""A build with one self-test image, and what a device would report of it."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
from PIL import Image

from edge import artifact
from edge.files import sha256, size
from edge.manifest import SelfTest
from tests.edge._manifests import entry, manifest

SIDE = 16
SURE, EXPECTED = (0.9, 0.1), (0.88, 0.12)


def build_in(folder: Path) -> Path:
    folder.mkdir()
    path = folder / "net-int8.tflite"
    path.write_bytes(b"int8")
    pixels = np.random.default_rng(0).integers(0, 256, (SIDE, SIDE, 3), np.uint8)
    Image.fromarray(pixels).save(folder / "self_test_0.png")
    rgb = hashlib.sha256(pixels.tobytes()).hexdigest()
    test = SelfTest("self_test_0.png", sha256(folder / "self_test_0.png"), rgb, SURE, {path.name: EXPECTED})
    files = (entry(path.name, sha256=sha256(path), bytes=size(path)),)
    artifact.write(folder, manifest(side=SIDE, files=files, self_test=(test,)))
    return folder


def body_for(build: Path) -> dict:
    facts = artifact.read(build)
    return {
        "schema": "dermedge/device-report/1",
        "device": {"model": "Pixel 9", "system": "Android 16"},
        "runtime": {"library": "tflite", "version": "2.16.1", "accelerator": "cpu"},
        "file": {"name": "net-int8.tflite", "sha256": facts.files[0].sha256},
        "images": [{"rgb_sha256": facts.self_test[0].rgb_sha256, "answers": None, "probabilities": [0.85, 0.15]}],
        "milliseconds": {"load": 90, "first": 12.5, "median": 4.5, "p90": 5.0, "runs": 10},
        "memory_bytes": None,
    }


def sealed(folder: Path, report: dict, *, name: str = "device-report.json", **changes: str) -> Path:
    text = json.dumps(report)
    value = {"body": text, "sha256": hashlib.sha256(text.encode()).hexdigest()}
    (folder / name).write_text(json.dumps(value | changes))
    return folder / name
