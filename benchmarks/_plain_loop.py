"""A training loop as PyTorch's tutorials have it, over the same views of the photographs, to compare ours with."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import nn
from torch.utils.data import DataLoader, Dataset

from edge.checkpoint import Preprocess
from edge.data.table import Photo
from train._batches import Views
from train._depthwise import FastDepthwise


class Decoded:
    """Photographs by number, uint8 (side, side, 3) RGB, decoded each time: centred square, bilinear resize, Pillow."""

    def __init__(self, photos: Sequence[Photo], side: int) -> None:
        self.photos, self.side = photos, side

    def __getitem__(self, index: int) -> np.ndarray:
        with Image.open(self.photos[index].path) as opened:
            image = opened.convert("RGB")
        length = min(image.size)
        left, top = (image.width - length) // 2, (image.height - length) // 2
        box = (left, top, left + length, top + length)
        return np.asarray(image.resize((self.side, self.side), Image.Resampling.BILINEAR, box=box))


class EachPass(Dataset):
    """Another view of every photograph in each pass."""

    def __init__(self, views: Views) -> None:
        self.views, self.number = views, 0

    def __len__(self) -> int:
        return len(self.views)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, torch.Tensor]:
        image, wanted, *_ = self.views[self.number, index]
        return image, wanted


@dataclass(frozen=True)
class Additions:
    """What of ours is added to the plain loop; nothing, by default."""

    channels_last: bool = False
    bfloat16: bool = False
    fast_depthwise: bool = False


class PlainLoop:
    """DataLoader, cross entropy, AdamW, in this process, with contiguous (N, C, H, W) tensors in float32."""

    def __init__(
        self, net: nn.Module, views: Views, preprocess: Preprocess, *, batch: int, rate: float, added: Additions
    ) -> None:
        self.net, self.added = net.train(), added
        if added.channels_last:
            self.net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.optimiser = torch.optim.AdamW(self.net.parameters(), lr=rate)
        self.photographs = EachPass(views)
        self.batches = DataLoader(self.photographs, batch_size=batch, shuffle=True, drop_last=True)
        self.mean = 255 * torch.tensor(preprocess.mean)[:, None, None]
        self.std = 255 * torch.tensor(preprocess.std)[:, None, None]

    def epoch(self) -> None:
        """One pass over all photographs."""
        self.photographs.number += 1
        for images, wanted in self.batches:
            x = (images.float() - self.mean) / self.std
            if self.added.channels_last:
                x = x.contiguous(memory_format=torch.channels_last)
            mixed = torch.autocast("cpu", torch.bfloat16) if self.added.bfloat16 else nullcontext()
            with mixed, FastDepthwise() if self.added.fast_depthwise else nullcontext():
                loss = F.cross_entropy(self.net(x), wanted)
            self.optimiser.zero_grad()
            loss.backward()
            self.optimiser.step()
