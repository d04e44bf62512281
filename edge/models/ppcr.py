"""PPCA: one attention weight per pixel, from means over groups of its channels. An option of convolutional families.

PPCR / PPCANet, "Pyramid Pixel Context Adaption Network for Medical Image Classification With Supervised Contrastive
Learning", arXiv:2303.01917. Written from a description of the authors' released code, which it equals
(`tests/golden/ppca_64x7.json`, 1e-9 in float64). For a pixel x of C channels, with K pyramid values:

    p_k = mean of x over group k                 level s cuts the C channels into s groups; levels 1, 2, 4, 8: K = 15
    z_k = (p_k - mean p) / sqrt(var p + eps)     over the K values, biased variance; the authors have no eps
    y   = x sigmoid(sum_k A[n, k] z_k)           A is learnt for each place n of the map, zero at first

**The same with fewer values.** Every group mean of a constant pixel is that constant, and coarser groups are unions of
finer ones, so the 15 centred values have 7 degrees of freedom: p - mean p = U u with orthonormal columns U (15, 7) and
u = F x, F a constant (7, C) matrix of differences between neighbouring groups. Hence sum (p_k - mean p)^2 = sum u_j^2,
and A z = (A U) u / sqrt(sum u_j^2 / 15 + eps). That is what runs wherever eps > 0, in training too: one fixed 1x1
convolution and two sums over 7 channels. The plainest dependence is level 1: where all levels divide C its value
*is* the mean, its z is 0, and `drop_dead_level` stores no weight for it.

**Any map.** A belongs to a grid of `side` x `side` places, the same in every checkpoint. For another map it is resized
bilinearly, with the filter widened where it shrinks, so that training on small images moves every entry. At conversion
that depends on constants alone and is computed then; no exported graph resizes anything.

`docs/ppcr.md` has what it costs and what it gains.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain, pairwise
from math import sqrt

import torch
import torch.nn.functional as F
from torch import Tensor, nn

LEVELS = (1, 2, 4, 8)
EPS = 1e-5  # of the variance, where the module is used in a network
# u is taken times this and eps times its square, which changes nothing: 64e-5 is a normal number in half precision,
# where 1e-5 is not and may count as 0
LIFT = 8.0
FINEST = 4  # maps with sides above a FINEST-th of the image's get no PPCA: the table grows with the square of the side


class PPCA(nn.Module):
    """(N, C, H, W) -> the same shape, each pixel times its gate in (0, gate_scale).

    `channels`: C. `side`: places along each axis of the grid that the table is kept on; H and W may be others.
    `eps` 0 is as published, with NaN for a pixel whose K values are equal (0 / 0); any eps > 0 has no NaN, nor in the
    gradient. `bias`: the authors' code declares N biases and never reads them; without them their state dict loads all
    the same. `gate_scale` 2 makes the gate 1 at first instead of 0.5, so that a trained network begins as it was.
    Raises ValueError for no levels, a negative eps, levels that C channels do not have, and
    for `drop_dead_level` where no level is dead.
    """

    kernel: Tensor
    basis: Tensor

    def __init__(
        self,
        channels: int,
        side: int,
        levels: Sequence[int] = LEVELS,
        eps: float = 0.0,
        *,
        bias: bool = True,
        drop_dead_level: bool = False,
        gate_scale: float = 1.0,
    ) -> None:
        super().__init__()
        if not levels or eps < 0:
            raise ValueError(f"PPCA takes at least one level and eps from 0 on, got levels {tuple(levels)}, eps {eps}")
        self.groups = list(chain.from_iterable(groups(channels, level) for level in levels))
        self.eps, self.gate_scale, self.side = eps, gate_scale, side
        self.alive = list(range(len(self.groups)))  # places of the values that have a weight
        if drop_dead_level:
            if 1 not in levels or any(channels % level for level in levels):
                raise ValueError(
                    f"level 1 is dead only beside levels that all divide the channels; got {channels} channels and "
                    f"levels {tuple(levels)}"
                )
            self.alive.remove(self.groups.index(range(channels)))
        self.weight = nn.Parameter(torch.zeros(side * side, len(self.alive)))
        self.bias = nn.Parameter(torch.zeros(side * side)) if bias else None
        self.register_buffer("kernel", torch.empty(0), persistent=False)
        self.register_buffer("basis", torch.empty(0), persistent=False)
        self.channels = channels
        self.fill_constants()

    def forward(self, x: Tensor) -> Tensor:
        attention = self.safe(x) if self.eps else self.published(x)
        return x * (self.gate_scale * torch.sigmoid(attention)).to(x.dtype)

    def published(self, x: Tensor) -> Tensor:
        """The gate before its sigmoid, (N, 1, H, W), step by step as the authors compute it."""
        p = torch.stack([x[:, group.start : group.stop].mean(1) for group in self.groups], 1)
        centred = p - p.mean(1, keepdim=True)
        z = centred / centred.square().mean(1, keepdim=True).sqrt()
        return (self.table(self.weight, x) * z[:, self.alive]).sum(1, keepdim=True)

    def safe(self, x: Tensor) -> Tensor:
        """The same with eps, by the independent values alone."""
        u = F.conv2d(x, self.kernel[:, :, None, None])
        # spelt out, not a product of matrices: those would be rounded to bfloat16 in mixed precision
        table = self.table((self.weight[:, :, None] * self.basis).sum(1), x)
        power = (u * u).sum(1, keepdim=True)
        return (table * u).sum(1, keepdim=True) * torch.rsqrt(power + LIFT**2 * self.eps)

    def table(self, weight: Tensor, x: Tensor) -> Tensor:
        """Weights (side * side, k) of the grid -> (1, k, H, W), for maps like `x`."""
        grid = weight.T.reshape(1, -1, self.side, self.side)
        size = list(x.shape[-2:])
        if size == [self.side, self.side]:
            return grid
        return F.interpolate(grid, size=size, mode="bilinear", align_corners=False, antialias=True)

    def fill_constants(self) -> None:
        """`kernel` (7, C) and `basis` (values with a weight, 7) in the dtype of the weights, as exact as that is."""
        count = len(self.groups)
        kernel, basis = independent(self.groups, self.channels)
        self.kernel = (LIFT / sqrt(count) * kernel).to(self.weight)
        self.basis = (sqrt(count) * basis[self.alive]).to(self.weight)

    def _apply(self, fn: Callable, recurse: bool = True) -> PPCA:
        super()._apply(fn, recurse)
        self.fill_constants()  # else `.double()` would only widen what was rounded to float32
        return self

    def _load_from_state_dict(self, state_dict: dict[str, Tensor], prefix: str, *args) -> None:
        if self.bias is None:
            state_dict.pop(prefix + "bias", None)
        super()._load_from_state_dict(state_dict, prefix, *args)


def groups(channels: int, level: int) -> list[range]:
    """The channels of each group of a level: floor(C j / s) up to, and without, floor(C (j + 1) / s)."""
    if not 1 <= level <= channels:
        raise ValueError(f"a level is between 1 and the number of channels, {channels}; got {level}")
    return [range(channels * j // level, channels * (j + 1) // level) for j in range(level)]


def independent(groups: Sequence[range], channels: int) -> tuple[Tensor, Tensor]:
    """F (r, C) and U (K, r), float64: the centred group means of x are U F x, and U has orthonormal columns.

    Gram and Schmidt's way over the differences between neighbours, which span all that centred means can be. Where
    groups halve each other evenly a row of F is the difference of two halves, +c and -c: 8 bits hold it exactly.
    """
    means = torch.zeros(len(groups), channels, dtype=torch.float64)
    for row, group in zip(means, groups, strict=True):
        row[group.start : group.stop] = 1 / len(group)
    centred = means - means.mean(0)
    basis: list[Tensor] = []
    for left, right in neighbours(groups):
        column = centred @ (means[left] - means[right])
        length = column.norm()
        for _ in range(2):  # twice is enough (Giraud et al. 2005)
            for unit in basis:
                column = column - (unit @ column) * unit
        if column.norm() > 1e-9 * length:
            basis.append(column / column.norm())
    orthonormal = torch.stack(basis or [torch.zeros(len(groups), dtype=torch.float64)], 1)
    return orthonormal.T @ centred, orthonormal


def neighbours(groups: Sequence[range]) -> list[tuple[int, int]]:
    """Places of two groups of a level side by side: first the first two, the next two, ...; then those across pairs."""
    pairs, place = [], 0
    for k, (left, right) in enumerate(pairwise(groups)):
        place = 0 if left.start == 0 else place + 1
        if right.start == left.stop:
            pairs.append((place % 2, k))
    return [(k, k + 1) for _, k in sorted(pairs)]


@dataclass(frozen=True)
class Places:
    """Where a family's blocks take a PPCA."""

    block: str  # name of the class of the blocks
    after: str  # path in a block of the norm that ends its branch, or of the sequence that ends in it
    side: int  # pixels: the input whose maps are the reference grids


