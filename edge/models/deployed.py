"""The network as phones get it: RGB 0..255 in, calibrated probabilities out."""

from __future__ import annotations

import torch
from torch import Tensor, nn

OUTPUTS = ("probabilities", "mask")  # names of what a deployed network gives, in this order; many give the first alone


class Deployed(nn.Module):
    """Normalisation, backbone, temperature and softmax in one module.

    `layout` "NHWC" takes float32 (1, S, S, 3) as TFLite does, "NCHW" (1, 3, S, S) as Core ML does; values
    are RGB 0..255. Returns probabilities float32 (1, K); of a network that gives (logits, mask logits) a tuple
    with the mask's probabilities after them, float32 (1, S, S, 1) or (1, 1, S, S) by the layout. A network that gives
    "probabilities" has its softmax inside, and no temperature.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        net: nn.Module,
        *,
        mean: tuple[float, ...],
        std: tuple[float, ...],
        temperature: float,
        layout: str,
        gives: str = "logits",
    ) -> None:
        super().__init__()
        if layout not in {"NHWC", "NCHW"}:
            raise ValueError(f"layout is NHWC or NCHW, got {layout!r}")
        self.net = net
        self.temperature = temperature
        self.layout = layout
        self.probabilities = gives == "probabilities"
        if self.probabilities and temperature != 1:
            raise ValueError(f"a network that gives probabilities has no temperature, got {temperature}")
        shape = (1, 3, 1, 1)
        self.register_buffer("mean", torch.tensor(mean).reshape(shape) * 255, persistent=False)
        self.register_buffer("std", torch.tensor(std).reshape(shape) * 255, persistent=False)

    def forward(self, image: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        if self.layout == "NHWC":
            image = image.permute(0, 3, 1, 2)
        logits, mask = class_and_mask(self.net((image - self.mean) / self.std))
        probabilities = logits if self.probabilities else torch.softmax(logits / self.temperature, dim=-1)
        if mask is None:
            return probabilities
        if self.layout == "NHWC":
            mask = mask.permute(0, 2, 3, 1)
        return probabilities, torch.sigmoid(mask)


def class_and_mask(output: Tensor | tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor | None]:
    """Logits (N, K) and, of a network that gives them, mask logits (N, 1, S, S) of what a network returned."""
    return output if isinstance(output, tuple) else (output, None)
