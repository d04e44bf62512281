"""Reductions against Apple's NumPy definitions: of floats and whole numbers, over some axes and over all."""

from __future__ import annotations

import numpy as np
import pytest
from coremltools.converters.mil import Builder as mb

from tests.edge.runtimes.coreml._apple import folded
from tests.edge.runtimes.coreml._programs import run

RNG = np.random.default_rng(1)
FLOATS = RNG.uniform(0.2, 2, (2, 3, 4, 5)).astype(np.float32)
SIGNED = (FLOATS * RNG.choice([-1, 1], FLOATS.shape)).astype(np.float32)
WHOLE = RNG.integers(1, 5, (2, 3, 2), np.int32)
KINDS = (
    "l1_norm", "l2_norm", "log_sum", "log_sum_exp", "max", "mean", "min", "prod", "sum", "sum_square",
)  # fmt: skip
AXES = {
    "all": {},
    "all, kept": {"keep_dims": True},
    "one": {"axes": [1]},
    "one from the end, kept": {"axes": [-1], "keep_dims": True},
    "two": {"axes": [-1, 0]},
    "two, kept": {"axes": [0, 2], "keep_dims": True},
}


def build(x):
    return tuple(getattr(mb, f"reduce_{kind}")(x=x, **axes) for kind in KINDS for axes in AXES.values())


def by_kind(results):
    cells = iter(results)
    return {(kind, axes): next(cells) for kind in KINDS for axes in AXES}


@pytest.fixture(scope="module")
def of_floats():
    positive, signed = (by_kind(run(build, {"x": x})) for x in (FLOATS, SIGNED))
    return {(kind, axes): (positive if kind == "log_sum" else signed)[kind, axes] for kind, axes in positive}


@pytest.fixture(scope="module")
def of_whole():
    return by_kind(run(build, {"x": WHOLE}))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("axes", AXES)
def test_floats(of_floats, kind, axes):
    x = FLOATS if kind == "log_sum" else SIGNED
    expected = folded(f"reduce_{kind}", x=x.astype(np.float32), **AXES[axes])
    got = of_floats[kind, axes]
    assert got.reshape(np.shape(expected)).shape == np.shape(expected)
    np.testing.assert_allclose(got.reshape(np.shape(expected)), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("axes", AXES)
def test_whole_numbers_stay_whole(of_whole, kind, axes):
    expected = folded(f"reduce_{kind}", x=WHOLE, **AXES[axes])
    got = of_whole[kind, axes]
    assert got.dtype == np.int32
    np.testing.assert_array_equal(got.reshape(np.shape(expected)), expected)


def test_the_mean_of_great_whole_numbers_is_exact():
    x = np.array([[2**30 + 1, 2**30 + 1, 2**30 + 1]], np.int32)
    (got,) = run(lambda x: mb.reduce_mean(x=x, axes=[1]), {"x": x})
    assert got.item() == 2**30 + 1


@pytest.mark.parametrize(("ios", "more"), [(15, {}), (17, {"output_dtype": "uint16"})])
def test_positions(ios, more):
    def build(x):
        found = []
        for kind in ("reduce_argmax", "reduce_argmin"):
            for axis in ({}, {"axis": 0}, {"axis": -2, "keep_dims": True}, {"axis": 1, "keep_dims": False}):
                made = getattr(mb, kind)(x=x, **axis, **more)
                found.append(mb.cast(x=made, dtype="int32") if more else made)
        return tuple(found)

    got = iter(run(build, {"x": SIGNED}, ios=ios))
    for function in (np.argmax, np.argmin):
        for axis, keep in ((-1, False), (0, False), (-2, True), (1, False)):
            np.testing.assert_array_equal(next(got), function(SIGNED, axis=axis, keepdims=keep))


def test_of_equal_values_the_first_is_named():
    x = np.tile(np.array([3, 7, 7, 1, 1, 7], np.float32), (2, 40))
    highest, lowest = run(lambda x: (mb.reduce_argmax(x=x), mb.reduce_argmin(x=x)), {"x": x})
    np.testing.assert_array_equal(highest, [1, 1])
    np.testing.assert_array_equal(lowest, [3, 3])


def test_great_exponents_do_not_overflow():
    x = np.array([[1000, 1001, -1000]], np.float32)
    (got,) = run(lambda x: mb.reduce_log_sum_exp(x=x, axes=[1]), {"x": x})
    np.testing.assert_allclose(got, [1001 + np.log1p(np.exp(-1.0))], rtol=1e-6)


def test_half_precision_sums_in_float32_and_rounds_once():
    x = RNG.uniform(0, 1, (2, 500)).astype(np.float16)
    total, mean = run(
        lambda x: (mb.reduce_sum(x=x, axes=[1]), mb.reduce_mean(x=x, axes=[1])), {"x": x.astype(np.float32)}, half=True
    )
    np.testing.assert_array_equal(total, x.astype(np.float64).sum(1).astype(np.float16))
    np.testing.assert_array_equal(mean, x.astype(np.float64).mean(1).astype(np.float16))
    step_by_step = np.add.accumulate(x, axis=1)[:, -1]  # would every sum have been rounded
    assert (step_by_step != total).any()
