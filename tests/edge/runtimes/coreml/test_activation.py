"""Activations against Apple's NumPy definitions, at extremes against their limits, and rounded as fp16 programs are."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from coremltools.converters.mil import Builder as mb

from tests.edge.runtimes.coreml._apple import folded
from tests.edge.runtimes.coreml._programs import run

RNG = np.random.default_rng(0)
X = (RNG.standard_normal((2, 3, 4, 5)) * 4).astype(np.float32)
X[0, 0, 0] = [0, -0.5, 0.5, 1, -1]
CHANNELS = np.array([0.5, -1.5, 2], np.float32)
CASES = {
    "clamped_relu": ("clamped_relu", {"alpha": 0.5, "beta": 2.0}),
    "clamped_relu, a cut below zero": ("clamped_relu", {"alpha": -1.0, "beta": 1.5}),
    "elu": ("elu", {"alpha": 1.3}),
    "gelu": ("gelu", {}),
    "gelu, tanh": ("gelu", {"mode": "TANH_APPROXIMATION"}),
    "gelu, sigmoid": ("gelu", {"mode": "SIGMOID_APPROXIMATION"}),
    "leaky_relu": ("leaky_relu", {"alpha": 0.2}),
    "leaky_relu, steep": ("leaky_relu", {"alpha": 1.7}),
    "linear_activation": ("linear_activation", {"alpha": 0.3, "beta": -2.0}),
    "prelu": ("prelu", {"alpha": CHANNELS}),
    "relu": ("relu", {}),
    "relu6": ("relu6", {}),
    "scaled_tanh": ("scaled_tanh", {"alpha": 1.7, "beta": 0.6}),
    "sigmoid": ("sigmoid", {}),
    "sigmoid_hard": ("sigmoid_hard", {"alpha": 0.2, "beta": 0.4}),
    "softplus": ("softplus", {}),
    "softplus_parametric": ("softplus_parametric", {"alpha": CHANNELS, "beta": CHANNELS[::-1].copy()}),
    "softmax": ("softmax", {}),
    "softmax over channels": ("softmax", {"axis": 1}),
    "softmax, counted from the end": ("softmax", {"axis": -3}),
    "softsign": ("softsign", {}),
    "thresholded_relu": ("thresholded_relu", {"alpha": 0.5}),
}


def program(cases):
    def build(x):
        return tuple(getattr(mb, kind)(x=x, **more) for kind, more in cases)

    return build


@pytest.fixture(scope="module", params=[15, 17])
def found(request) -> dict[str, np.ndarray]:
    return dict(zip(CASES, run(program(CASES.values()), {"x": X}, ios=request.param), strict=True))


@pytest.mark.parametrize("case", CASES)
def test_it_is_what_apple_defines(found, case):
    kind, more = CASES[case]
    np.testing.assert_allclose(found[case], folded(kind, x=X, **more), rtol=2e-6, atol=1e-6)


def test_silu():
    (found,) = run(lambda x: mb.silu(x=x), {"x": X})
    np.testing.assert_allclose(found, X / (1 + np.exp(-X.astype(np.float64))), rtol=2e-6)


def test_one_slope_for_all_channels_of_other_ranks():
    """Core ML takes prelu of rank 3 and 5 with equal slopes only."""
    x3, x5 = X[..., 0], X[..., None]
    alpha = np.full(3, 0.3, np.float32)
    got3, got5 = run(lambda a, b: (mb.prelu(x=a, alpha=alpha), mb.prelu(x=b, alpha=alpha)), {"a": x3, "b": x5})
    for x, got in ((x3, got3), (x5, got5)):
        np.testing.assert_allclose(got, np.where(x > 0, x, np.float32(0.3) * x), rtol=1e-6)


def test_far_out_values_reach_their_limits():
    x = np.array([-1e4, -200, 200, 1e4], np.float32)
    got = run(
        lambda x: (
            mb.sigmoid(x=x),
            mb.softplus(x=x),
            mb.silu(x=x),
            mb.gelu(x=x),
            mb.elu(x=x, alpha=2.0),
            mb.softmax(x=x),
            mb.gelu(x=x, mode="SIGMOID_APPROXIMATION"),
        ),
        {"x": x},
    )
    above = np.maximum(x, 0)
    expected = [[0, 0, 1, 1], above, above, above, [-2, -2, 200, 1e4], [0, 0, 0, 1], above]
    for one, wanted in zip(got, expected, strict=True):
        np.testing.assert_allclose(one, wanted, atol=1e-30)


def test_half_precision_is_rounded_after_every_op():
    def half(values: torch.Tensor) -> torch.Tensor:
        return values.half().float()

    def build(x):
        return mb.gelu(x=mb.leaky_relu(x=x, alpha=0.3)), mb.softmax(x=mb.sigmoid(x=x)), mb.elu(x=x, alpha=0.7)

    got = run(build, {"x": X}, half=True)
    x = half(torch.from_numpy(X))
    slope, depth = (float(np.float16(a)) for a in (0.3, 0.7))
    expected = [
        half(F.gelu(half(F.leaky_relu(x, slope)))),
        half(torch.softmax(half(torch.sigmoid(x)), -1)),
        half(F.elu(x, depth)),
    ]
    for one, wanted in zip(got, expected, strict=True):
        np.testing.assert_array_equal(one, wanted.numpy())
    once = half(F.gelu(F.leaky_relu(x, slope)))  # had it been rounded at the end only
    assert (once != expected[0]).any()
