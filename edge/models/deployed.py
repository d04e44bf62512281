"""The network as phones get it: RGB 0..255 in, calibrated probabilities out."""

from __future__ import annotations

import torch
from torch import Tensor, nn

LEAST_LOG_ODDS = -80.0  # below the largest; e^-80 is 2e-35, a float32 that a probability may still be multiplied by
OUTPUTS = ("probabilities", "mask")  # names of what a deployed network gives, in this order; many give the first alone


class Deployed(nn.Module):
    """Normalisation, backbone, temperature and softmax in one module.

    `layout` "NHWC" takes float32 (1, S, S, 3) as TFLite does, "NCHW" (1, 3, S, S) as Core ML does; values
    are RGB 0..255. Returns probabilities float32 (1, K); of a network that gives (logits, mask logits) a tuple
    with the mask's probabilities after them, float32 (1, S, S, 1) or (1, 1, S, S) by the layout. A network that gives
    "probabilities" has its softmax inside, and no temperature.

    With `answers`, float (K, Q), there is a second input, float32 (1, Q), as `edge.answers.encode` fills it: what is
    answered adds `answers` times it to the logits. All zero gives exactly what the picture alone gives.
    """

    mean: Tensor
    std: Tensor
    answers: Tensor | None

    def __init__(
        self,
        net: nn.Module,
        *,
        mean: tuple[float, ...],
        std: tuple[float, ...],
        temperature: float,
        layout: str,
        gives: str = "logits",
        answers: Tensor | None = None,
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
        self.register_buffer("answers", answers, persistent=False)

    def forward(self, image: Tensor, answers: Tensor | None = None) -> Tensor | tuple[Tensor, Tensor]:
        if (answers is None) != (self.answers is None):
            raise ValueError("a network with answers takes a picture and answers, one without them a picture alone")
        if self.layout == "NHWC":
            image = image.permute(0, 3, 1, 2)
        scores, mask = class_and_mask(self.net((image - self.mean) / self.std))
        log_odds = None if answers is None else nn.functional.linear(answers, self.answers)  # type: ignore[arg-type]
        if self.probabilities:
            probabilities = scores if log_odds is None else reweighted(scores, log_odds)
        else:
            logits = scores if log_odds is None else scores + log_odds
            probabilities = torch.softmax(logits / self.temperature, dim=-1)
        if mask is None:
            return probabilities
        if self.layout == "NHWC":
            mask = mask.permute(0, 2, 3, 1)
        return probabilities, torch.sigmoid(mask)


def reweighted(probabilities: Tensor, log_odds: Tensor) -> Tensor:
    """Probabilities (N, K) with log-odds (N, K) added to their logarithms; exactly as they were where all are zero.

    Log-odds count as at most 80 below the largest: a picture that is sure of the class that they speak against would
    else leave no probability at all, and 0 / 0.
    """
    odds = torch.exp((log_odds - log_odds.amax(dim=-1, keepdim=True)).clamp(min=LEAST_LOG_ODDS))
    weighted = probabilities * odds
    return weighted / (weighted.sum(dim=-1, keepdim=True) / probabilities.sum(dim=-1, keepdim=True))


def class_and_mask(output: Tensor | tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor | None]:
    """Logits (N, K) and, of a network that gives them, mask logits (N, 1, S, S) of what a network returned."""
    return output if isinstance(output, tuple) else (output, None)
