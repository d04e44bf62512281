"""Small networks of many operations, each compared with torch in float64: by kind, with a name for each."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

SIDE = 9  # of the picture; the operations see (1, 4, 9, 8)
WIDE = 8
EVERY_THIRD = torch.arange(SIDE) % 3 != 0
SPOTS = torch.rand(SIDE, WIDE, generator=torch.Generator().manual_seed(2)) > 0.4
Operation = Callable[[Tensor], Tensor]


def row(x: Tensor) -> Tensor:
    """(1, 4, 72)"""
    return x.flatten(2)


def group_mask(x: Tensor) -> Tensor:
    return (torch.arange(SIDE)[:, None] * 0.3 - torch.arange(SIDE) * 0.1).to(x.dtype)


def written(x: Tensor, places: Tensor, value: float) -> Tensor:
    y = x.clone()
    y[:, :, places] = value
    return y


KINDS: dict[str, dict[str, Operation]] = {
    "average pools": {
        "2 by 3, ceil": lambda x: F.avg_pool2d(x[..., :7, :7], 2, 3, ceil_mode=True),
        "3 by 2, padded, ceil": lambda x: F.avg_pool2d(x, 3, 2, 1, ceil_mode=True),
        "3 by 2, padded, ceil, padding not counted": lambda x: F.avg_pool2d(x, 3, 2, 1, True, False),
        "padding not counted": lambda x: F.avg_pool2d(x, (3, 2), 1, (1, 0), False, False),
        "7 by 4, padded": lambda x: F.avg_pool2d(x, 7, 4, 3),
        "divisor": lambda x: F.avg_pool2d(x, 3, 2, 1, True, True, -5),
        "stride beyond the kernel": lambda x: F.avg_pool2d(x, 2, 5, 1, True),
        "1-D, ceil": lambda x: F.avg_pool1d(row(x)[..., :14], 2, 3, ceil_mode=True),
        "1-D, padded": lambda x: F.avg_pool1d(row(x), 3, 2, 1, True, False),
        "no batch": lambda x: F.avg_pool2d(x[0], 3, 2, 1, True, False),
    },
    "maximum pools": {
        "2 by 3, ceil": lambda x: F.max_pool2d(x, 2, 3, ceil_mode=True),
        "3 by 2, padded, ceil": lambda x: F.max_pool2d(x, 3, 2, 1, ceil_mode=True),
        "dilated, ceil": lambda x: F.max_pool2d(x, 3, 2, 1, 2, True),
        "no stride": lambda x: F.max_pool2d(x, (2, 3)),
        "with places": lambda x: F.max_pool2d(x, 2, return_indices=True)[0],
        "1-D, ceil": lambda x: F.max_pool1d(row(x)[..., :15], 2, 3, ceil_mode=True),
        "1-D, dilated": lambda x: F.max_pool1d(row(x), 3, 2, 1, 2, True),
        "no batch": lambda x: F.max_pool2d(x[0], 3, 2, 1, 1, True),
    },
    "adaptive maximum pools": {
        "5 x 7": lambda x: F.adaptive_max_pool2d(x, (5, 7)),
        "larger than the map": lambda x: F.adaptive_max_pool2d(x, (13, None)),
        "that divides": lambda x: F.adaptive_max_pool2d(x, (3, 4)),
        "of all": lambda x: F.adaptive_max_pool2d(x, 1),
        "1-D": lambda x: F.adaptive_max_pool1d(row(x), 7),
        "no batch": lambda x: F.adaptive_max_pool2d(x[0], (5, 3)),
    },
    "paddings": {
        "circular": lambda x: F.pad(x, (7, 2, 0, 9), mode="circular"),
        "circular, less than nothing": lambda x: F.pad(x, (-1, 2, 1, -2), mode="circular"),
        "circular, 1-D": lambda x: F.pad(row(x), (5, 2), mode="circular"),
        "reflect": lambda x: F.pad(x, (7, 2, 0, 8), mode="reflect"),
        "reflect, less than nothing": lambda x: F.pad(x, (-1, 2, 1, -2), mode="reflect"),
        "reflect, 1-D": lambda x: F.pad(row(x), (5, 2), mode="reflect"),
        "replicate": lambda x: F.pad(x, (12, 0, 1, 10), mode="replicate"),
        "replicate, 1-D": lambda x: F.pad(row(x), (5, 2), mode="replicate"),
        "a number, less than nothing": lambda x: F.pad(x, (-1, 2, 1, -2), value=1.5),
    },
    "constant places": {
        "mask of rows": lambda x: x[:, :, EVERY_THIRD],
        "mask made on the way": lambda x: x[..., torch.arange(WIDE) > 4],
        "mask of spots": lambda x: x[:, :, SPOTS],
        "list of truths": lambda x: x[:, [True, False, True, True]],
        "masked select": lambda x: torch.masked_select(x, SPOTS),
        "writing to a mask": lambda x: written(x, EVERY_THIRD, 0.5),
        "writing to places": lambda x: written(x, torch.tensor([4, 0, -2]), -1.0),
        "filling places": lambda x: x.index_fill(1, torch.tensor([2, 0]), 2.0),
        "places of a mask": lambda x: x[:, :, EVERY_THIRD.nonzero()[:, 0]],
        "places": lambda x: x[:, torch.tensor([[1, 0], [3, -1]])],
        "places along two axes": lambda x: x[:, torch.tensor([[2], [0]]), torch.tensor([4, 1, 1])],
        "places along axes apart": lambda x: x[:, torch.tensor([2, 0]), :, torch.tensor([4, 1])],
    },
    "functions": {
        "celu": lambda x: F.celu(x, 0.3),
        "log-sigmoid": lambda x: F.logsigmoid(30 * x),
        "lerp": lambda x: torch.lerp(x, x + 1, 0.3) + torch.lerp(x, 2 * x, x.sigmoid()),
        "shrinks": lambda x: F.hardshrink(x, 0.3) + F.softshrink(x, 0.4) + F.tanhshrink(x),
        "rrelu": lambda x: F.rrelu(x, -0.2, 0.9),
        "glu": lambda x: F.glu(x, 1),
        "log of exponentials": lambda x: torch.logaddexp(40 * x, x + 1),
        "hypot": lambda x: torch.hypot(x, x + 1),
        "remainder": lambda x: (3 * x) % 1.0 + x % -1.3,
        "clamp by tensors": lambda x: torch.clamp(x, x.mean(1, keepdim=True), x.flip(2) + 0.5),
        "deviation of all": lambda x: x.var() * x + x.std(),
        "roll of all": lambda x: x.roll(5),
    },
    "in order": {
        "top": lambda x: x.topk(3, -1)[0],
        "least of an axis": lambda x: x.topk(3, 2, largest=False)[0],
        "sort": lambda x: x.sort(1, descending=True)[0] - x.sort(-1)[0],
        "median": lambda x: x.median(2)[0],
        "k-th": lambda x: x.kthvalue(2, 1, keepdim=True)[0],
    },
    "patches": {
        "overlapping": lambda x: F.fold(F.unfold(x, 3, padding=1), (9, 8), 3, padding=1),
        "strided": lambda x: F.fold(F.unfold(x, 3, padding=1, stride=2), (9, 8), 3, padding=1, stride=2),
        "dilated": lambda x: F.fold(
            F.unfold(x, (2, 3), (2, 1), (1, 2), (2, 1)), (9, 8), (2, 3), (2, 1), (1, 2), (2, 1)
        ),
        "gaps": lambda x: F.fold(F.unfold(x, 2, stride=3), (9, 8), 2, stride=3),
    },
    "grouped queries": {
        "two heads": lambda x: F.scaled_dot_product_attention(x, x[:, :2] + 1, x[:, 1:3], enable_gqa=True),
        "one head": lambda x: F.scaled_dot_product_attention(x, x[:, :1], x[:, 1:2], enable_gqa=True),
        "causal": lambda x: F.scaled_dot_product_attention(x, x[:, :2], x[:, 2:], is_causal=True, enable_gqa=True),
        "mask": lambda x: F.scaled_dot_product_attention(x, x[:, :2], x[:, 2:], group_mask(x), enable_gqa=True),
    },
}  # fmt: skip


class Each(nn.Module):
    """(1, 3, 9, 9), or (1, 9, 9, 3) with `channels_last` -> what each operation makes of it, one after the other."""

    def __init__(self, operations: dict[str, Operation], *, channels_last: bool) -> None:
        super().__init__()
        self.operations, self.channels_last = list(operations.values()), channels_last

    def forward(self, image: Tensor) -> Tensor:
        picture = image.permute(0, 3, 1, 2) if self.channels_last else image
        x = torch.cat([picture, -picture[:, :1].flip(2)], 1)[..., :WIDE]
        return torch.cat([operation(x).reshape(1, -1) for operation in self.operations], 1)


def wanted(operations: dict[str, Operation], picture: Tensor) -> dict[str, np.ndarray]:
    """What torch makes of a picture (1, 3, 9, 9) in float64, by name."""
    with torch.no_grad():
        return {
            name: Each({name: operation}, channels_last=False).eval()(picture.double()).numpy()[0]
            for name, operation in operations.items()
        }
