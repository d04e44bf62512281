"""Weights of a rewritten network on the numbers that a package holds, chosen together, layer by layer.

A package holds biases in float16 too, whose error is the same for every picture. So a bias is taken for one more
weight, whose input is always 1, and rounded first; the layer's weights, which have finer steps, make up for its error
and for each other's (`_joint_rounding`). Weights of fewer than SMALLEST_QUANTISED numbers, and those of few different
values, which get a table without loss, are float16 in 8-bit packages too. Layers that are neither a convolution nor
linear, or that share their weight, are left to the nearest number.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, fx
from torch.nn import functional as F

from edge.errors import InputError
from edge.progress import track

from .._graph.graph import CONVOLUTION, arguments, aten, constant, copy_graph, filled
from .._joint_rounding import LEVELS, Nearest, on_grid, whole_numbers, with_bias
from .._moments import Moments, step_between
from .program import SMALL_TABLE, SMALLEST_QUANTISED

HALF, BYTE = 16, 8  # bits of a weight
LARGEST = float(np.finfo(np.float16).max)
Steps = Mapping[str, np.ndarray]  # weight -> int32 (O, K), how many of the grid's points away from the nearest


@dataclass(frozen=True)
class Place:
    """A layer whose weights are rounded together; names are of the graph's constants."""

    node: fx.Node
    weight: str
    bias: str | None  # of its own; None where it has none, or shares it


def places_of(graph: fx.GraphModule) -> list[Place]:
    """The layers, in order."""
    users: dict[str, int] = {}
    for node in graph.graph.nodes:
        if node.op == "get_attr":
            users[str(node.target)] = users.get(str(node.target), 0) + len(node.users)
    places = []
    for node in graph.graph.nodes:
        if node.op != "call_function" or node.target not in {aten.conv2d.default, aten.linear.default}:
            continue
        _, weight, bias, *_ = filled(node, *CONVOLUTION)
        value = constant(graph, weight)
        if value is None or users[str(weight.target)] > 1 or not value.abs().max() <= LARGEST:
            continue
        own = isinstance(bias, fx.Node) and bias.op == "get_attr" and users[str(bias.target)] == 1
        places.append(Place(node, str(weight.target), str(bias.target) if own else None))
    return places


@torch.inference_mode()
def moments_of(graph: fx.GraphModule, images: np.ndarray) -> dict[str, Moments]:
    """Weight -> moments of what the layer reads, over uint8 images (N, S, S, 3)."""
    places = {place.node: place.weight for place in places_of(graph)}
    products: dict[str, np.ndarray] = {}
    sums: dict[str, np.ndarray] = {}
    counts: dict[str, int] = {}

    class Watched(fx.Interpreter):
        def run_node(self, n: fx.Node):
            if n in places:
                x = self.env[arguments(n)[0]]
                rows = rows_of(n, x)
                rows = rows[:, :: step_between(rows.shape[1])]
                name = places[n]
                products[name] = products.get(name, 0.0) + (rows.mT @ rows).double().numpy()
                sums[name] = sums.get(name, 0.0) + rows.double().sum(1).numpy()
                counts[name] = counts.get(name, 0) + rows.shape[1]
            return super().run_node(n)

    watched = Watched(graph)
    for image in track(images, "what the layers see", len(images)):
        watched.run(as_input(image))
    return {n: Moments(h, (sums[n] / counts[n]).astype(np.float32), counts[n]) for n, h in products.items()}


def rows_of(node: fx.Node, x: Tensor) -> Tensor:
    """What the weights of one output channel are multiplied with: (groups, places, weights)."""
    if node.target == aten.linear.default:
        return x.reshape(1, -1, x.shape[-1])
    _, weight, _, stride, padding, dilation, groups = filled(node, *CONVOLUTION)
    kernel = weight.meta["val"].shape[2:]
    columns = F.unfold(x, kernel, dilation=dilation, padding=padding, stride=stride)  # (1, C kh kw, places)
    return columns.reshape(groups, -1, columns.shape[-1]).mT


def steps_for(graph: fx.GraphModule, moments: Mapping[str, Moments], bits: int) -> dict[str, np.ndarray]:
    """Weight -> how many points of its grid each weight is put away from the nearest one."""
    steps = {}
    for place in places_of(graph):
        rows, bias = rows_and_bias(graph, place)
        seen, kind = moments[place.weight], kind_of(graph, place, bits)
        groups = len(seen.means)
        biases = [None] * groups if bias is None else np.split(bias, groups)
        parts = zip(np.split(rows, groups), biases, seen.products / seen.places, seen.means, strict=True)
        chosen = np.concatenate([together(some, own, h, means, kind) for some, own, h, means in parts])
        steps[place.weight] = Grid(rows, kind).steps(chosen)
    return steps


