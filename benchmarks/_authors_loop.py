"""HierAttn and its training as its authors published them, written from a description of both, to compare ours with.

Dai et al., arXiv:2205.04326: photographs are decoded in each epoch, stretched to a square, turned by up to 10 degrees
and mirrored by chance; the network learns from them divided by 255, in float32, with AdamW (2e-4, weight decay 1e-2), a
cosine and cross entropy. No code is theirs; `tests/benchmarks/test_training.py` compares the network with ours.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from edge.data.table import Photo
from edge.models.hierattn import Config

RATE, DECAY, EPOCHS = 2e-4, 1e-2, 500
DEGREES = 10.0
HEADS, PATCH = 4, 2


def unit(inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride, (kernel - 1) // 2, groups=groups, bias=False),
        nn.BatchNorm2d(outputs, eps=1e-3, momentum=0.1),
        nn.SiLU(),
    )


class MBConv(nn.Module):
    def __init__(self, inputs: int, outputs: int, stride: int, expansion: int, drop: float = 0.0) -> None:
        super().__init__()
        hidden = expansion * inputs
        self.first = nn.Sequential(unit(inputs, hidden, 1), unit(hidden, hidden, 3, stride, hidden))
        self.pool, self.gate = nn.AdaptiveAvgPool2d(1), nn.Sigmoid()
        self.last = nn.Sequential(
            nn.Conv2d(hidden, outputs, 1, bias=False), nn.BatchNorm2d(outputs, eps=1e-3, momentum=0.1)
        )
        self.residual, self.drop = stride == 1 and inputs == outputs, drop

    def forward(self, x: Tensor) -> Tensor:
        y = self.first(x)
        y = self.last(y * self.gate(self.pool(y)).expand_as(y))
        if not self.residual:
            return y
        if self.training and self.drop:
            keep = torch.empty(len(y), 1, 1, 1, device=y.device).bernoulli_(1 - self.drop)
            y = y * keep / (1 - self.drop)
        return x + y


class Attention(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.softmax, self.scale = nn.Softmax(dim=-1), (width // HEADS) ** -0.5

    def forward(self, x: Tensor) -> Tensor:
        batch, tokens, width = x.shape
        q, k, v = self.qkv(x).chunk(3, dim=-1)
        q, k, v = (part.reshape(batch, tokens, HEADS, -1).permute(0, 2, 1, 3).contiguous() for part in (q, k, v))
        y = torch.matmul(self.softmax(torch.matmul(q, k.transpose(-1, -2)) * self.scale), v)
        return self.out(y.permute(0, 2, 1, 3).contiguous().reshape(batch, tokens, width))


class Transformer(nn.Module):
    def __init__(self, width: int, dropout: float) -> None:
        super().__init__()
        self.norm1, self.attention, self.norm2 = nn.LayerNorm(width), Attention(width), nn.LayerNorm(width)
        self.mlp = nn.Sequential(
            nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width), nn.Dropout(dropout)
        )

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attention(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class StageBlock(nn.Module):
    def __init__(self, channels: int, width: int, depth: int, dropout: float) -> None:
        super().__init__()
        self.local, self.widen = unit(channels, channels, 3), nn.Conv2d(channels, width, 1, bias=False)
        self.blocks = nn.Sequential(*(Transformer(width, dropout) for _ in range(depth)))
        self.norm, self.narrow, self.fuse = (
            nn.LayerNorm(width),
            unit(width, channels, 1),
            unit(2 * channels, channels, 3),
        )

    def forward(self, x: Tensor) -> Tensor:
        y = self.widen(self.local(x))
        size = y.shape[-2:]
        even = [side + side % PATCH for side in size]
        if even != list(size):
            y = F.interpolate(y, size=even, mode="bilinear", align_corners=False)
        batch, width, (height, breadth) = len(y), y.shape[1], even
        tall, broad = height // PATCH, breadth // PATCH
        # (batch, d, H, W) -> (batch and place in the patch, patches, d), one axis after the other
        y = y.reshape(batch * width * tall, PATCH, broad, PATCH).transpose(1, 2)
        y = y.reshape(batch, width, tall * broad, PATCH * PATCH).transpose(1, 3).contiguous()
        y = self.norm(self.blocks(y.reshape(batch * PATCH * PATCH, tall * broad, width)))
        y = y.reshape(batch, PATCH * PATCH, tall * broad, width).transpose(1, 3).contiguous()
        y = y.reshape(batch * width * tall, broad, PATCH, PATCH).transpose(1, 2)
        y = y.reshape(batch, width, height, breadth)
        if even != list(size):
            y = F.interpolate(y, size=size, mode="bilinear", align_corners=False)
        return self.fuse(torch.cat([x, self.narrow(y)], dim=1))


class Published(nn.Module):
    """RGB (N, 3, S, S) in 0..1, S a multiple of 32 -> logits (N, K)."""

    def __init__(self, config: Config, classes: int) -> None:
        super().__init__()
        c1, c2, c3, c4, c5 = config.channels
        e = config.expansion
        self.early = nn.Sequential(
            unit(3, 16, 3, 2), MBConv(16, c1, 1, e, 0.2 / 3), MBConv(c1, c2, 2, e),
            MBConv(c2, c2, 1, e, 0.4 / 3), MBConv(c2, c2, 1, e, 0.2),
        )  # fmt: skip
        self.stages = nn.ModuleList(
            nn.Sequential(MBConv(before, after, 2, e), StageBlock(after, width, depth, config.dropout))
            for before, after, width, depth in zip(
                (c2, c3, c4), (c3, c4, c5), config.widths, config.depths, strict=True
            )
        )
        self.pools = nn.ModuleList(nn.AdaptiveAvgPool2d(side) for side in (1, 1, 3, 5))
        total = c3 + c4 + c5
        self.branch, self.pool = unit(total, 4 * total, 1), nn.AdaptiveAvgPool2d(1)
        self.dropout, self.classifier = nn.Dropout(0.1), nn.Linear(4 * total, classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out")
            elif isinstance(module, nn.Linear):
                nn.init.xavier_uniform_(module.weight)
                nn.init.zeros_(module.bias)

    def forward(self, x: Tensor) -> Tensor:
        x, maps = self.early(x), []
        for stage in self.stages:
            x = stage(x)
            maps.append(x)
        y = torch.cat([torch.cat([pool(own) for own in maps], dim=1).flatten(2) for pool in self.pools], dim=2)
        if self.training:
            y = y[:, :, torch.randperm(y.shape[2])]
        y = self.branch(y.reshape(len(y), -1, 6, 6))
        return self.classifier(self.dropout(self.pool(torch.abs(y)).flatten(1)))


class Photographs(Dataset):
    """Decoded anew each time, as their transforms have it; float32 (3, side, side) in 0..1, and the class."""

    def __init__(self, photos: Sequence[Photo], targets: Sequence[int], side: int) -> None:
        self.photos, self.targets, self.side = photos, targets, side
        self.rng = np.random.default_rng(0)

    def __len__(self) -> int:
        return len(self.photos)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        with Image.open(self.photos[index].path) as opened:
            image = opened.convert("RGB")
        image = image.resize((self.side, self.side), Image.Resampling.BILINEAR)
        image = image.rotate(self.rng.uniform(-DEGREES, DEGREES))
        if self.rng.random() < 0.5:
            image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        return torch.from_numpy(np.array(image)).permute(2, 0, 1).contiguous().float() / 255, self.targets[index]


class AuthorsLoop:
    """One pass after the other; `channels_last` and `bfloat16` are not theirs, and say what each alone would give."""

    def __init__(
        self, net: nn.Module, photographs: Photographs, *, batch: int, channels_last: bool = False,
        bfloat16: bool = False,
    ) -> None:  # fmt: skip
        self.net, self.channels_last, self.bfloat16 = net.train(), channels_last, bfloat16
        if channels_last:
            self.net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.optimiser = torch.optim.AdamW(net.parameters(), lr=RATE, weight_decay=DECAY)
        self.schedule = torch.optim.lr_scheduler.CosineAnnealingLR(self.optimiser, EPOCHS)
        self.loss = nn.CrossEntropyLoss()
        self.batches = DataLoader(photographs, batch_size=batch, shuffle=True, drop_last=True)

    def epoch(self) -> None:
        """One pass over all photographs."""
        for images, targets in self.batches:
            x = images.contiguous(memory_format=torch.channels_last) if self.channels_last else images
            with torch.autocast("cpu", torch.bfloat16) if self.bfloat16 else nullcontext():
                loss = self.loss(self.net(x), targets)
            self.optimiser.zero_grad()
            loss.backward()
            self.optimiser.step()
        self.schedule.step()
