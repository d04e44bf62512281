"""Biases of a network with rounded weights that bring the mean answer of every layer back to the float network's.

What rounding moves a channel by on average is the same for every picture, so that it adds up from layer to layer. Both
networks go through the same pictures, operation by operation; behind each layer the bias takes back the mean difference
of each channel, and with it what all layers before have left (Nagel et al. 2019, arXiv 1906.04721, section 4.2, there
from the statistics of batch norms). A package holds biases in float16, so the numbers are float16's.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, fx

from edge.progress import track

from .._graph.graph import aten, copy_graph
from .rounding import as_input, in_half, places_of

IMAGES = 32  # of training patients: means settle soon


@torch.inference_mode()
def corrected(graph: fx.GraphModule, rounded: fx.GraphModule, images: np.ndarray) -> dict[str, np.ndarray]:
    """Bias -> float32 (O,), float16's numbers, of the layers that have one of their own.

    `rounded` has the nodes of `graph` and other weights; neither is changed. `images`: uint8 (N, S, S, 3).
    """
    coarse = in_half_precision(rounded)
    places = {place.node.name: place.bias for place in places_of(graph) if place.bias}
    plain, changed = Walk(graph, images), Walk(coarse, images)
    biases = {}
    nodes = list(zip(graph.graph.nodes, coarse.graph.nodes, strict=True))
    for node, twin in track(nodes, "biases for rounded weights", len(nodes)):
        if node.op == "output":
            break
        plain.step(node)
        changed.step(twin)
        name = places.get(node.name)
        if name is not None:
            before = constants_of(coarse)[name].detach().double().numpy()
            after = in_half(before + plain.means(node) - changed.means(twin))
            changed.shift(twin, after - before)
            biases[name] = after.astype(np.float32)
    return biases


class Walk:
    """A network on its way through pictures, all of them one operation further at a time."""

    def __init__(self, graph: fx.GraphModule, images: np.ndarray) -> None:
        self.interpreter = fx.Interpreter(graph)
        self.images = images
        self.values: list[dict[fx.Node, Any]] = [{} for _ in images]
        self.last_reader = {read: node for node in graph.graph.nodes for read in node.all_input_nodes}

    def step(self, node: fx.Node) -> None:
        """Run one operation for every picture, and forget what nothing reads any more."""
        for image, values in zip(self.images, self.values, strict=True):
            if node.op == "placeholder":
                values[node] = as_input(image)
                continue
            args, kwargs = (fx.node.map_arg(part, values.__getitem__) for part in (node.args, node.kwargs))
            values[node] = getattr(self.interpreter, node.op)(node.target, args, kwargs)
            for read in node.all_input_nodes:
                if self.last_reader[read] is node:
                    values.pop(read, None)

    def means(self, node: fx.Node) -> np.ndarray:
        """(O,) float64: of each channel of a layer's answers."""
        return np.mean([by_channel(node, values[node]).mean(dim=1).numpy() for values in self.values], axis=0)

    def shift(self, node: fx.Node, amounts: np.ndarray) -> None:
        """Add (O,) to the channels of a layer's answers."""
        added = torch.from_numpy(amounts).float()
        for values in self.values:
            answer = values[node]
            assert isinstance(answer, Tensor)
            values[node] = answer + (added if node.target == aten.linear.default else added.reshape(-1, 1, 1))


def by_channel(node: fx.Node, answer: object) -> Tensor:
    """(O, places), float64."""
    assert isinstance(answer, Tensor)
    last = node.target == aten.linear.default
    return answer.double().movedim(-1 if last else -3, 0).flatten(1)


@torch.no_grad()
def in_half_precision(graph: fx.GraphModule) -> fx.GraphModule:
    """A copy whose constants are float16's numbers, as a package has them."""
    graph = copy_graph(graph)
    for value in [*graph.parameters(), *graph.buffers()]:
        if value.is_floating_point():
            value.copy_(torch.from_numpy(in_half(value.detach().double().numpy())))
    return graph


def with_biases(graph: fx.GraphModule, biases: Mapping[str, np.ndarray]) -> None:
    """Put biases (O,) into a network; ValueError names one that does not fit it."""
    own = {place.bias for place in places_of(graph) if place.bias}
    constants = constants_of(graph)
    for name, values in biases.items():
        if name not in own or values.shape != constants[name].shape or not np.isfinite(values).all():
            raise ValueError(name)
        with torch.no_grad():
            constants[name].copy_(torch.from_numpy(np.ascontiguousarray(values, np.float32)))


def constants_of(graph: fx.GraphModule) -> dict[str, Tensor]:
    return {**dict(graph.named_parameters()), **dict(graph.named_buffers())}
