"""The same place in a file and in torch: another layout, or a value that stands for it.

Converters move axes and fold constants. A tensor of the file is compared with a node of the torch graph

* in every order of its axes, reshaped (NHWC and NCHW, heads apart or together),
* as it is, without its mean over an axis (residual streams that only layer norms read), in front of norms either of
  them times the power of two that makes it as large as the file's (norms that fit half precision), without a layer
  norm's scale and shift (folded into the next layer), or, whole or in one of its equal parts, times a constant of the
  network (the 1 / sqrt(d) of attention, folded into the projection that makes the queries).

Each of these can be turned back: what the file computed then stands for the node, and torch goes on from there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import permutations
from math import log2, prod
from typing import Any

import numpy as np
import torch
from torch import Tensor, fx

from .network import Network, is_float, kind_of
from .precision import sqnr_db

FAINT_DB = 6.0  # on the first image; less is not looked at again
PLAIN = ""
WITH_NORM = {"layer_norm", "native_layer_norm", "rms_norm", "_fused_rms_norm"}
STREAM = {
    "add", "reshape", "view", "_unsafe_view", "flatten", "unflatten", "permute", "transpose", "t", "clone",
    "contiguous",
}  # fmt: skip


@dataclass(frozen=True)
class View:
    """A way to see a node: `there` from the exact value, `back` from what the file has to what stands for the node."""

    words: str  # empty where it is the node itself
    there: Callable[[Tensor, Tensor], Tensor]
    back: Callable[[Tensor, Tensor], Tensor]


def plain() -> View:
    return View(PLAIN, lambda value, exact: value, lambda value, exact: value)


@dataclass(frozen=True)
class Place:
    """A node, seen in one way and in one order of axes."""

    node: fx.Node
    view: View
    order: tuple[int, ...]  # of the file's axes longer than 1
    values: list[Tensor]  # the file's, in the node's layout, as the view sees it
    sqnr_db: float


def views(network: Network, node: fx.Node, power: float = 0.0) -> Iterator[View]:
    """The ways to see the node, the plain one first. `power`: the sum of the squares of what the file has."""
    yield plain()
    shape = tuple(network.value(node)[0].shape)
    if kind_of(node) in {"layer_norm", "native_layer_norm"}:
        gain, shift = (network.constants.get(a) if isinstance(a, fx.Node) else None for a in node.args[2:4])
        if gain is not None and bool((gain != 0).all()):
            yield without_affine(gain, torch.zeros_like(gain) if shift is None else shift)
    axes = [axis for axis in (len(shape) - 1, 1) if 0 < axis < len(shape) and shape[axis] > 1]
    for axis in dict.fromkeys(axes):
        yield without_mean(axis)
    if into_norm(node):
        for view in (plain(), *map(without_mean, dict.fromkeys(axes))):
            yield from smaller(view, network.value(node)[0], power)
    for factor in network.factors:
        yield times(factor)
        for piece, pieces in cuts(node):
            yield piece_times(factor, piece, pieces)


def cuts(node: fx.Node) -> list[tuple[int, int]]:
    """(piece, pieces) of equal splits of the last axis that read the node: queries, keys and values made at once."""
    pieces = []
    for user in node.users:
        parts = user.meta.get("val")
        whole = node.meta["val"].shape
        if isinstance(parts, list | tuple) and {part.shape[-1] * len(parts) for part in parts} == {whole[-1]}:
            pieces += [(piece, len(parts)) for piece in range(len(parts))]
    return pieces


def piece_times(factor: float, piece: int, pieces: int) -> View:
    def spread(value: Tensor) -> Tensor:
        size = value.shape[-1] // pieces
        scale = torch.ones(value.shape[-1], dtype=value.dtype)
        scale[piece * size : (piece + 1) * size] = factor
        return scale

    return View(
        f"part {piece + 1} of {pieces} times {factor:.4g}",
        lambda value, exact: value * spread(value),
        lambda value, exact: value / spread(value),
    )


def without_affine(gain: Tensor, shift: Tensor) -> View:
    def there(value: Tensor, exact: Tensor) -> Tensor:
        return (value - shift.to(value.dtype)) / gain.to(value.dtype)

    def back(value: Tensor, exact: Tensor) -> Tensor:
        return value * gain.to(value.dtype) + shift.to(value.dtype)

    return View("before its scale and shift", there, back)


def without_mean(axis: int) -> View:
    def there(value: Tensor, exact: Tensor) -> Tensor:
        return value - value.mean(axis, keepdim=True)

    def back(value: Tensor, exact: Tensor) -> Tensor:
        return value + exact.mean(axis, keepdim=True).to(value.dtype)

    return View("without its mean", there, back)


def into_norm(node: fx.Node) -> bool:
    """Whether a layer norm or RMS norm reads the node, directly or through sums and changes of shape."""
    waiting, seen = [node], {node}
    while waiting:
        users = [user for user in waiting.pop().users if user not in seen]
        if any(kind_of(user) in WITH_NORM for user in users):
            return True
        seen.update(users)
        waiting += [user for user in users if kind_of(user) in STREAM]
    return False


def smaller(view: View, exact: Tensor, power: float) -> Iterator[View]:
    """The view times 2^-k, k from 1 on, where that has about such a power."""
    own = float(view.there(exact, exact).square().sum())
    steps = round(log2(own / power) / 2) if own > 0 and power > 0 else 0
    if steps < 1:
        return
    s = 2.0**-steps
    yield View(
        f"{view.words}{' ' if view.words else ''}times {s:.4g}",
        lambda value, exact: view.there(value, exact) * s,
        lambda value, exact: view.back(value / s, exact),
    )


def times(factor: float) -> View:
    return View(f"times {factor:.4g}", lambda value, exact: value * factor, lambda value, exact: value / factor)


def best_place(
    network: Network,
    node: fx.Node,
    tensors: list[np.ndarray],
    *,
    likely: bool = True,
    bare: bool = False,
    enough: float = 90.0,
) -> Place | None:
    """How the file's tensor fits the node best; None where sizes differ or the two are nothing alike.

    Orders are told apart on the first image. `likely`: compare even if the two are of another size altogether.
    `bare`: as the node is, seen in no other way.
    """
    exact = network.value(node)
    if not exact or not all(is_float(v) for v in exact) or exact[0].numel() != tensors[0].size:
        return None
    best: Place | None = None
    power = float(np.square(tensors[0], dtype=np.float64).sum())
    for view in views(network, node, power):
        first = view.there(exact[0], exact[0])
        if (view.words or not likely) and not alike(first, tensors[0]):
            continue
        tried = [
            (sqnr_db([first], [arranged(tensors[0], way, first)]), way) for way in orders(tensors[0].shape, first.shape)
        ]
        level, order = max(tried, key=lambda best: best[0])
        if level < FAINT_DB and (best is not None or not likely):
            continue
        values = [arranged(tensor, order, first) for tensor in tensors]
        if len(tensors) > 1:
            level = sqnr_db([view.there(v, v) for v in exact], values)
        if best is None or level > best.sqnr_db:
            best = Place(node, view, order, values, level)
        if bare or (best is not None and best.sqnr_db >= enough):
            break
    return best


def alike(right: Tensor, tensor: np.ndarray) -> bool:
    """Whether the two could be the same in another order of axes, noise of a quarter of their power aside.

    With noise power e of a signal power p the power lies between (1 -+ sqrt(e / p))^2 p, and the sum of n values
    differs by at most sqrt(n e) (Cauchy and Schwarz).
    """
    a, b = float(right.square().sum()), float(np.square(tensor, dtype=np.float64).sum())
    if not (a > 0 and 0.25 * a < b < 2.25 * a):
        return False
    return (float(right.sum()) - float(tensor.sum(dtype=np.float64))) ** 2 <= 0.25 * a * right.numel()


def orders(have: tuple[int, ...], wanted: tuple[int, ...]) -> list[tuple[int, ...]]:
    """Orders of the axes longer than 1 after which a reshape to `wanted` keeps rows together: as it is comes first."""
    sizes = [n for n in have if n > 1]
    if len(sizes) > 4:
        return [tuple(range(len(sizes)))]
    goal = boundaries([n for n in wanted if n > 1])
    orders = [
        order
        for order in permutations(range(len(sizes)))
        if (mine := boundaries([sizes[i] for i in order])) <= goal or goal <= mine
    ]
    return orders or [tuple(range(len(sizes)))]


def boundaries(sizes: list[int]) -> set[int]:
    """Where axes end, in numbers of values."""
    return {prod(sizes[i:]) for i in range(len(sizes) + 1)}


def arranged(tensor: np.ndarray, order: tuple[int, ...], like: Tensor) -> Tensor:
    sizes = [n for n in tensor.shape if n > 1]
    value: Any = torch.from_numpy(np.ascontiguousarray(tensor)).double().reshape(sizes)
    return value.permute(order).reshape(like.shape) if sizes else value.reshape(like.shape)
