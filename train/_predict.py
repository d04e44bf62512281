"""What a network answers: bytes in, logits out."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from edge.checkpoint import Preprocess
from edge.models.deployed import class_and_mask

from . import _together


def normalise(images: Tensor, preprocess: Preprocess) -> Tensor:
    """uint8 (N, 3, S, S) -> float32, channels last in memory, as the network was built for."""
    mean, std = (torch.tensor(v, device=images.device).reshape(1, 3, 1, 1) for v in (preprocess.mean, preprocess.std))
    return ((images.float() / 255 - mean) / std).contiguous(memory_format=torch.channels_last)


@torch.no_grad()
def predict(net: nn.Module, images: np.ndarray, preprocess: Preprocess, *, batch: int = 32) -> np.ndarray:
    """Logits, float64 (N, K), of uint8 squares (N, S, S, 3), in the arithmetic of the weights."""
    weights = next(net.parameters())
    device, kind = weights.device, weights.dtype
    net.eval()
    parts = []
    for start in range(0, len(images), batch):
        block = torch.from_numpy(np.array(images[start : start + batch])).permute(0, 3, 1, 2).to(device)
        logits, _ = class_and_mask(net(normalise(block, preprocess).to(kind)))
        parts.append(logits.cpu().double().numpy())
    return np.concatenate(parts)


def predict_together(net: nn.Module, images: np.ndarray, preprocess: Preprocess) -> np.ndarray:
    """`predict`, of which each process of the run does its share; the same in all. At least one image."""
    own = predict(net, images[_together.share(len(images))], preprocess)
    return _together.gathered(torch.from_numpy(own), len(images)).numpy()


@torch.no_grad()
def predict_masks(net: nn.Module, images: np.ndarray, preprocess: Preprocess, *, batch: int = 32) -> np.ndarray | None:
    """Probabilities of pixels, float32 (N, S, S), of uint8 squares (N, S, S, 3); None of a network without masks."""
    weights = next(net.parameters())
    net.eval()
    parts = []
    for start in range(0, len(images), batch):
        block = torch.from_numpy(np.array(images[start : start + batch])).permute(0, 3, 1, 2).to(weights.device)
        _, mask = class_and_mask(net(normalise(block, preprocess).to(weights.dtype)))
        if mask is None:
            return None
        parts.append(torch.sigmoid(mask[:, 0].float()).cpu().numpy())
    return np.concatenate(parts)
