"""The limit is as sharp as it is called: what two orders of a sum really part, and the squares of a layer's terms."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch.nn import functional

from edge.questions.matrix.rounding import FLOAT16_UNIT, FLOAT32_UNIT, apart, of_sum
from edge.questions.matrix.squares import convolved, product, reduced_squares
from edge.tflite.graph import Node

SAME, VALID = 0, 1


@pytest.mark.parametrize("mean", [0.0, 1.0])
@pytest.mark.parametrize("terms", [16, 300])
def test_two_orders_of_a_sum_are_as_far_apart_as_said(terms, mean):
    """NumPy's running sums in float32, one term after the other, in two random orders: within the deviation that is
    said, and not a tenth of it."""
    random = np.random.default_rng(0)
    products = (random.standard_normal((400, terms)) + mean).astype(np.float32)
    orders = [random.permuted(products, axis=1) for _ in range(2)]
    first, second = (np.cumsum(order, axis=1, dtype=np.float32)[:, -1].astype(np.float64) for order in orders)
    squares, size = (products.astype(np.float64) ** 2).sum(axis=1), np.abs(first)
    said = of_sum(squares, size, terms, FLOAT32_UNIT)
    seen = np.sqrt(np.mean(((first - second) / said) ** 2))
    assert 0.1 < seen < 1.05


def test_half_precision_against_float32_is_as_far_off_as_said():
    """NumPy's half precision: of stored numbers exactly, of running sums within the deviation, and no tenth of it."""
    random = np.random.default_rng(2)
    numbers = np.exp(random.uniform(-4, 4, 200_000))
    stored = numbers.astype(np.float16).astype(np.float64)
    assert np.sqrt(np.mean(((stored - numbers) / numbers) ** 2)) == pytest.approx(apart(FLOAT16_UNIT), rel=0.02)
    twice = [(numbers * factor).astype(np.float32).astype(np.float64) / factor for factor in (1, 1.37)]  # both round
    seen = np.sqrt(np.mean(((twice[0] - twice[1]) / numbers) ** 2))
    assert seen == pytest.approx(apart(FLOAT32_UNIT), rel=0.05)
    terms = random.standard_normal((400, 100)).astype(np.float16)
    total = np.cumsum(terms, axis=1, dtype=np.float16)[:, -1].astype(np.float64)
    exact = terms.astype(np.float64)
    said = of_sum((exact**2).sum(axis=1), np.abs(exact.sum(axis=1)), 100, FLOAT16_UNIT)
    assert 0.1 < np.sqrt(np.mean(((total - exact.sum(axis=1)) / said) ** 2)) < 1.05


@pytest.mark.parametrize(
    ("padding", "stride", "dilation", "depthwise"),
    [(SAME, 1, 1, False), (SAME, 2, 1, False), (VALID, 2, 1, True), (SAME, 2, 1, True), (VALID, 1, 2, False)],
)
def test_the_squares_of_a_convolution_are_those_of_torch(padding, stride, dilation, depthwise):
    random = np.random.default_rng(1)
    picture = random.random((1, 11, 8, 6))
    weights = random.random((1, 3, 3, 12)) if depthwise else random.random((5, 3, 3, 6))
    reach = 2 * dilation
    sides = [-(-n // stride) if padding == SAME else (n - reach - 1) // stride + 1 for n in (11, 8)]
    reaches = [(side - 1) * stride + reach + 1 for side in sides]
    pads = [max(0, far - n) if padding == SAME else 0 for far, n in zip(reaches, (11, 8), strict=True)]
    padded = functional.pad(
        torch.from_numpy(picture).permute(0, 3, 1, 2),
        (pads[1] // 2, pads[1] - pads[1] // 2, pads[0] // 2, pads[0] - pads[0] // 2),
    )
    kernel = torch.from_numpy(weights).permute((3, 0, 1, 2) if depthwise else (0, 3, 1, 2))
    wanted = functional.conv2d(padded, kernel, stride=stride, dilation=dilation, groups=6 if depthwise else 1)
    options = SimpleNamespace(
        strideH=stride, strideW=stride, dilationHFactor=dilation, dilationWFactor=dilation, padding=padding
    )
    shape = (1, *sides, wanted.shape[1])
    came = convolved(picture, weights, options, shape, depthwise=depthwise)
    np.testing.assert_allclose(came, wanted.permute(0, 2, 3, 1).numpy(), rtol=1e-12)


def test_a_product_is_read_as_the_file_turns_it():
    first, second = np.arange(6.0).reshape(1, 3, 2), np.arange(12.0).reshape(1, 4, 3)
    came = product(first, second, SimpleNamespace(adjX=True, adjY=True))
    np.testing.assert_array_equal(came[0], first[0].T @ second[0].T)


def test_a_mean_over_axes_that_the_file_names():
    value = np.arange(24.0).reshape(1, 3, 4, 2)
    tensors = [SimpleNamespace(buffer=0), SimpleNamespace(buffer=1)]
    axes = np.frombuffer(np.array([1, -2], np.int32).tobytes(), np.uint8)
    model = SimpleNamespace(
        subgraphs=[SimpleNamespace(tensors=tensors)], buffers=[SimpleNamespace(data=None), SimpleNamespace(data=axes)]
    )
    node = Node(0, "MEAN", 1, (0,), (0, 1), (2,))
    squares, terms = reduced_squares(model, node, value, (1, 2))
    assert terms == 12
    np.testing.assert_array_equal(squares, (value**2).sum(axis=(1, 2)))
