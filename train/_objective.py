"""What a step of training minimises. The loop knows the order of things, an objective knows what is wanted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import numpy as np
import torch
from torch import Tensor, nn

from edge.checkpoint import Preprocess
from edge.errors import InputError
from edge.models.deployed import class_and_mask

from . import _together
from ._descriptors import DESCRIPTORS
from ._loss import contrast, distance, in_full, loss, mask_loss
from ._recipe import Recipe
from ._stages import Stage, stages_of


@dataclass(frozen=True)
class Taught:
    """What teachers say of a view: logits (N, K), and what the first of them sees, scaled (N, F or 0); float32."""

    logits: Tensor
    features: Tensor


@dataclass(frozen=True)
class Batch:
    images: Tensor  # normalised RGB (N, 3, S, S)
    wanted: Tensor  # class shares (N, K)
    adjustment: Tensor  # of the logits, by the frequencies of the classes (N, K)
    descriptors: Tensor  # scaled, (N, D or 0)
    guide: tuple[Tensor, Tensor] | None  # weight (D, K) and bias (K,) of a linear classifier on them
    masks: Tensor | None = None  # (N, S, S) 0..1 or unknown; (N, 0) where no masks are learned
    taught: Taught | None = None  # by other networks


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


EMBEDDING = 128  # numbers of the contrastive loss, as in arXiv:2004.11362
LAST_LAYER = "classifier"  # what our families call their last linear layer


class Reader(nn.Module):
    """The network and, in training only, a linear layer that reads numbers off the classifier's input, a small
    network that embeds it, and a linear classifier on the average of each of the maps of earlier `stages`.

    With 0 outputs and no embedding nothing is read, and the network may be any.
    """

    def __init__(
        self, net: nn.Module, outputs: int, embedding: int = 0, *, stages: Sequence[Stage] = (), classes: int = 0
    ) -> None:
        super().__init__()
        self.net = net
        self.read: nn.Linear | None = None
        self.embed: nn.Module | None = None
        if outputs or embedding:
            classifier = last_layer(net)
            width = classifier.in_features
            self.read = nn.Linear(width, outputs) if outputs else None
            if embedding:
                self.embed = nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, embedding))
            classifier.register_forward_pre_hook(self.note)
        self.stages = nn.ModuleList(nn.Linear(stage.channels, classes) for stage in stages)
        self.maps: dict[int, Tensor] = {}
        for number, stage in enumerate(stages):
            net.get_submodule(stage.name).register_forward_hook(partial(self.note_map, number))

    def note(self, module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        self.features = inputs[0]

    def note_map(self, number: int, module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        self.maps[number] = output

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Logits (N, K), what is read (N, outputs + embedding), mask logits (N, 1, S, S), (N, 0) without masks, and
        the logits of earlier stages (stages, N, K)."""
        logits, mask = class_and_mask(self.net(images))
        nothing = logits[:, :0]
        parts = [part(self.features) for part in (self.read, self.embed) if part is not None]
        early = [head(self.maps.pop(number).mean(dim=(2, 3))) for number, head in enumerate(self.stages)]
        return (
            logits,
            torch.cat(parts, dim=1) if parts else nothing,
            nothing if mask is None else mask,
            torch.stack(early) if early else logits[None, :0],
        )


def last_layer(net: nn.Module) -> nn.Linear:
    """The layer whose input the descriptors are read off; InputError for a network that has none of that name."""
    layer = dict(net.named_modules()).get(LAST_LAYER)
    if not isinstance(layer, nn.Linear):
        raise InputError(
            f"{type(net).__name__} has no linear layer called {LAST_LAYER}, off whose input `descriptors` and "
            "`distil_features` are read and `contrast` embeds; set them to 0 (`guide` and `distil` work without)"
        )
    return layer


@dataclass(frozen=True)
class Classify:
    """The class, and where the recipe says so the descriptors, the guide's answer and what teachers say beside it; and
    the class as earlier stages tell it.

    Of a network that gives masks, those, too: mask + `class_weight` * class. Photographs without one teach the class.
    """

    recipe: Recipe
    features: int = 0  # of the teacher that are read off beside the class
    classes: int = 0  # that earlier stages tell apart, where they are to

    @property
    def identity(self) -> dict:
        return {}

    @property
    def descriptors(self) -> int:
        return DESCRIPTORS if self.recipe.descriptors else 0

    def learner(self, net: nn.Module) -> nn.Module:
        return Reader(
            net, self.descriptors + self.features, EMBEDDING if self.recipe.contrast else 0,
            stages=stages_of(net, self.recipe.side) if self.recipe.deep_supervision else (), classes=self.classes,
        )  # fmt: skip

    def value(self, model: nn.Module, batch: Batch) -> Tensor:
        logits, read, mask, early = model(batch.images)
        value = loss(logits, batch.wanted, batch.adjustment, smoothing=self.recipe.label_smoothing)
        if self.recipe.deep_supervision:
            told = [loss(own, batch.wanted, batch.adjustment, smoothing=self.recipe.label_smoothing) for own in early]
            value = value + self.recipe.deep_supervision * torch.stack(told).mean()
        known = batch.wanted.sum(dim=1) > 0.5  # a photograph without a class teaches the mask alone
        if self.recipe.descriptors:
            apart = (in_full(read[:, : self.descriptors]) - batch.descriptors)[known].square()
            value = value + self.recipe.descriptors * _together.mean(apart)
        if batch.guide:
            weight, bias = (part.to(in_full(logits).dtype) for part in batch.guide)
            answers = batch.descriptors[known].to(weight.dtype) @ weight + bias
            value = value + self.recipe.guide * distance(logits[known], answers)
        if batch.taught:  # photographs without a class, too
            value = value + self.recipe.distil * distance(logits, batch.taught.logits)
        if batch.taught and self.features:
            seen = in_full(read[:, self.descriptors : self.descriptors + self.features])
            apart = (seen - batch.taught.features).square()
            value = value + self.recipe.distil_features * _together.mean(apart)
        if self.recipe.contrast:
            embedded = read[:, self.descriptors + self.features :]
            value = value + self.recipe.contrast * contrast(embedded, batch.wanted)
        if mask.ndim == 4:
            learned = batch.masks is not None and batch.masks.ndim == 3
            # a term of zero keeps every weight in the graph, which several processes want
            outline = mask_loss(mask, batch.masks) if learned and batch.masks is not None else 0 * mask.sum()
            value = self.recipe.class_weight * value + outline
        return value

    def look(
        self, net: nn.Module, preprocess: Preprocess, held_back: tuple[np.ndarray, np.ndarray]
    ) -> dict[str, float]:
        return {}
