"""8-bit values with a scale, against Apple's NumPy definitions: one scale, one for each channel, with a zero point."""

from __future__ import annotations

import numpy as np
import pytest
from coremltools.converters.mil import Builder as mb

from tests.edge.runtimes.coreml._apple import folded
from tests.edge.runtimes.coreml._programs import run

RNG = np.random.default_rng(3)
X = RNG.uniform(-60, 60, (2, 3, 4)).astype(np.float32)
X[0, 0] = [0.25, 0.75, 1.25, -0.25]  # halves of the scale 0.5
SCALES = np.array([0.5, 0.125, 2], np.float32)
CASES = {
    "one scale": (np.float32(0.5), None, {}),
    "one scale and zero point": (np.float32(0.5), 7, {}),
    "channels": (SCALES, None, {"axis": 1}),
    "channels with zero points": (SCALES, [3, 100, 0], {"axis": 1}),
    "axis from the end": (SCALES, [3, 100, 0], {"axis": -2}),
}


def with_zero(zero, dtype):
    return (
        {} if zero is None else {"zero_point": np.array(zero, dtype) if np.ndim(zero) else np.dtype(dtype).type(zero)}
    )


@pytest.mark.parametrize("dtype", ["int8", "uint8"])
def test_there_and_back(dtype):
    def build(x):
        made = []
        for scale, zero, axis in CASES.values():
            stored = mb.quantize(input=x, scale=scale, output_dtype=dtype, **with_zero(zero, dtype), **axis)
            made += [
                mb.cast(x=stored, dtype="int32"),
                mb.dequantize(input=stored, scale=scale, **with_zero(zero, dtype), **axis),
            ]
        return tuple(made)

    got = run(build, {"x": X}, ios=17)
    cut = False
    for case, stored, back in zip(CASES, got[::2], got[1::2], strict=True):
        scale, zero, axis = CASES[case]
        more = {"scale": scale, **with_zero(zero, dtype), **axis}
        expected = folded("quantize", ios=17, input=X, output_dtype=dtype, **more)
        assert expected.dtype == dtype
        np.testing.assert_array_equal(stored, expected, err_msg=case)
        np.testing.assert_array_equal(back, folded("dequantize", ios=17, input=expected, **more), err_msg=case)
        cut |= bool((np.abs(back - X) > 2).any())
    assert cut  # some values lie beyond the type's range


def test_half_precision_is_rounded_once():
    x, scale = RNG.uniform(-2, 2, (3, 50)).astype(np.float32), np.float32(0.0173)

    def build(x):
        return mb.dequantize(
            input=mb.quantize(input=x, scale=scale, zero_point=np.int8(5), output_dtype="int8"),
            scale=scale,
            zero_point=np.int8(5),
        )

    (got,) = run(build, {"x": x}, ios=17, half=True)
    given, step = x.astype(np.float16).astype(np.float32), np.float32(np.float16(scale))
    stored = np.clip(np.rint(given / step) + 5, -128, 127)
    np.testing.assert_array_equal(got, ((stored - 5) * step).astype(np.float16))
