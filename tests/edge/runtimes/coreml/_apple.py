"""What Apple's own op definitions say an op gives: coremltools folds an op on constants with NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np
from coremltools.converters.mil import Builder as mb

from tests.edge.runtimes.coreml._programs import TARGETS


def folded(kind: str, *, ios: int = 16, **inputs: Any) -> Any:
    """The result of an op on constants: an array, or a tuple of them."""
    found = []

    @mb.program(input_specs=[mb.TensorSpec((1,))], opset_version=TARGETS[ios])
    def program(x):
        # a copy: some of coremltools' ops write into what they are given
        made = getattr(mb, kind)(**{k: np.copy(v) if isinstance(v, np.ndarray) else v for k, v in inputs.items()})
        first = made[0] if isinstance(made, list | tuple) else made
        value = first.val
        found.append(first.op.materialized_val_inference() if value is None else value)
        return mb.identity(x=x)

    return found[0]
