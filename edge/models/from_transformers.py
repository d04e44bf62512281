"""Networks of the transformers package: imported where one is built, and corrected where its defaults do harm."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType

from torch import Tensor, nn

from edge.errors import InputError, install

from .layers import initialise

MOMENTUM = 0.1  # of batch norms, PyTorch's convention and default


def transformers_for(name: str) -> ModuleType:
    """The package, of which `name` is built; InputError with what to type where it is missing."""
    try:
        with no_warnings_logged():
            import transformers
            import transformers.modeling_utils  # what every network needs, and what takes the time
    except ModuleNotFoundError as error:
        raise InputError(
            f"{name} is built from the transformers package, which is not installed here ({error.name} is missing); "
            f"`{install('tflite')}` brings it, `pip install transformers` is enough"
        ) from error
    return transformers


@contextmanager
def no_warnings_logged() -> Iterator[None]:
    """The package loads torchao where that is installed, which logs what it lacks for chips that are not there."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)


def mended(backbone: nn.Module) -> nn.Module:
    """The backbone with initial weights and norms from which it can learn.

    As the package leaves them, weights are normal with a deviation of 0.02, in some families those of the batch norms
    too, so that activations vanish from layer to layer; and the momentum of the batch norms is TensorFlow's (0.99 or
    0.997, the share that is kept) where PyTorch takes the share that is new, so that the statistics would be those of
    the last batch alone.
    """
    backbone.apply(initialise)
    for part in backbone.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.reset_parameters()
            part.momentum = MOMENTUM
    return backbone


class Classifier(nn.Module):
    """A backbone of transformers, dropout and one linear layer."""

    def __init__(self, backbone: nn.Module, *, features: int, dropout: float, num_classes: int) -> None:
        super().__init__()
        self.backbone = mended(backbone)
        self.dropout = nn.Dropout(dropout)
        self.classifier = nn.Linear(features, num_classes)
        initialise(self.classifier)

    def forward(self, x: Tensor) -> Tensor:
        """Normalised RGB (N, 3, H, W), H and W multiples of 32 -> logits (N, num_classes)."""
        _, pooled = self.backbone(x, return_dict=False)
        return self.classifier(self.dropout(pooled))