PLACES = {
    "hierattn": Places("MBConv", "project", side=256),
    "mobilenetv2": Places("MobileNetV2InvertedResidual", "reduce_1x1.normalization", side=224),
}


class GatedNorm(nn.BatchNorm2d):
    """A batch norm under its old names, then the gate."""

    def __init__(self, norm: nn.BatchNorm2d, gate: PPCA) -> None:
        super().__init__(norm.num_features, norm.eps, norm.momentum)
        self.load_state_dict(norm.state_dict())
        self.gate = gate

    def forward(self, x: Tensor) -> Tensor:
        return self.gate(super().forward(x))


def with_ppca(net: nn.Module, places: Places) -> nn.Module:
    """`net`, with a PPCA after the last norm of the branch of every block, as the authors place it.

    In every block, whether or not a sum follows; but not where the map is wider than a quarter of the image. Weights of
    the plain network keep their names. The gates are 1 at first: the network answers as it did without them.
    """
    blocks = [block for block in net.modules() if type(block).__name__ == places.block]
    shapes = shapes_at(net, [block.get_submodule(places.after) for block in blocks], places.side)
    for block, (_, channels, height, _) in zip(blocks, shapes, strict=True):
        if height * FINEST > places.side:
            continue
        even = not any(channels % level for level in LEVELS)
        gate = PPCA(channels, height, eps=EPS, bias=False, drop_dead_level=even, gate_scale=2.0)
        owner, _, name = places.after.rpartition(".")
        branch = block.get_submodule(places.after)
        if isinstance(branch, nn.Sequential):
            branch.append(gate)
        elif isinstance(branch, nn.BatchNorm2d):
            setattr(block.get_submodule(owner), name, GatedNorm(branch, gate))
        else:
            raise TypeError(f"{places.after} of {places.block} is a {type(branch).__name__}; expected a batch norm")
    return net


def shapes_at(net: nn.Module, modules: Sequence[nn.Module], side: int) -> list[torch.Size]:
    """What each module gives for one image of that side, found by running the network; its state is not touched."""
    shapes: dict[nn.Module, torch.Size] = {}
    hooks = [m.register_forward_hook(lambda m, _, output: shapes.update({m: output.shape})) for m in modules]
    was_training = net.training
    with torch.no_grad():
        net.eval()(torch.zeros(1, 3, side, side))
    net.train(was_training)
    for hook in hooks:
        hook.remove()
    return [shapes[module] for module in modules]
