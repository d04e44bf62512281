"""What Apple's chips are reported to get wrong of a Core AI file in half precision, with the network's module."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, fx

from edge.accelerators import notice
from edge.checkpoint import Checkpoint

from .._extremes import drawn
from .._graph.refusals import module_of, name_of

WRONG_BY_DEFAULT, OVERFLOW = "coreai-torch#115", "coreai-torch#106"  # `edge/accelerators.py`
LARGEST = 65504.0  # of half precision


def known_faults(net: fx.GraphModule, checkpoint: Checkpoint) -> list[str]:
    """Of the float network that a file in half precision is made of. Such a file has no linear layers, as of issue 51.

    Whether half precision overflows is found by running the network on pictures that span what cameras give.
    """
    lines = [notice(WRONG_BY_DEFAULT, "fp16", "whole file")]
    large = beyond(net, pictures(checkpoint), LARGEST)
    if large:
        first = large[0]
        module = module_of(first)[0]
        place = f"{first.name} in {module}" if module else first.name
        lines.append(notice(OVERFLOW, f"{len(large)} results, first of {name_of(first)}", place))
    return lines


def pictures(checkpoint: Checkpoint) -> Tensor:
    """As the network takes them, float32 (N, 3, S, S)."""
    pre = checkpoint.preprocess
    mean, std = (torch.tensor(values).reshape(1, 3, 1, 1) for values in (pre.mean, pre.std))
    return (torch.from_numpy(drawn(pre.side)).permute(0, 3, 1, 2) / 255 - mean) / std


def beyond(net: fx.GraphModule, images: Tensor, largest: float) -> list[fx.Node]:
    """The calls whose results leave -largest to largest on any of the images, in the graph's order."""
    large: dict[fx.Node, None] = {}

    class Looking(fx.Interpreter):
        def run_node(self, node: fx.Node) -> Any:
            value = super().run_node(node)
            numbers = node.op == "call_function" and isinstance(value, Tensor) and value.is_floating_point()
            if numbers and not float(value.abs().max()) <= largest:
                large[node] = None
            return value

    with torch.no_grad():
        for image in images:
            Looking(net).run(image[None])
    order = {node: number for number, node in enumerate(net.graph.nodes)}
    return sorted(large, key=order.__getitem__)
