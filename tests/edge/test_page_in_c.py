"""docs/preprocess.md in C: integers of a fixed width give the golden vectors, and 32 bits end where the page says."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.edge._pages import NOISE_FRAMES, PICTURES, noise, planes_of, rule_of, same, source
from tests.golden.preprocess import make

pytestmark = pytest.mark.skipif(shutil.which("gcc") is None, reason="the C version needs gcc")
TURNED = {"crop", "rotation", "mirrored"}  # by Python in these tests: nothing is computed there
CASES = [case for case in PICTURES if case["kind"] != "bgra" and not TURNED & case.keys()]


class Plane(ctypes.Structure):
    _fields_ = [("data", ctypes.c_char_p), ("row_stride", ctypes.c_int64), ("pixel_stride", ctypes.c_int64)]


@pytest.fixture(scope="module")
def compiled(tmp_path_factory) -> Callable[[str], ctypes.CDLL]:
    """The rule with sums of a C type."""
    folder = tmp_path_factory.mktemp("rule")

    def compile_with(kind: str) -> ctypes.CDLL:
        library = folder / f"{kind}.so"
        if not library.exists():
            flags = ["-std=c99", "-O2", "-Wall", "-Wextra", "-Werror", "-fwrapv", "-shared", "-fPIC", f"-DSUM={kind}"]
            subprocess.run(["gcc", *flags, str(Path(make.__file__).with_name("rule.c")), "-o", library], check=True)
        return ctypes.CDLL(str(library))

    return compile_with


def model_input(rule: ctypes.CDLL, rgb: np.ndarray, side: int) -> np.ndarray:
    result = np.empty((side, side, 3), np.uint8)
    height, width = (ctypes.c_int64(size) for size in rgb.shape[:2])
    assert rule.model_input(width, height, pointer(rgb), ctypes.c_int64(side), pointer(result))
    return result


def pointer(array: np.ndarray) -> ctypes.c_void_p:
    assert array.flags.c_contiguous
    return array.ctypes.data_as(ctypes.c_void_p)


def upright_of(rule: ctypes.CDLL, case: dict[str, Any]) -> np.ndarray:
    size = (case["height"], case["width"], 3)
    if case["kind"] == "rgb":
        if "fill" in case:
            return np.full(size, case["fill"], np.uint8)
        return np.frombuffer(noise(case["noise"], int(np.prod(size))), np.uint8).reshape(size)
    rgb = np.empty(size, np.uint8)
    planes = (Plane * 3)(*(Plane(*plane) for plane in planes_of(case)))
    constants = rule_of(source("preprocess.md"))["CONSTANTS"][case["matrix"], case["full_range"]]
    width, height = ctypes.c_int64(case["width"]), ctypes.c_int64(case["height"])
    rule.yuv_frame(width, height, planes, (ctypes.c_int32 * 6)(*constants), pointer(rgb))
    return rgb


def test_c_gives_the_golden_bytes(compiled) -> None:
    rule = compiled("int64_t")
    assert {case["name"] for case in NOISE_FRAMES} <= {case["name"] for case in CASES}
    for case in CASES:
        rgb = upright_of(rule, case)
        assert same(rgb, case["upright"]), case["name"]
        for wanted in case["inputs"]:
            assert same(model_input(rule, rgb, wanted["width"]), wanted), (case["name"], wanted["width"])


@pytest.mark.parametrize(("kind", "first_too_large"), [("int32_t", 2051), ("uint32_t", 2900)])
def test_32_bits_end_where_the_page_says(compiled, kind: str, first_too_large: int) -> None:
    for n, fits in ((first_too_large - 1, True), (first_too_large, False)):
        white = np.full((n, n, 3), 255, np.uint8)
        assert (model_input(compiled(kind), white, 1) == 255).all() == fits, n
        assert (model_input(compiled("int64_t"), white, 1) == 255).all()
