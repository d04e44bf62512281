"""The float32 torch model: what every exported file is compared with."""

from __future__ import annotations

import numpy as np

from edge.checkpoint import Checkpoint
from edge.runtimes import Outputs, check_images, checked_answers

TOGETHER = 8  # images that take half the time of one by one


class Reference:
    """The checkpoint's network with normalisation, temperature and softmax, float32 on the CPU.

    It takes answers where the checkpoint was fitted to some.
    """

    def __init__(self, checkpoint: Checkpoint) -> None:
        weight = checkpoint.answers_weight
        self.answer_places = 0 if weight is None else int(weight.shape[1])
        self.module = checkpoint.deployed(layout="NHWC", answers=weight is not None)
        self.name = f"{checkpoint.model} (float32, torch)"
        self.side = checkpoint.preprocess.side
        self.labels = tuple(label.code for label in checkpoint.labels)

    def run(self, images_u8: np.ndarray, answers: np.ndarray | None = None, *, together: int = 1) -> Outputs:
        """uint8 (N, S, S, 3) RGB -> probabilities, float64 (N, K), in the order of `labels`, and masks.

        One image at a time, as a phone does, or so many `together`, which is faster and differs by rounding.
        """
        check_images(images_u8, self.side, self.name)
        return self.outputs(images_u8, answers, together)

    def run_floats(self, images: np.ndarray) -> Outputs:
        """The same for float32 (N, S, S, 3) of any numbers, with nothing answered."""
        check_images(images, self.side, self.name, dtype=np.float32)
        return self.outputs(images, None)

    def outputs(self, images: np.ndarray, answers: np.ndarray | None, together: int = 1) -> Outputs:
        import torch

        rows = checked_answers(answers, len(images), self.answer_places, self.name)
        with torch.inference_mode():
            outputs = []
            for first in range(0, len(images), together):
                some = slice(first, first + together)
                picture = torch.from_numpy(np.array(images[some])).float()
                second = (torch.from_numpy(np.array(rows[some])),) if self.answer_places else ()
                outputs.append(self.module(picture, *second))
        if isinstance(outputs[0], tuple):
            probabilities, masks = (torch.cat(parts) for parts in zip(*outputs, strict=True))
            return Outputs(probabilities.double().numpy(), masks[..., 0].numpy())
        return Outputs(torch.cat(outputs).double().numpy(), None)

    def close(self) -> None:
        """Nothing is held."""
