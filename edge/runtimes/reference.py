"""The float32 torch model: what every exported file is compared with."""

from __future__ import annotations

import numpy as np

from edge.checkpoint import Checkpoint
from edge.runtimes import Outputs, check_images, refuse_answers


class Reference:
    """The checkpoint's network with normalisation, temperature and softmax, float32 on the CPU."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        self.module = checkpoint.deployed(layout="NHWC")
        self.name = f"{checkpoint.model} (float32, torch)"
        self.side = checkpoint.preprocess.side
        self.labels = tuple(label.code for label in checkpoint.labels)

    def run(self, images_u8: np.ndarray, answers: np.ndarray | None = None) -> Outputs:
        """uint8 (N, S, S, 3) RGB -> probabilities, float64 (N, K), in the order of `labels`, and masks."""
        refuse_answers(answers, self.name)
        check_images(images_u8, self.side, self.name)
        return self.answers(images_u8)

    def run_floats(self, images: np.ndarray) -> Outputs:
        """The same for float32 (N, S, S, 3) of any numbers."""
        check_images(images, self.side, self.name, dtype=np.float32)
        return self.answers(images)

    def answers(self, images: np.ndarray) -> Outputs:
        """One image at a time, as a phone does."""
        import torch

        with torch.inference_mode():
            outputs = [self.module(torch.from_numpy(np.array(image[None])).float()) for image in images]
        if isinstance(outputs[0], tuple):
            probabilities, masks = (torch.cat(parts) for parts in zip(*outputs, strict=True))
            return Outputs(probabilities.double().numpy(), masks[..., 0].numpy())
        return Outputs(torch.cat(outputs).double().numpy(), None)

    def close(self) -> None:
        """Nothing is held."""
