"""The code of preprocess.md, decision.md and answers.md as it stands on the page, and the vectors that hold it."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from functools import cache
from pathlib import Path
from types import CodeType
from typing import Any

import numpy as np

from tests.golden.answers import make as answers_make
from tests.golden.decision import make as decision_make
from tests.golden.preprocess import make as preprocess_make

DOCS = Path(__file__).resolve().parents[2] / "docs"
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PICTURES = json.loads(preprocess_make.FILE.read_text("utf-8"))["cases"]
ANSWERS = json.loads(answers_make.FILE.read_text("utf-8"))
GATE = json.loads(decision_make.FILE.read_text("utf-8"))
COLOURS = [(matrix, full) for matrix in ("bt601", "bt709") for full in (False, True)]
LARGEST = 320 * 240  # pixels of the vectors that the page's code is run on; the product's test has larger ones
Rule = dict[str, Any]  # what the page's code defines, by name


@cache
def source(page: str) -> str:
    """The blocks that define functions, without those that show how dermedge is called."""
    blocks = BLOCK.findall((DOCS / page).read_text("utf-8"))
    return "\n\n".join(block for block in blocks if not re.search(r"^(import|from|>>>) ", block, re.MULTILINE))


def rule_of(code: CodeType | str) -> Rule:
    names: Rule = {}
    exec(code, names)
    return names


@cache
def noise(seed: int, count: int) -> bytes:
    return preprocess_make.noise(seed, count)


# docs/preprocess.md


def rows(data: bytes, width: int, height: int) -> list[Any]:
    return np.frombuffer(data, np.uint8).reshape(height, width, 3).tolist()


def planes_of(case: dict[str, Any]) -> list[tuple[bytes, int, int]]:
    if case["layout"] == "planes":
        return [(noise(p["noise"], p["bytes"]), p["row_stride"], p["pixel_stride"]) for p in case["planes"]]
    data = base64.b64decode(case["data"]) if "data" in case else noise(case["noise"], case["bytes"])
    width, luma = case["width"], case["width"] * case["height"]
    half = (width + 1) // 2
    chroma = data[luma:]
    if case["layout"] == "i420":
        size = half * ((case["height"] + 1) // 2)
        return [(data, width, 1), (chroma[:size], half, 1), (chroma[size:], half, 1)]
    first, second = (chroma, 2 * half, 2), (chroma[1:], 2 * half, 2)
    return [(data, width, 1), *((first, second) if case["layout"] == "nv12" else (second, first))]


def upright_of(rule: Rule, case: dict[str, Any]) -> Any:
    width, height = case["width"], case["height"]
    if case["kind"] == "rgb":
        return rows(bytes(rule["noise"](case["noise"], 3 * width * height)), width, height)
    if case["kind"] == "bgra":
        frame = rule["bgra_frame"](width, height, noise(case["noise"], case["bytes"]), case["row_stride"])
    else:
        constants = rule["CONSTANTS"][case["matrix"], case["full_range"]]
        frame = rule["yuv_frame"](width, height, planes_of(case), constants)
    crop = case.get("crop", [0, 0, width, height])
    return rule["upright"](frame, crop, case.get("rotation", 0), case.get("mirrored", False))


def same(picture: Any, wanted: dict[str, Any]) -> bool:
    size = (wanted["height"], wanted["width"], 3)
    numbers = np.array(picture)
    return (
        numbers.shape == size
        and bool((numbers == numbers.astype(np.uint8)).all())
        and hashlib.sha256(numbers.astype(np.uint8).tobytes()).hexdigest() == wanted["sha256"]
    )


def holds(rule: Rule, case: dict[str, Any]) -> bool:
    """Whether the page's code gives a golden vector."""
    picture = upright_of(rule, case)
    return same(picture, case["upright"]) and all(
        same(rule["model_input"](picture, wanted["width"]), wanted) for wanted in case["inputs"]
    )


def frame_holds(rule: Rule, case: dict[str, Any]) -> bool:
    """The same of a frame without gaps, all its pixels at once: the page's function of one pixel, on arrays."""
    luma, *chroma = (np.frombuffer(data, np.uint8)[: 65536 // part] for (data, _, _), part in
                     zip(planes_of(case), (1, 4, 4), strict=True))  # fmt: skip
    wide = [plane.reshape(128, 128).repeat(2, 0).repeat(2, 1) for plane in chroma]
    rule |= {"max": np.maximum, "min": np.minimum}
    constants = rule["CONSTANTS"][case["matrix"], case["full_range"]]
    pixels = rule["rgb_of_yuv"](*(plane.reshape(256, 256).astype(np.int64) for plane in (luma, *wide)), constants)
    return same(np.stack(pixels, axis=-1), case["upright"])


NOISE_FRAMES = [case for case in PICTURES if case["kind"] == "yuv" and case["width"] == case["height"] == 256]
PLAIN = sorted(
    (case for case in PICTURES if case["width"] * case["height"] <= LARGEST and case not in NOISE_FRAMES),
    key=lambda case: case["width"] * case["height"],
)
