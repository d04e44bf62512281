"""What opened a .tflite, in this process or in a phone's own library, and the tensors that it takes."""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol

import numpy as np


class Input(NamedTuple):
    """One input of a file."""

    name: str  # empty where a library does not say it
    shape: tuple[int, ...]
    dtype: Any


class Engine(Protocol):
    """What opened a .tflite and answers for one picture."""

    inputs: list[Input]  # in the order in which `invoke` takes them
    outputs: list[tuple[int, ...]]  # shapes

    def invoke(self, tensors: list[np.ndarray]) -> list[np.ndarray]:
        """Outputs for an array of each input's shape and type."""