def together(rows: np.ndarray, bias: np.ndarray | None, h: np.ndarray, means: np.ndarray, bits: int) -> np.ndarray:
    """Rows (O, K) on their grid, given H (K, K) per place and the means (K,); `bias` (O,) where the layer has one."""
    grid = Grid(rows, bits)
    if bias is None:
        return on_grid(rows, h, grid.nearest)
    count = rows.shape[1]

    def nearest(k: int, values: np.ndarray) -> np.ndarray:
        return in_half(values) if k == count else grid.nearest(k, values)

    return on_grid(np.hstack([rows, bias[:, None]]), with_bias(h, means), nearest, first=count)[:, :count]


class Grid:
    """The numbers that the weights of a layer can take: float16's, or 8 bits with a float16 scale for each row."""

    def __init__(self, rows: np.ndarray, bits: int) -> None:
        self.rows, self.bits = rows, bits
        scales = in_half(np.abs(rows).max(axis=1) / LEVELS)
        self.scales = np.where(scales == 0, 1.0, scales)
        self.whole: Nearest = whole_numbers(rows)

    def nearest(self, k: int, values: np.ndarray) -> np.ndarray:
        return in_half(values) if self.bits == HALF else self.whole(k, values / self.scales) * self.scales

    def numbers(self, values: np.ndarray) -> np.ndarray:
        """Values (O, K) as whole numbers, so that neighbours on the grid differ by one; int64."""
        if self.bits == BYTE:
            return np.round(values / self.scales[:, None]).astype(np.int64)
        halves = values.clip(-LARGEST, LARGEST).astype(np.float16)
        size = halves.view(np.uint16).astype(np.int64) & 0x7FFF
        return np.where(np.signbit(halves), -size, size)

    def steps(self, chosen: np.ndarray) -> np.ndarray:
        away = self.numbers(chosen) - self.numbers(self.rows)
        return away.astype(np.int32)

    def values(self, steps: np.ndarray) -> np.ndarray:
        """The numbers (O, K) that are so many steps away from the nearest; float64."""
        numbers = self.numbers(self.rows) + steps
        if self.bits == BYTE:
            return numbers.clip(-LEVELS, LEVELS) * self.scales[:, None]
        size = np.abs(numbers).clip(0, 0x7BFF).astype(np.uint16).view(np.float16).astype(np.float64)
        return np.where(numbers < 0, -size, size)


def rounded(graph: fx.GraphModule, steps: Steps, bits: int) -> fx.GraphModule:
    """A copy of the network with weights on the points that `steps` name. InputError if they do not fit it."""
    graph = copy_graph(graph)
    for place in places_of(graph):
        rows, _ = rows_and_bias(graph, place)
        own = steps.get(place.weight)
        if own is None or own.shape != rows.shape or own.dtype != np.int32:
            raise unfit(f"{place.weight} {rows.shape}")
        value = constant(graph, place.node.args[1])
        assert value is not None
        held = Grid(rows, kind_of(graph, place, bits)).values(own)
        value.copy_(torch.from_numpy(held).reshape(value.shape))
    return graph


def unfit(what: str) -> InputError:
    return InputError(
        f"the kept rounding (.coreml.rounding.npz) does not fit {what}; it was changed or damaged: measure anew with "
        "`measure_again`"
    )


def kind_of(graph: fx.GraphModule, place: Place, bits: int) -> int:
    """Bits of a layer's weights in a package of so many."""
    value = constant(graph, place.node.args[1])
    assert value is not None
    small = value.numel() < SMALLEST_QUANTISED or value.unique().numel() <= 2**SMALL_TABLE
    return HALF if small else bits


def rows_and_bias(graph: fx.GraphModule, place: Place) -> tuple[np.ndarray, np.ndarray | None]:
    """Weights (O, K) and biases (O,), float64; None where the layer has none of its own."""
    weight = constant(graph, place.node.args[1])
    assert weight is not None
    rows = weight.double().flatten(1).numpy()
    bias = constant(graph, place.node.args[2]) if place.bias else None
    return rows, None if bias is None else bias.double().numpy()


def in_half(values: np.ndarray) -> np.ndarray:
    return values.clip(-LARGEST, LARGEST).astype(np.float16).astype(np.float64)


def as_input(image: np.ndarray) -> Tensor:
    """uint8 (S, S, 3) -> float32 (1, 3, S, S)."""
    return torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1)[None])).float()
