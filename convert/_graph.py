"""From a module to an ATen graph with shapes, and the little surgery that the passes share."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, fx, nn

aten = torch.ops.aten
# input, weight, bias, stride, padding, dilation, groups of aten.conv2d, where they are left out
CONVOLUTION = (None, None, None, [1, 1], [0, 0], [1, 1], 1)


def trace(module: nn.Module, example: Tensor) -> fx.GraphModule:
    """The forward pass for inputs shaped like `example`, static shapes, every node with `meta["val"]`.

    A layer's node knows whose weight it uses: `meta["module"]`, the path of the module in `module`.
    """
    graph = torch.export.export(module.eval(), (example,)).module(check_guards=False)
    for node in graph.graph.nodes:
        if node.target in {aten.conv2d.default, aten.conv2d.padding, aten.linear.default}:
            node.meta["module"] = owner(arguments(node)[1])
    return graph


def owner(attribute: object) -> str | None:
    """Path of the module that a `get_attr` node's tensor belongs to."""
    if not isinstance(attribute, fx.Node) or attribute.op != "get_attr":
        return None
    return str(attribute.target).rpartition(".")[0] or None


def stands_for(new: fx.Node, old: fx.Node) -> None:
    """`new` does what `old` did: it is the same module's layer."""
    new.meta |= {key: old.meta[key] for key in ("module", "normalised_by") if key in old.meta}


def copy_graph(graph: fx.GraphModule) -> fx.GraphModule:
    """A copy that shares nothing with `graph`, so that a pass can work on it in place."""
    return copy.deepcopy(graph)


def arguments(node: fx.Node) -> tuple[Any, ...]:
    """The node's arguments; fx types each as a union of some twenty things, which helps no reader."""
    return node.args


def filled(node: fx.Node, *defaults: Any) -> tuple[Any, ...]:
    """The node's arguments, and the defaults of the last ones that it does not give."""
    given = tuple(node.args)
    return given + defaults[len(given) :]


def constant(graph: fx.GraphModule, node: object) -> Tensor | None:
    """The tensor that a `get_attr` node stands for; None for any other node."""
    if not isinstance(node, fx.Node) or node.op != "get_attr":
        return None
    value: object = graph
    for part in str(node.target).split("."):
        value = getattr(value, part)
    return value.detach() if isinstance(value, Tensor) else None


def add_constant(graph: fx.GraphModule, name: str, value: Tensor) -> str:
    """Register a buffer under a name like `name` that is free; returns the name it got."""
    chosen, number = name, 0
    while hasattr(graph, chosen):
        number += 1
        chosen = f"{name}_{number}"
    graph.register_buffer(chosen, value, persistent=True)
    return chosen


def call(graph: fx.GraphModule, target: Callable, *args: Any) -> fx.Node:
    """A new call node at the current insertion point, with its shape worked out."""
    node = graph.graph.call_function(target, args)
    values = torch.fx.node.map_arg(args, lambda n: n.meta["val"])
    node.meta["val"] = target(*values)
    return node


def get(graph: fx.GraphModule, name: str) -> fx.Node:
    node = graph.graph.get_attr(name)
    value = getattr(graph, name)
    node.meta["val"] = torch.empty_like(value, device="meta") if not isinstance(value, Tensor) else value
    return node


def finish(graph: fx.GraphModule) -> fx.GraphModule:
    """Drop what nothing uses any more and compile the module anew."""
    graph.graph.eliminate_dead_code()
    graph.delete_all_unused_submodules()
    graph.graph.lint()
    graph.recompile()
    return graph
