"""Networks that nobody trained, in a state in which their answers still depend on the image."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from torch import nn

IMAGES = 16  # at most; two are the least of which a batch norm takes statistics


def settled(network: nn.Module, images: np.ndarray) -> tuple[nn.Module, float]:
    """The network, (N, 3, S, S) of 0..1 -> logits, in evaluation mode, and the standard deviation of its logits.

    Layers start as torch starts them, batch norms take their statistics from `images`, uint8 (N, S, S, 3), and the last
    layer's bias makes all classes alike. Otherwise activations can vanish from layer to layer (to 1e-30, as
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
    batch = torch.from_numpy(np.array(images[:IMAGES])).permute(0, 3, 1, 2) / 255
    with torch.no_grad():
        network.train()(batch)
        logits = network.eval()(batch)
        last.bias.sub_(logits.mean(dim=0))
    for norm, momentum in zip(norms, kept, strict=True):
        norm.momentum = momentum
    return network, float((logits - logits.mean(dim=0)).std())
