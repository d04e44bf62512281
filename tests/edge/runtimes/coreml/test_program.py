"""The saved file itself: typed values, inputs and outputs as the package describes them, damage that is named."""

from __future__ import annotations

import numpy as np
from coremltools.converters.mil import Builder as mb

from tests.edge.runtimes.coreml._programs import run


def test_a_cast_cuts_towards_zero():
    x = np.array([[-1.7, 1.7, 0.2]], np.float32)
    (found,) = run(lambda x: mb.cast(x=mb.cast(x=x, dtype="int32"), dtype="fp32"), {"x": x})
    np.testing.assert_array_equal(found, [[-1, 1, 0]])
