"""Networks that nobody trained, in a state in which their answers still depend on the image."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor, nn

IMAGES = 8


def settled(network: nn.Module, side: int) -> tuple[nn.Module, float]:
    """The network, (N, 3, S, S) -> logits, in evaluation mode, and the standard deviation of its logits.

    Layers start as torch starts them, batch norms take their statistics from drawn images of `side` pixels, and the
    last layer's bias makes all classes alike. Otherwise activations can vanish from layer to layer (to 1e-30, as
    transformers starts an EfficientNet) or one class wins everywhere, and neither SQNR nor agreement says a thing. For
    the same reason logits should be divided by their deviation.
    """
    import torch
    from torch import nn

    torch.manual_seed(0)
    for part in network.modules():
        if isinstance(part, (nn.Conv2d, nn.Linear, nn.BatchNorm2d, nn.LayerNorm)):
            part.reset_parameters()
    norms = [part for part in network.modules() if isinstance(part, nn.BatchNorm2d)]
    last = [part for part in network.modules() if isinstance(part, nn.Linear)][-1]
    kept = [norm.momentum for norm in norms]
    for norm in norms:
        norm.momentum = 1.0  # the statistics of this one batch
    images = drawn(side)
    with torch.no_grad():
        network.train()(images)
        logits = network.eval()(images)
        last.bias.sub_(logits.mean(dim=0))
    for norm, momentum in zip(norms, kept, strict=True):
        norm.momentum = momentum
    return network, float((logits - logits.mean(dim=0)).std())


def drawn(side: int) -> Tensor:
    """Clouds, (IMAGES, 3, side, side) in 0..1: like photographs, most of what they show is large and smooth."""
    import torch
    import torch.nn.functional as F

    layers = [
        F.interpolate(torch.rand(IMAGES, 3, cells, cells), side, mode="bilinear") / weight
        for cells, weight in ((3, 2), (12, 4), (48, 8), (side, 8))
    ]
    return torch.stack(layers).sum(dim=0)
