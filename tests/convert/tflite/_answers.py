"""What a .tflite file answers, for tests that have its bytes."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from edge.runtimes.litert import LiteRT


def answers(content: bytes, folder: Path, images: np.ndarray, mode: str = "xnnpack") -> np.ndarray:
    """Probabilities, float32 (N, K), of uint8 images (N, S, S, 3)."""
    path = folder / "x.tflite"
    path.write_bytes(content)
    runtime = LiteRT(path, mode=mode)
    try:
        return runtime.run(images).probabilities
    finally:
        runtime.close()
