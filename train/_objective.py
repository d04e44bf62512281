"""What a step of training minimises. The loop knows the order of things, an objective knows what is wanted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from torch import Tensor, nn

from edge.checkpoint import Preprocess

from ._descriptors import DESCRIPTORS
from ._loss import distance, loss
from ._recipe import Recipe


@dataclass(frozen=True)
class Batch:
    images: Tensor  # normalised RGB (N, 3, S, S)
    wanted: Tensor  # class shares (N, K)
    adjustment: Tensor  # of the logits, by the frequencies of the classes (N, K)
    descriptors: Tensor  # scaled, (N, D or 0)
    guide: tuple[Tensor, Tensor] | None  # weight (D, K) and bias (K,) of a linear classifier on them


class Objective(Protocol):
    @property
    def identity(self) -> dict:
        """What a resumed run must have in common with the interrupted one, beside recipe and data; JSON-able."""

    def learner(self, net: nn.Module) -> nn.Module:
        """The module that is trained, around `net`, which is kept."""

    def value(self, model: nn.Module, batch: Batch) -> Tensor:
        """The loss of a batch; `model` is the learner, wrapped for the devices it is on."""

    def look(
        self, net: nn.Module, preprocess: Preprocess, held_back: tuple[np.ndarray, np.ndarray]
    ) -> dict[str, float]:
        """More columns for the history, from uint8 squares (N, S, S, 3) of held-back patients and classes (N,)."""


class Reader(nn.Module):
    """The network and, in training only, a linear layer that reads descriptors off the classifier's input."""

    def __init__(self, net: nn.Module, outputs: int) -> None:
        super().__init__()
        self.net = net
        classifier = net.get_submodule("classifier")  # every family calls its last linear layer so
        assert isinstance(classifier, nn.Linear)
        self.read = nn.Linear(classifier.in_features, outputs) if outputs else None
        classifier.register_forward_pre_hook(self.note)

    def note(self, module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        self.features = inputs[0]

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Logits (N, K) and scaled descriptors (N, D or 0)."""
        logits = self.net(images)
        return logits, self.read(self.features) if self.read else logits[:, :0]


@dataclass(frozen=True)
class Classify:
    """The class, and where the recipe says so the descriptors and the guide's answer beside it."""

    recipe: Recipe

    @property
    def identity(self) -> dict:
        return {}

    def learner(self, net: nn.Module) -> nn.Module:
        return Reader(net, DESCRIPTORS if self.recipe.descriptors else 0)

    def value(self, model: nn.Module, batch: Batch) -> Tensor:
        logits, read = model(batch.images)
        value = loss(logits, batch.wanted, batch.adjustment, smoothing=self.recipe.label_smoothing)
        if self.recipe.descriptors:
            value = value + self.recipe.descriptors * nn.functional.mse_loss(read.float(), batch.descriptors)
        if batch.guide:
            weight, bias = batch.guide
            value = value + self.recipe.guide * distance(logits, batch.descriptors @ weight + bias)
        return value

    def look(
        self, net: nn.Module, preprocess: Preprocess, held_back: tuple[np.ndarray, np.ndarray]
    ) -> dict[str, float]:
        return {}
