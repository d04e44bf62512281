"""Fine-tuning for an 8-bit file: its answers shall be the float network's, and those the start's."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from edge.checkpoint import Preprocess
from edge.scheme import Layer

from . import _together
from ._fake_quant import FakeQuantised
from ._loss import in_full, loss
from ._nearness import nearness
from ._objective import Batch
from ._recipe import Recipe

# Weights of the three terms, by trial on hierattn_xs with all convolutions static but the depthwise. Median SQNR on
# unseen patients, of 8 bits against float, 8 bits against the start, and float against the start: 21.7, 21.7 dB and
# equal before; 26.1, 24.9 and 33.4 with these; 26.5, 24.2 and 26.9 where the 8-bit network is drawn to the start
# instead of the float one; 22.3, 25.7 and 22.2 with that and without the first term.
SELF = 1.0  # the 8-bit network's distance from the float one
START = 1.0  # the float network's distance from the one that fine-tuning started from
LABELS = 0.03  # the 8-bit network's ordinary loss
FLOOR = 1e-4  # of noise to signal, 40 dB: nearer is near enough


class Student(nn.Module):
    """A network in float and in 8 bits at a time: images (N, 3, S, S) -> logits (N, K) of both, 8-bit first."""

    def __init__(self, net: nn.Module, layers: Iterable[Layer]) -> None:
        super().__init__()
        self.quantised = FakeQuantised(net, layers)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        return self.quantised(images), self.quantised.net(images)

    def train(self, mode: bool = True) -> Student:
        """Stays in evaluation mode: in the file batch norm is frozen, and dropout would drown what rounding changes."""
        return super().train(False)


@dataclass(frozen=True)
class Imitate:
    """The objective of fine-tuning for an 8-bit file."""

    recipe: Recipe
    layers: tuple[Layer, ...]  # of the scheme
    scheme_sha256: str
    start: nn.Module  # the network before fine-tuning, frozen, in evaluation mode
    temperature: float  # of the start

    @property
    def identity(self) -> dict:
        return {"scheme": self.scheme_sha256}

    def learner(self, net: nn.Module) -> nn.Module:
        return Student(net, self.layers)

    def value(self, model: nn.Module, batch: Batch) -> Tensor:
        with torch.no_grad():
            target = self.start.to(batch.images.device)(batch.images)
        quantised, plain = model(batch.images)
        return (
            SELF * noise(quantised, plain, target)
            + START * noise(plain, target, target)
            + LABELS * loss(quantised, batch.wanted, batch.adjustment, smoothing=self.recipe.label_smoothing)
        )

    def look(
        self, net: nn.Module, preprocess: Preprocess, held_back: tuple[np.ndarray, np.ndarray]
    ) -> dict[str, float]:
        figures = nearness(net, self.layers, preprocess, held_back, temperature=self.temperature)
        return {"held_back_sqnr_db": figures["sqnr_db"]}


def noise(logits: Tensor, wanted: Tensor, signal: Tensor) -> Tensor:
    """Mean log noise-to-signal ratio of logits (N, K), all without the constant per image that softmax forgets.

    The logarithm makes it the mean SQNR, whose median the files are judged by: no image counts for more because its
    answer is hard to keep, nor for less because the network is sure of it.
    """
    difference, reference = (centred(logits) - centred(wanted)).square().sum(1), centred(signal).square().sum(1)
    return _together.mean((difference / reference.clamp(min=FLOOR) + FLOOR).log())


def centred(logits: Tensor) -> Tensor:
    logits = in_full(logits)
    return logits - logits.mean(dim=1, keepdim=True)
