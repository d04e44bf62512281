"""Writes scaled.json: small JPEG files, and the pixels that a decoder must give at a half and a quarter.

    python tests/golden/preprocess/make_scaled.py

Large photographs are decoded so (docs/preprocess.md, Large photographs); these files are small, so that an app's test
asks its decoder for the scale itself. What is expected comes from OpenCV's build of libjpeg-turbo; dermedge has
Pillow's.
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))
from tests.golden.preprocess import make

FILES: dict[str, dict[str, Any]] = {
    "4:2:0": {"subsampling": 2},
    "4:2:2": {"subsampling": 1},
    "4:4:4": {"subsampling": 0},
    "4:2:0, progressive": {"subsampling": 2, "progressive": True},
    "grey": {},
}
HEIGHT, WIDTH = 43, 61  # no multiples of a block, nor of 2 or 4
REDUCED = {2: cv2.IMREAD_REDUCED_COLOR_2, 4: cv2.IMREAD_REDUCED_COLOR_4}


def drawn() -> np.ndarray:
    noise = np.frombuffer(make.noise(9, 12 * 16 * 3), np.uint8).reshape(12, 16, 3)
    return cv2.resize(noise, (WIDTH, HEIGHT), interpolation=cv2.INTER_LINEAR)


def case(name: str, options: dict[str, Any]) -> dict[str, Any]:
    buffer = io.BytesIO()
    pixels = drawn()
    Image.fromarray(pixels[:, :, 0] if name == "grey" else pixels).save(buffer, "JPEG", quality=85, **options)
    contents = buffer.getvalue()
    scales = {}
    for scale, flag in REDUCED.items():
        bgr = cv2.imdecode(np.frombuffer(contents, np.uint8), flag)
        assert bgr is not None
        rgb = np.ascontiguousarray(bgr[:, :, ::-1])
        scales[str(scale)] = {
            "width": rgb.shape[1], "height": rgb.shape[0], "first_pixels": rgb[0, :4].tolist(),
            "sha256": hashlib.sha256(rgb.tobytes()).hexdigest(),
        }  # fmt: skip
    return {"name": name, "jpeg": base64.b64encode(contents).decode(), "scales": scales}


def main() -> None:
    cases = [case(name, options) for name, options in FILES.items()]
    Path(__file__).with_name("scaled.json").write_text(json.dumps({"cases": cases}, indent=1) + "\n")


if __name__ == "__main__":
    main()
