"""The float32 torch model: what every exported file is compared with."""

from __future__ import annotations

import numpy as np

from edge.checkpoint import Checkpoint
from edge.runtimes import Found


class Reference:
    """The checkpoint's network with normalisation, temperature and softmax, float32 on the CPU."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        from edge.models.deployed import deployed

        self.module = deployed(checkpoint, layout="NHWC")
        self.side = checkpoint.preprocess.side

    def run(self, images_u8: np.ndarray) -> np.ndarray:
        """uint8 (N, S, S, 3) RGB -> probabilities, float64 (N, K)."""
        return self.run_all(images_u8).probabilities

    def run_all(self, images_u8: np.ndarray) -> Found:
        """The same with masks. One image at a time, as a phone does."""
        import torch

        with torch.inference_mode():
            found = [self.module(torch.from_numpy(np.array(image[None])).float()) for image in images_u8]
        if isinstance(found[0], tuple):
            probabilities, masks = (torch.cat(parts) for parts in zip(*found, strict=True))
            return Found(probabilities.double().numpy(), masks[..., 0].numpy())
        return Found(torch.cat(found).double().numpy(), None)

    def close(self) -> None:
        """Nothing is held."""
