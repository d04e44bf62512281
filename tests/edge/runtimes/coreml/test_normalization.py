"""Norms against NumPy, and against Apple's own values where the op definition computes them."""

from __future__ import annotations

import coremltools as ct
import numpy as np
import pytest
import torch
from coremltools.converters.mil import Builder as mb
from torch.nn import functional as F

from edge.runtimes import coreml
from edge.runtimes.coreml import RuntimeDependentWarning
from edge.runtimes.coreml.ops.normalization import layer_norm
from tests.edge.runtimes.coreml._programs import run, saved

RNG = np.random.default_rng(0)


def some(*shape: int) -> np.ndarray:
    return RNG.standard_normal(shape).astype(np.float32)


def folded(make):
    """What Apple's definition of the op gives for constants."""
    found = {}

    @mb.program(input_specs=[], opset_version=ct.target.iOS16)
    def program():
        found["value"] = make().val
        return mb.const(val=np.float32(0))

    return found["value"]


def close(found, expected) -> None:
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, rtol=2e-5, atol=2e-6)


@pytest.mark.parametrize("shape", [(2, 3, 5), (2, 3, 4, 5), (2, 3, 4, 5, 2)])
def test_batch_norm(shape):
    x, mean, gamma, beta = some(*shape), some(3), some(3), some(3)
    variance = np.abs(some(3)) + 0.1

    def build(x):
        return (
            mb.batch_norm(x=x, mean=mean, variance=variance),
            mb.batch_norm(x=x, mean=mean, variance=variance, gamma=gamma, beta=beta, epsilon=np.float32(0.1)),
        )

    plain, full = run(build, {"x": x})
    m, v, g, b = (
        part.reshape([-1] + [1] * (len(shape) - 2)).astype(np.float64) for part in (mean, variance, gamma, beta)
    )
    close(plain, (x - m) / np.sqrt(v + 1e-5))
    close(full, (x - m) / np.sqrt(v + 0.1) * g + b)


@pytest.mark.parametrize("shape", [(2, 3, 5), (2, 3, 4, 5), (1, 3, 1, 1)])
def test_instance_norm(shape):
    x, gamma, beta = some(*shape), some(3), some(3)

    def build(x):
        return (
            mb.instance_norm(x=x),
            mb.instance_norm(x=x, gamma=gamma, beta=beta, epsilon=np.float32(0.1)),
        )

    plain, full = run(build, {"x": x})
    axes = tuple(range(2, len(shape)))
    centred = x.astype(np.float64) - x.mean(axes, keepdims=True, dtype=np.float64)
    variance = (centred**2).mean(axes, keepdims=True)
    g, b = (part.reshape([-1] + [1] * (len(shape) - 2)) for part in (gamma, beta))
    close(plain, centred / np.sqrt(variance + 1e-5))
    close(full, centred / np.sqrt(variance + 0.1) * g + b)


@pytest.mark.parametrize("shape", [(3, 4, 5), (2, 3, 4, 5), (2, 3, 2, 4, 5)])
def test_l2_norm_is_over_the_last_three_dimensions(shape):
    x = some(*shape)
    first, second = run(lambda x: (mb.l2_norm(x=x), mb.l2_norm(x=x, epsilon=np.float32(0.5))), {"x": x})
    close(first, folded(lambda: mb.l2_norm(x=x)))
    close(second, folded(lambda: mb.l2_norm(x=x, epsilon=np.float32(0.5))))


@pytest.mark.parametrize("axes", [[-1], [1, 2, 3], [2], [0, 2], [-1, -3]])
def test_layer_norm(axes):
    x = some(2, 3, 4, 5)
    over = sorted(axis % 4 for axis in axes)
    gamma, beta = some(*[x.shape[axis] for axis in over]), some(*[x.shape[axis] for axis in over])

    def build(x):
        return (
            mb.layer_norm(x=x, axes=axes),
            mb.layer_norm(x=x, gamma=gamma, beta=beta, epsilon=np.float32(0.1), axes=axes),
        )

    plain, full = run(build, {"x": x})
    close(plain, folded(lambda: mb.layer_norm(x=x, axes=axes)))
    close(full, folded(lambda: mb.layer_norm(x=x, gamma=gamma, beta=beta, epsilon=np.float32(0.1), axes=axes)))


def test_layer_norm_without_axes_is_over_all():
    x = some(2, 3, 4)
    close(layer_norm(torch.from_numpy(x)).numpy(), (x - x.mean()) / np.sqrt(x.var() + 1e-5))


@pytest.mark.parametrize("shape", [(2, 6, 5), (2, 6, 4, 3)])
@pytest.mark.filterwarnings("ignore:.*of three axes")
def test_local_response_norm(shape):
    x = 5 * some(*shape)

    def build(x):
        return (
            mb.local_response_norm(x=x, size=2),
            mb.local_response_norm(x=x, size=5, alpha=np.float32(0.5), beta=np.float32(1.5), k=np.float32(2)),
        )

    def expected(size, alpha, beta, k):
        axis = 1 if len(shape) == 4 else 0  # see the test below
        squares = np.moveaxis(x.astype(np.float64) ** 2, axis, 0)
        total = np.zeros(squares.shape)
        for channel in range(len(squares)):
            start = channel - size // 2
            total[channel] = squares[max(0, start) : start + size].sum(0)
        return x / (k + alpha / size * np.moveaxis(total, 0, axis)) ** beta

    even, odd = run(build, {"x": x})
    close(even, expected(2, 1e-4, 0.75, 1.0))
    close(odd, expected(5, 0.5, 1.5, 2.0))


@pytest.mark.filterwarnings("ignore:.*of three axes")
def test_local_response_norm_of_three_axes_is_what_apples_test_expects(tmp_path):
    """The numbers of coremltools' own test; its description would have neighbours in the windows, and that is said."""
    x = np.array([[[1, -7], [5, -6], [-3, -5]]], np.float32)
    (result,) = run(lambda x: mb.local_response_norm(x=x, size=2), {"x": x})
    right = [[[0.99996257, -6.98716545], [4.99531746, -5.99191284], [-2.99898791, -4.99531746]]]
    np.testing.assert_allclose(result, right, rtol=1e-6)
    path = saved(lambda x: mb.local_response_norm(x=x, size=2, name="lrn"), {"x": x}, tmp_path)
    with pytest.warns(RuntimeDependentWarning, match=r"lrn.*along the first"):
        coreml.load(path)


def test_fp16_is_rounded_once():
    x, gamma, beta = some(2, 8, 32), some(32), some(32)
    (found,) = run(lambda x: mb.layer_norm(x=x, axes=[-1], gamma=gamma, beta=beta), {"x": x}, half=True)
    half = [torch.from_numpy(v).half().float() for v in (x, gamma, beta)]
    epsilon = float(np.float16(1e-5))
    np.testing.assert_array_equal(found, F.layer_norm(half[0], (32,), half[1], half[2], epsilon).half().float().numpy())
