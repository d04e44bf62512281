"""What a package of anybody's says of its own arithmetic: packages with rounded weights are held to no float limit."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("coremltools")
from coremltools.converters.mil import Builder as mb

from edge.questions.matrix.measure import halves
from edge.runtimes.foreign.package import Package
from tests.edge.runtimes.coreml._programs import saved

SIDE = 4
CODES = np.arange(3 * SIDE * SIDE * 2, dtype=np.int8).reshape(3 * SIDE * SIDE, 2)
PICTURE = {"image": np.zeros((1, 3, SIDE, SIDE), np.float32)}


def net(weights: Callable) -> Callable:
    return lambda image: mb.matmul(x=mb.reshape(x=image, shape=(1, 3 * SIDE * SIDE)), y=weights())


def plain() -> np.ndarray:
    return CODES.astype(np.float32)


def rounded():
    return mb.constexpr_affine_dequantize(
        quantized_data=CODES, zero_point=np.int8(0), scale=np.float32(0.5), axis=np.int32(0)
    )


@pytest.mark.parametrize(
    ("weights", "half", "is_half"), [(plain, False, False), (plain, True, True), (rounded, False, None)]
)
def test_rounded_weights_are_seen_though_they_are_expanded_when_it_opens(
    tmp_path: Path, weights: Callable, half: bool, is_half: bool | None
) -> None:
    package = Package(saved(net(weights), PICTURE, tmp_path, half=half), "0..1")
    assert halves(package) is is_half
