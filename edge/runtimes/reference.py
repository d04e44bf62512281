"""The float32 torch model: what every exported file is compared with."""

from __future__ import annotations

import numpy as np

from edge.checkpoint import Checkpoint


class Reference:
    """The checkpoint's network with normalisation, temperature and softmax, float32 on the CPU."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        from edge.models.deployed import deployed

        self.module = deployed(checkpoint, layout="NHWC")
        self.side = checkpoint.preprocess.side

    def run(self, images_u8: np.ndarray) -> np.ndarray:
        """uint8 (N, S, S, 3) RGB -> probabilities, float64 (N, K). One image at a time, as a phone does."""
        import torch

        with torch.inference_mode():
            rows = [self.module(torch.from_numpy(np.array(image[None])).float())[0] for image in images_u8]
        return torch.stack(rows).double().numpy()

    def close(self) -> None:
        """Nothing is held."""
