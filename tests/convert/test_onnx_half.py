"""Files in which somebody computes everything in float16, as on GPUs: by ONNX's own definition in NumPy."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx.reference import ReferenceEvaluator
from onnxruntime.transformers.float16 import convert_float_to_float16

from convert._extremes import drawn
from convert._onnx.format import Prepared
from convert._onnx.layers import Graph
from convert._onnx.program import Lowered, float_model, lower
from edge.checkpoint import load, shipped
from tests.convert._loud_streams import SIDE, Streams

pytestmark = pytest.mark.filterwarnings("ignore:.*isinstance.treespec, LeafSpec:FutureWarning")


@pytest.fixture(scope="module")
def loud() -> Lowered:
    return lower(Streams(), torch.zeros(1, SIDE, SIDE, 3))


def answers(content: bytes, pictures: np.ndarray) -> np.ndarray:
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    return np.array([session.run(None, {"image": one[None].astype(np.float32)})[0][0] for one in pictures])


def half_answers(content: bytes, pictures: np.ndarray) -> np.ndarray:
    """Every number of the file in float16, as ONNX Runtime's own converter writes it; computed by ONNX's reference."""
    half = convert_float_to_float16(onnx.load_from_string(content), disable_shape_infer=False)
    evaluator = ReferenceEvaluator(half)
    with np.errstate(all="ignore"):
        rows = [evaluator.run(None, {"image": one[None].astype(np.float16)})[0][0] for one in pictures]
    return np.array(rows, np.float64)


def test_norms_that_half_precision_makes_zero_are_right(loud: Lowered) -> None:
    pictures = drawn(SIDE)
    right = answers(loud.content, pictures)
    off = [np.abs(half_answers(content, pictures) - right).max() for content in (loud.content, loud.fits_half)]
    assert off[0] > 0.1 > 0.01 > off[1]


@pytest.mark.parametrize("recipe", ["fp32", "fp16"])
def test_files_for_gpus_have_such_norms(recipe: str, loud: Lowered) -> None:
    pictures = drawn(SIDE)
    file = Prepared("", loud, ("a", "b", "c"), SIDE).model(recipe).SerializeToString()
    assert np.abs(half_answers(file, pictures) - answers(file, pictures)).max() < 0.01


def test_float_answers_stay_bit_for_bit(loud: Lowered) -> None:
    pictures = drawn(SIDE)
    assert loud.content != loud.fits_half
    np.testing.assert_array_equal(answers(loud.content, pictures), answers(loud.fits_half, pictures))


def test_what_was_measured_of_a_layer_is_found_by_its_name(loud: Lowered) -> None:
    """The means of what weights are multiplied with are kept with a checkpoint, for the biases of fp16."""
    names = [[(one.weight, one.tensor) for one in Graph(c).layers] for c in (loud.content, loud.fits_half)]
    assert names[0] == names[1] and len(names[0]) == 4


@pytest.mark.slow(reason="lowers hierattn_xs and runs it in NumPy")
def test_the_shipped_network_in_half_precision() -> None:
    """The table of docs/onnx.md. Epsilon ends the factor, so that the checkerboard stays beyond half precision."""
    lowered = float_model(load(shipped("hierattn_xs")))
    pictures = np.concatenate([drawn(128), checkerboard(128)])
    right = answers(lowered.content, pictures)
    np.testing.assert_allclose(answers(lowered.fits_half, pictures), right, atol=1e-5)
    before, now = (
        np.abs(half_answers(content, pictures) - right).max(axis=1) for content in (lowered.content, lowered.fits_half)
    )
    np.testing.assert_allclose(before, [0.32, 0.18, 0.0001, 0.0014, 0.46], atol=0.005)
    np.testing.assert_array_less(now, [0.003, 0.0005, 0.0001, 0.0001, 0.33])


def checkerboard(side: int) -> np.ndarray:
    """Black and white squares of 8 pixels: uint8 (1, side, side, 3)."""
    rows, columns = np.indices((side, side)) // 8
    return np.repeat(255 * ((rows + columns) % 2)[None, :, :, None], 3, axis=3).astype(np.uint8)
